"""`load_image`: where an image may come from, and one error that names what is none."""

import base64
import functools
import http.server
import io
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_blip2idc.image_files_blip2idc import (
    ImageFileNotFoundError,
    ImageIsADirectoryError,
    ImageLoadError,
    ImageTypeError,
)
from modeling_blip2idc.image_utils_blip2idc import load_image
from tests.support.pictures import encode, noise, same


@pytest.fixture
def picture() -> Image.Image:
    return noise()


def test_every_source_gives_the_same_pixels(picture, tmp_path):
    data = encode(picture)
    path = tmp_path / "a b é.png"
    path.write_bytes(data)
    with open(path, "rb") as file:
        sources = [
            picture,
            path,
            str(path),
            data,
            bytearray(data),
            memoryview(data),
            file,
            {"bytes": data, "path": None},
            {"bytes": data, "path": "gone.png"},
            {"bytes": None, "path": str(path)},
            "data:image/png;base64," + base64.b64encode(data).decode(),
            np.asarray(picture),
            torch.from_numpy(np.array(picture)).permute(2, 0, 1),
        ]
        for source in sources:
            assert same(load_image(source), picture), type(source)


def test_path_with_a_tilde(picture, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    picture.save(tmp_path / "x.png")
    assert same(load_image("~/x.png"), picture)


def test_the_file_is_closed_and_can_be_removed(picture, tmp_path):
    path = tmp_path / "x.png"
    picture.save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        loaded = load_image(path)
        path.unlink()
    assert same(loaded.copy(), picture)


def test_url(picture, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("a.png", "é b.png"):
        picture.save(tmp_path / name)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for path in ("/a.png", "/a.png?size=3", "/é b.png", "/%C3%A9%20b.png"):
            assert same(load_image(url + path), picture), path
        assert same(load_image({"bytes": None, "path": url.upper() + "/a.png"}), picture)
        with pytest.raises(ImageLoadError, match=f"^images.2. before '{url}/gone.png'.*404"):
            load_image(f"{url}/gone.png", "images[2] before")
        server.shutdown()
    with pytest.raises(ImageLoadError, match="cannot be downloaded"):  # nobody is there any more
        load_image(f"{url}/a.png", timeout=5)


def test_missing_file_and_folder(tmp_path):
    missing = tmp_path / "gone.png"
    with pytest.raises(FileNotFoundError, match="no such file") as caught:
        load_image(missing, "images[0] before")
    assert isinstance(caught.value, ImageFileNotFoundError) and str(missing) in str(caught.value)
    with pytest.raises(IsADirectoryError, match="is a folder. Give the path of one image file") as caught:
        load_image(str(tmp_path))
    assert isinstance(caught.value, ImageIsADirectoryError) and str(tmp_path) in str(caught.value)
    for odd in ("", "a\0b.png"):
        with pytest.raises(FileNotFoundError, match="no such file"):
            load_image(odd)
    with pytest.raises(FileNotFoundError) as caught:
        load_image("A" * 5000)  # base64 without its data: prefix, for example
    assert len(str(caught.value)) < 600


def test_truncated_image_that_was_opened_elsewhere(picture):
    data = encode(picture.resize((300, 300)), "JPEG")
    with pytest.raises(ImageLoadError, match="left: cannot be decoded"):
        load_image(Image.open(io.BytesIO(data[:-600])), "left")


def test_decompression_bomb(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)  # Pillow refuses twice that; the picture has 15
    with pytest.raises(ImageLoadError, match=r"left .*15 pixels.*raise PIL.Image.MAX_IMAGE_PIXELS \(now 7\)"):
        load_image(encode(picture), "left", draft_size=(1, 1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    with pytest.warns(Image.DecompressionBombWarning):
        assert same(load_image(encode(picture)), picture)


def test_errors_survive_a_worker_process():
    for kind in (ImageLoadError, ImageFileNotFoundError, ImageIsADirectoryError, ImageTypeError):
        again = pickle.loads(pickle.dumps(kind("images[0] before: gone")))
        assert type(again) is kind and str(again) == "images[0] before: gone"
