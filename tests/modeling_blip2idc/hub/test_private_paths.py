"""What must not be published: what is searched, and what is found in it."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from modeling_blip2idc.hub.private_paths import check_private_paths

HOME = "/" + "home/bob/"  # of another machine; written so that no file of ours has one in it


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "staged"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "text", ["{tmp}/data", "a {home}/x", f"{HOME}y", "C:\\Users\\bob", "/" + "Users/bob/z", "file:{cwd}", "{venv}/bin"]
)
def test_places(text, folder):
    places = {"tmp": folder.parent, "home": Path.home(), "cwd": Path.cwd(), "venv": sys.prefix}
    text = text.format(**places)
    (folder / "config.json").write_text(json.dumps({"where": text}).replace("/", "\\/"))
    with pytest.raises(ValueError, match=r"^config.json is not published: it names the (folder|place) "):
        check_private_paths(folder, [folder.parent])


def test_inside_of_weights_and_pictures(folder):
    save_file({"x": torch.zeros(1)}, folder / "w.safetensors", metadata={"from": f"{HOME}base"})
    with pytest.raises(ValueError, match=r"^w.safetensors is not published"):
        check_private_paths(folder)
    (folder / "w.safetensors").unlink()
    info = PngInfo()
    info.add_text("Source", f"{HOME}plot.py", zip=True)
    Image.new("RGB", (4, 4)).save(folder / "curves.png", pnginfo=info)
    with pytest.raises(ValueError, match=r"^curves.png is not published"):
        check_private_paths(folder)


@pytest.mark.parametrize("part", [0, 60, -500])
def test_damaged_pictures(folder, part):
    Image.effect_noise((64, 64), 50).save(folder / "curves.png")
    (folder / "curves.png").write_bytes((folder / "curves.png").read_bytes()[:part])
    with pytest.raises(ValueError, match=r"^curves.png is damaged, and not published \(") as caught:
        check_private_paths(folder)
    assert str(folder) not in str(caught.value)


def test_tokens_are_not_repeated(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "notes.txt").write_text("hf_abcdef")
    with pytest.raises(ValueError, match=r"^sub/notes.txt is not published: a token is in it") as caught:
        check_private_paths(folder, tokens=["hf_abcdef"])
    assert "hf_abcdef" not in str(caught.value)


def test_what_is_no_leak(folder):
    (folder / "README.md").write_text("https://hub.co/home/x ./tmp/x ~/data and/or data/home/x 1/2 /usr/bin")
    (folder / "tokenizer.json").write_text(json.dumps({"/home/": 1, "/root": 2}))
    check_private_paths(folder, tokens=[""])
