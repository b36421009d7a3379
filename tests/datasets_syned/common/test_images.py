"""The one function that opens images: what it reads, what it refuses, and that it shows what the canvas shows."""

import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from datasets_syned.common.image_paths import content_of, data_folders
from datasets_syned.common.images import ImageError, damage, load_image, open_image, read_file, to_rgb
from modeling_blip2idc import load_image as canvas_image
from tests.support.hostile_images import FILES
from tests.support.hostile_runs import outcomes
from tests.support.image_bytes import png
from tests.support.pictures import encode, noise, photo, same

FORMATS = ("AVIF", "BMP", "DDS", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF")
RGBA = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 4), dtype=np.uint8))
VIDEO = b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).integers(0, 256, 60_000, dtype=np.uint8).tobytes()


def grey(high, kind):
    """A ramp from 0 to `high`."""
    return Image.fromarray(np.linspace(0, high, 30 * 20).reshape(20, 30).astype(kind))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="limits a process as Linux does")
@pytest.mark.parametrize(
    "how", ["to_rgb", *(pytest.param(how, marks=pytest.mark.slow) for how in ("audit", "collator"))]
)
def test_each_hostile_file_is_one_clear_error(hostile, how):
    came = outcomes(how, *hostile)
    assert set(came) >= set(FILES)
    for name, outcome in came.items():
        some_are_read = name.startswith(("changed_", "cut_")) or name == "sparse_ppm"
        assert outcome.startswith("ImageError from ") or some_are_read and outcome == "read", (name, outcome)
        assert outcome == "read" or f"{name}.png" in outcome and len(outcome) < 400, outcome


def test_heic_without_a_plugin_is_named():
    with pytest.raises(ImageError, match="IMG_1.HEIC is HEIC: save it as JPEG, or register pillow-heif"):
        open_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "IMG_1.HEIC")


@pytest.mark.parametrize("format", [*FORMATS, "WEBP"])
def test_the_canvas_shows_the_same_pixels(format):
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [RGBA.convert(mode) for mode in ("RGBA", "1", "L", "LA", "P", "RGB", "CMYK", "LAB")]
    images += [grey(65535, np.uint16), grey(4095, np.uint16), grey(200, np.int32), grey(1, np.float32)]
    read = 0
    for image in images:
        for options in ({}, {"exif": exif}, {"transparency": 3}):
            try:
                content = encode(image, format, **options)
            except Exception:  # Pillow does not write this
                continue
            assert same(to_rgb(open_image(content, "it"), "it"), canvas_image(content)), (image.mode, options)
            assert damage(content) is None and damage(content, thorough=True) is None
            read += 1
    assert read


@pytest.mark.parametrize(
    ("high", "kind"), [(4095, np.uint16), (1023, np.uint16), (65535, np.uint16), (4095, np.int32)]
)
def test_sixteen_bits_of_which_fewer_are_used(high, kind):
    shown = np.asarray(to_rgb(grey(high, kind), "it", by_range=True))[..., 0]
    assert (shown.min(), shown.max()) == (0, 255) and shown.mean() == pytest.approx(127.5, abs=1)
    assert np.array_equal(np.asarray(to_rgb(Image.fromarray(shown), "it", by_range=True))[..., 0], shown)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (grey(np.nan, np.float32), "it has values that are NaN or infinite"),
        (grey(60_000, np.float32), "it has values from 0 to 6e+04; right are 0 to 1, or 0 to 255"),
        (grey(70_000, np.int32), "it has values from 0 to 70000; right are 0 to 255, or 0 to 65535"),
        (Image.new("RGB", (0, 5)), "it has no pixels"),
    ],
)
def test_values_that_do_not_say_what_white_is(image, message):
    with pytest.raises(ImageError) as caught:
        to_rgb(image, "it")
    assert str(caught.value) == message == str(pickle.loads(pickle.dumps(caught.value)))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "MPO"])
def test_bytes_behind_the_end_are_nothing_wrong(format):
    for behind in (VIDEO, bytes(5000)):
        content = encode(photo(64, 48, 0), format) + behind
        assert damage(content) is None and damage(content, thorough=True) is None
        assert load_image(content, "it").size == (64, 48)


def flipped(format):
    content = bytearray(encode(noise(300, 200), format))
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


@pytest.mark.parametrize("format", FORMATS)
def test_damage_that_is_found_by_looking_thoroughly(format):
    content = encode(noise(300, 200), format)
    assert damage(content[: len(content) * 2 // 3], thorough=True)
    if format in ("JPEG", "PNG"):
        assert damage(content[:-20])  # also without
    if format == "PNG":
        assert damage(flipped("PNG")) is None and damage(flipped("PNG"), thorough=True)


def test_too_large_for_pillow():
    content = png(14_000, 14_000, kind=0, depth=1)
    for read in (open_image, load_image):
        with pytest.raises(ImageError, match=r"^it is too large: .*196000000 pixels.* PIL.Image.MAX_IMAGE_PIXELS"):
            read(content, "it")


def test_names_that_no_file_can_have(tmp_path):
    for name, message in (("\ud800.png", "surrogates not allowed"), ("a\0.png", "null byte")):
        with pytest.raises(ImageError, match=f"cannot be the name of a file: .*{message}") as caught:
            read_file(tmp_path / name)
        str(caught.value).encode()  # can be printed
    with pytest.raises(ImageError, match=r"gone.png is missing"):
        read_file(tmp_path / "gone.png")


def test_paths_of_cells_are_followed_inside_the_data_folder_alone(tmp_path):
    folder, content = tmp_path / "data", encode(noise())
    (folder / "images").mkdir(parents=True)
    for place in (tmp_path / "private.png", folder / "images" / "a.png"):
        place.write_bytes(content)
    (folder / "link.png").symlink_to(tmp_path / "private.png")
    folders = data_folders({"path": "imagefolder", "data_dir": str(folder)})
    for path in ("images/a.png", str(folder / "images" / "a.png"), "link.png"):
        assert content_of({"bytes": None, "path": path}, "it", folders) == content
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(folder / "images" / "a.png", "a.png")
    shutil.copy(folder / "a.zip", tmp_path / "private.zip")
    assert content_of({"bytes": None, "path": f"zip://a.png::{folder}/a.zip"}, "it", folders) == content
    for path in (f"zip://b.png::{folder}/a.zip", f"zip://a.png::{tmp_path}/private.zip"):
        with pytest.raises(ImageError, match=r"There is no item named|Such a path is not followed"):
            content_of({"bytes": None, "path": path}, "it", folders)
    outside = ("../private.png", str(tmp_path / "private.png"), f"{folder}/../private.png", "images/../../private.png")
    refused = "it is only a path, .* Such a path is not followed|is missing|not a regular file"
    for path in (*outside, "http://localhost/a.png", "data", "images/a.png"):
        with pytest.raises(ImageError, match=refused):
            content_of({"bytes": None, "path": path}, "it", () if path == "images/a.png" else folders)
    assert content_of({"bytes": b"x", "path": "/etc/passwd"}, "it") == b"x"
