"""`load_image`: EXIF orientation, first frames, and JPEGs decoded at reduced scale."""

import io

import numpy as np
import pytest
from PIL import Image

from modeling_blip2idc.image_utils_blip2idc import (
    load_image,
    load_image_and_size,
)
from tests.support.pictures import encode, noise, same

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def picture() -> Image.Image:
    return noise()


TURNS = {  # EXIF 2.32, tag 0x0112: how the stored pixels become the upright image
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation(picture, orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(picture, format, exif=exif, **({"lossless": True} if format == "WEBP" else {}))
    stored = (
        np.asarray(Image.open(io.BytesIO(encode(picture, format))).convert("RGB")) if format == "JPEG" else picture
    )
    upright = TURNS[orientation](np.asarray(stored))
    loaded, size = load_image_and_size(data)
    assert same(loaded, upright)
    assert size == loaded.size[::-1] == upright.shape[:2]
    assert same(load_image(Image.open(io.BytesIO(data))), upright)
    assert same(load_image(loaded), upright)  # not turned twice


def test_damaged_exif_is_ignored(picture):
    data = encode(picture, "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01\x12")
    assert load_image(data).size == (5, 3)
    broken = Image.open(io.BytesIO(encode(picture)))
    broken.info["Raw profile type exif"] = "\nexif\n 5\nno hexadecimal digits"
    assert same(load_image(broken), picture)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation(format):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert same(load_image(data), frames[0])


def test_a_pil_image_is_not_changed(picture):
    animation = Image.open(io.BytesIO(encode(picture, "GIF", save_all=True, append_images=[Image.new("L", (5, 3))])))
    animation.seek(1)
    assert np.asarray(load_image(animation)).max() == 0 and animation.tell() == 1  # the frame the caller chose
    jpeg = Image.open(io.BytesIO(encode(picture.resize((64, 64)), "JPEG")))
    assert load_image(jpeg, draft_size=(8, 8)).size == jpeg.size == (64, 64)
    assert jpeg.mode == "RGB"


@pytest.mark.parametrize(
    ("draft_size", "decoded"),
    [
        ((50, 100), (100, 75)),
        ((50, 101), (200, 150)),
        ((76, 50), (200, 150)),
        ((1, 1), (100, 75)),
        ((1, 801), (800, 600)),
    ],
)
def test_jpeg_is_decoded_no_smaller_than_needed(picture, draft_size, decoded):
    data = encode(picture.resize((800, 600), Image.Resampling.BICUBIC), "JPEG")
    image, size = load_image_and_size(data, draft_size=draft_size)
    assert image.size == decoded and size == (600, 800)


def test_draft_of_a_turned_jpeg(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 800 x 400, upright 400 x 800
    data = encode(picture.resize((800, 400), Image.Resampling.BICUBIC), "JPEG", exif=exif)
    image, size = load_image_and_size(data, draft_size=(200, 50))  # upright: 8 times and 4 times
    assert image.size == (100, 200) and size == (800, 400)  # (height, width)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_draft_of_other_jpegs(mode):
    gradient = Image.linear_gradient("L").resize((400, 400)).convert(mode)
    image, size = load_image_and_size(encode(gradient, "JPEG"), draft_size=(50, 50))
    assert image.size == (50, 50) and size == (400, 400)
    assert np.abs(np.asarray(image, float) - np.asarray(gradient.convert("RGB").reduce(8), float)).max() < 6


def test_draft_of_a_phone_jpeg_with_a_second_picture(picture):
    data = encode(picture.resize((800, 400)), "MPO", save_all=True, append_images=[picture])
    image, size = load_image_and_size(data, draft_size=(50, 100))
    assert image.size == (100, 50) and size == (400, 800)
