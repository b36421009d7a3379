"""`load_image`: pixels to exact values, of PIL modes, arrays, turned and reduced files; and what is not an image."""

import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_blip2idc.image_utils_blip2idc import ImageLoadError, load_image, load_image_and_size
from tests.support.pictures import encode, noise, same

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def picture() -> Image.Image:
    return noise()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"])
def test_opaque_modes_are_what_pillow_converts(mode):
    gradient = Image.linear_gradient("L").resize((8, 8)).convert(mode)
    assert same(load_image(gradient), gradient.convert("RGB"))


def test_alpha_goes_over_white():
    for mode, half in [("RGBA", (255, 127, 127)), ("LA", (127, 127, 127))]:
        clear, opaque = ((255, 0, 0, 0), RED) if mode == "RGBA" else ((0, 0), (0, 0, 0))
        image = Image.new(mode, (3, 1), clear)
        image.putpixel((1, 0), clear[:-1] + (255,))
        image.putpixel((2, 0), clear[:-1] + (128,))
        assert np.asarray(load_image(image)).tolist() == [[list(WHITE), list(opaque), list(half)]]


def test_transparent_palette_and_colour_keys(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    grey = Image.fromarray(np.array([[7, 9]], dtype=np.uint8))
    deep = Image.fromarray(np.array([[300, 65535 - 257]], dtype=np.uint16))
    colour = Image.fromarray(np.array([[RED, BLUE]], dtype=np.uint8))
    assert load_image(encode(palette, transparency=0)).tobytes() == bytes([*WHITE, *BLUE])
    assert load_image(encode(palette, "GIF", transparency=1)).tobytes() == bytes([*RED, *WHITE])
    assert load_image(encode(palette, transparency=bytes([0, 255]))).tobytes() == bytes([*WHITE, *BLUE])
    assert load_image(encode(grey, transparency=7)).tobytes() == bytes([*WHITE, 9, 9, 9])
    assert load_image(encode(colour, transparency=BLUE)).tobytes() == bytes([*RED, *WHITE])
    assert load_image(encode(deep, transparency=300)).tobytes() == bytes([*WHITE, 254, 254, 254])


SIXTEEN = np.array([[0, 128, 129, 257, 25700, 65406, 65407, 65535]], dtype=np.uint16)
EIGHT = [0, 0, 1, 1, 100, 254, 255, 255]  # round(v / 257)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_sixteen_bit_is_divided_by_257(mode):
    array = SIXTEEN.astype({"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode])
    image = Image.frombytes(mode, (8, 1), array.tobytes())
    assert image.mode == mode
    assert np.asarray(load_image(image))[0, :, 1].tolist() == EIGHT


@pytest.mark.parametrize("mode", ["I", "F"])
def test_wide_modes_with_eight_bit_values(mode):
    gradient = Image.linear_gradient("L").resize((8, 8))
    assert same(load_image(gradient.convert(mode)), gradient.convert("RGB"))


def test_float_mode():
    image = Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert np.asarray(load_image(image))[0, :, 2].tolist() == [0, 128, 255]
    for bad, message in [(-5.0, "from -5 to 1"), (256.0, "to 256"), (np.nan, "NaN")]:
        with pytest.raises(ImageLoadError, match=message):
            load_image(Image.fromarray(np.array([[bad, 1.0]], dtype=np.float32)))
    for bad in (-1, 65536):
        with pytest.raises(ImageLoadError, match="int32 values go from"):
            load_image(Image.fromarray(np.array([[bad, 70000]], dtype=np.int32)))


def test_array_types():
    levels = np.array([[0, 1, 128, 255]], dtype=np.uint8)
    grey = np.repeat(levels[..., None], 3, axis=2)
    for array in (
        levels,
        levels.astype(np.int64),
        levels.astype(np.uint16) * 257,
        levels.astype(">u2") * 257,
        levels / 255,
        (levels / 255).astype(np.float32),
        levels / 255 * (1 + 1e-6),
        grey[:, ::-1][:, ::-1],
    ):
        assert same(load_image(array), grey), array.dtype
    assert np.asarray(load_image(np.array([[True, False]])))[0].tolist() == [[255] * 3, [0] * 3]
    for dtype in (torch.uint8, torch.int64):
        assert same(load_image(torch.from_numpy(levels).to(dtype)), grey), dtype
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        tensor = torch.tensor([[0, 1]], dtype=dtype, requires_grad=True)
        assert np.asarray(load_image(tensor))[0].tolist() == [[0] * 3, [255] * 3], dtype


def test_array_shapes(picture):
    hwc = np.asarray(picture)
    grey = hwc[..., 0]
    for array, expected in [
        (hwc.transpose(2, 0, 1), hwc),
        (grey, np.stack([grey] * 3, 2)),
        (grey[..., None], np.stack([grey] * 3, 2)),
        (np.dstack([hwc, np.zeros_like(grey)]), np.full_like(hwc, 255)),
        (np.dstack([grey, np.full_like(grey, 255)]), np.stack([grey] * 3, 2)),
    ]:
        assert same(load_image(array), expected), array.shape
    both_ways = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    assert load_image(both_ways).size == (4, 3)  # numpy: (H, W, C)
    assert load_image(torch.from_numpy(both_ways)).size == (3, 4)  # torch: (C, H, W)
    assert same(load_image(torch.from_numpy(both_ways)), both_ways.transpose(1, 2, 0))


NAN = np.zeros((2, 2))
NAN[0, 0], NAN[1, 1] = np.nan, np.inf


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (None, TypeError, "None is not an image. Give a PIL image, a path"),
        ([[0, 1], [2, 3]], TypeError, "a list is not an image"),
        ({"before": 1, "after": 2}, TypeError, "a pair where one image is expected"),
        ({"bytes": None, "path": None}, ValueError, "neither 'bytes' nor 'path'"),
        pytest.param(io.StringIO("x"), TypeError, "text mode", id="text"),
        (b"", ValueError, "is empty"),
        (b"hello, I am a text", ValueError, r"starts with b'hello, I am a te'"),
        (np.zeros((0, 0, 3), np.uint8), ValueError, r"shape \(0, 0, 3\) holds no pixels"),
        (Image.new("RGB", (0, 0)), ValueError, r"is empty \(0x0 pixels\)"),
        (np.zeros(5), ValueError, r"shape \(5,\) is not an image"),
        (torch.zeros(2, 5, 7), ValueError, r"shape \(2, 5, 7\) is not an image"),
        (torch.zeros(8, 3, 5, 7), ValueError, r"shape \(8, 3, 5, 7\) .* looks like a batch"),
        (torch.zeros(3, 5, 7, device="meta"), TypeError, "cannot be read as an array"),
        (NAN, ValueError, "2 of 4 values are NaN or infinite"),
        (np.array([[-2.1, 2.6]]), ValueError, r"from -2.1 to 2.6, they must lie in \[0, 1\]"),
        (np.array([[0.0, 255.0]]), ValueError, "give uint8"),
        (np.array([[-1, 5]]), ValueError, "int64 values go from -1 to 5"),
        (np.array([[0, 256]]), ValueError, "16-bit images are uint16"),
        (np.array([[1j]]), TypeError, "complex128 holds no pixels"),
    ],
    ids=lambda value: None if isinstance(value, type) else repr(value)[:30].replace("\n", " "),
)
def test_what_is_no_image(image, kind, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageLoadError, match=message) as caught:
            load_image(image, "images[3] after")
    assert isinstance(caught.value, kind)
    assert str(caught.value).startswith("images[3] after")


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


@pytest.mark.parametrize("kind", ["L", "CMYK", "a phone's, with a second picture"])
def test_draft_of_other_jpegs(kind):
    gradient, options = Image.linear_gradient("L").resize((400, 400)), {"format": "JPEG"}
    if len(kind) > 4:
        kind, options = "RGB", {"format": "MPO", "save_all": True, "append_images": [noise()]}
    image, size = load_image_and_size(encode(gradient.convert(kind), **options), draft_size=(50, 50))
    assert image.size == (50, 50) and size == (400, 400)
    assert np.abs(np.asarray(image, float) - np.asarray(gradient.convert("RGB").reduce(8), float)).max() < 6
