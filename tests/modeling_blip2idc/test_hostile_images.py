"""Hostile images end in one clear error: no hang, no other program, at most 1 GiB; ordinary ones keep their pixels."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from modeling_blip2idc.image_files_blip2idc import ImageLoadError, open_image
from modeling_blip2idc.image_limits_blip2idc import MAX_SLOW_PIXELS
from modeling_blip2idc.image_utils_blip2idc import load_image
from tests.support.hostile_images import FILES
from tests.support.hostile_runs import outcomes
from tests.support.image_bytes import POSTSCRIPT, png, scans
from tests.support.pictures import encode, noise, same
from tests.support.source_tree import ROOT

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="limits a process as Linux does")


@pytest.mark.parametrize("how", ["load_image", pytest.param("pipeline", marks=pytest.mark.slow)])
def test_each_hostile_file_is_one_clear_error(hostile, how):
    folder, env = hostile
    came = outcomes(how, folder, env)
    assert set(came) >= set(FILES) and len(FILES) > 90
    for name, outcome in came.items():
        kind, _, message = outcome.partition(": ")
        if name.startswith(("changed_", "cut_")) or name == "sparse_ppm":  # some can be read
            assert outcome == "read" or kind.startswith("ImageLoadError from"), (name, outcome)
            continue
        assert kind.split(" from ")[0] in (
            {"folder": "ImageIsADirectoryError", "circle": "ImageFileNotFoundError"}.get(name),
            "ImageLoadError",
        ), (name, outcome)
        assert f"{name}.png" in message and len(message) < 600, message
        assert message.count(". ") >= 1 or message.endswith("."), message
        if name in FILES:
            assert not kind.endswith("NoneType"), (name, outcome)  # the cause is kept


@pytest.mark.slow
def test_images_just_below_the_limit_fit_into_one_gibibyte(tmp_path):
    from tests.support.hostile_runs import write_large

    write_large(tmp_path)
    for path in sorted(tmp_path.iterdir()):  # each in a process of its own: the allocator gives back only some
        (tmp_path / "one").mkdir(exist_ok=True)
        assert outcomes("load_image", path.replace(tmp_path / "one" / path.name).parent, os.environ) == {
            path.stem: "read"
        }
        (tmp_path / "one" / path.name).unlink()


@pytest.mark.slow
def test_the_command_goes_on_to_the_next_pair(hostile, tmp_path):
    folder, env = hostile
    noise().save(tmp_path / "good.png")
    names = sorted(FILES)
    table = "".join(f"{folder}/{name}.png,{tmp_path}/good.png\n" for name in names)
    (tmp_path / "pairs.csv").write_text(f"before,after\n{table}{tmp_path}/good.png,{tmp_path}/good.png\n")
    command = [sys.executable, "-m", "blip2idc_cli", str(tmp_path / "pairs.csv"), "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and len(rows) == len(names) + 1 and "generated_text" in rows[-1]
    for name, row in zip(names, rows, strict=False):
        assert f"{name}.png" in row["error"], row
    assert "Traceback" not in done.stderr


def reference(content: bytes) -> Image.Image:
    """What an ordinary file of up to 8 bits shows, in few words."""
    image = Image.open(io.BytesIO(content))
    image.load()
    transparent = image.has_transparency_data
    image = ImageOps.exif_transpose(image)
    if not transparent:
        return image.convert("RGB")
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


MODES = ("RGBA", "1", "L", "LA", "La", "P", "PA", "RGB", "RGBa", "CMYK", "YCbCr", "LAB", "HSV")
SIXTEEN = np.linspace(0, 65535, 30 * 20).reshape(20, 30)


@pytest.mark.parametrize("format", sorted(set(Image.registered_extensions().values()) & set(Image.SAVE) | {"MPO"}))
def test_ordinary_files_keep_their_pixels(format):
    """Each format that Pillow writes, in each mode it has, turned and not."""
    rgba = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 4), dtype=np.uint8))
    read = set()
    for mode in ("RGBA",) if format == "ICNS" else MODES:
        image = rgba.convert("LA").convert(mode) if mode in ("La", "PA") else rgba.convert(mode)
        exif = Image.Exif()
        exif[0x0112] = 6
        for options in ({}, {"exif": exif}, {"progressive": True}, {"transparency": 3}, {"lossless": True}):
            if options and format == "ICNS":  # takes a second each
                break
            try:
                content = encode(image, format, **options)
                if content in read:
                    continue
                expected = reference(content)
            except Exception:  # Pillow does not write this, or not read what it wrote
                continue
            if format in ("EPS", "PDF", "WMF", "PALM", "BUFR", "GRIB", "HDF5"):
                with pytest.raises(ImageLoadError, match="not an image format that is read here"):
                    load_image(content)
                continue
            assert same(load_image(content), expected), (mode, options)
            read.add(content)
    assert read or format in ("EPS", "PDF", "WMF", "PALM", "BUFR", "GRIB", "HDF5")


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_keep_their_pixels(format):
    image = Image.fromarray(SIXTEEN.astype(np.uint16))
    expected = np.rint(SIXTEEN.astype(np.uint16) / 257).astype(np.uint8)
    assert (np.asarray(load_image(encode(image, format)))[..., 0] == expected).all()


def test_transparency_over_white_of_more_than_a_megapixel():
    pixels = np.random.default_rng(0).integers(0, 256, (1100, 1000, 4), dtype=np.uint8)
    content = encode(Image.fromarray(pixels), "TGA")
    assert same(load_image(content), reference(content))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_large_images_that_fit_are_read():
    """Just below the limits: 132 megapixels without transparency, 100 with it."""
    from tests.support.image_bytes import chunk

    for width, kind in ((12000, 0), (11000, 3)):
        opened = open_image(png(width, 11000, chunk(b"PLTE", bytes(3)), kind=kind), "it")
        assert opened.size == (width, 11000)
    assert open_image(png(9500, 10500, kind=6), "it").mode == "RGBA"
    assert load_image(scans(100, 600)).size == (600, 600)
    assert load_image(png(499_000, 1, kind=0, depth=1)).height == 1
    side = int(MAX_SLOW_PIXELS**0.5)
    assert load_image(b"qoif" + side.to_bytes(4) * 2 + b"\3\0" + b"\xfd" * (side * side // 62 + 1)).size == (
        side,
        side,
    )


def test_formats_and_size_may_be_narrower():
    """As the page wants them."""
    with pytest.raises(ImageLoadError, match="it: starts with b'BM.*not an image format that is read here"):
        open_image(encode(noise(), "BMP"), "it", formats=("PNG",))
    for source in (bytes(2_000_001), io.BytesIO(bytes(2_000_001))):
        with pytest.raises(ImageLoadError, match="it: is larger than 2 MB, which is the limit"):
            open_image(source, "it", max_bytes=2_000_000)
    with pytest.raises(ImageLoadError, match="not an image format"):
        open_image(POSTSCRIPT, "it")


def test_a_plugin_of_the_user_is_used(monkeypatch):
    """`register_heif_opener()` of pillow-heif adds the format HEIF."""
    from PIL import PngImagePlugin

    class Heif(PngImagePlugin.PngImageFile):
        format = "HEIF"

        def _open(self):
            self.fp.seek(8)
            self.fp = io.BytesIO(self.fp.read())
            super()._open()

    monkeypatch.setitem(Image.OPEN, "HEIF", (Heif, lambda prefix: prefix.startswith(b"heifheif")))
    assert same(load_image(b"heifheif" + encode(noise())), noise())
