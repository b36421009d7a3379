"""Image files in, image files out."""

import io

import numpy as np
from PIL import Image

from ..common.images import ImageError, damage, open_image, to_rgb
from .sources import SourceError

FILES = {"png": {"format": "PNG", "compress_level": 6}, "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0}}
MOST_MOVED = 2  # pixels, of an unchanged pair
KEPT_AS_THEY_ARE = ("JPEG", "MPO", "PNG", "WEBP")  # what every reader of the data set can open


def opened(content: bytes) -> tuple[Image.Image, bytes]:
    """
    Decodes an image file.

    Returns:
        `tuple[PIL.Image.Image, bytes]`: the image, RGB and upright, on white where transparent; and a file of it: the
        one that was given, unless it shows something else or not every reader can open it.

    Raises:
        SourceError: it is not an image, or a broken one.
    """
    try:
        image = open_image(content, "the image")
        rgb = to_rgb(image, "the image", by_range=True)
    except ImageError as error:
        raise SourceError(str(error)) from error
    same = rgb is image and image.format in KEPT_AS_THEY_ARE and damage(content) is None
    return rgb, content if same else encoded(rgb, "png")


def moved(image: Image.Image, seed: int) -> Image.Image:
    """An RGB image as another photograph of the same would be: moved by up to two pixels, and saved as JPEG."""
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, 2 * MOST_MOVED + 1, 2)
    pixels = np.pad(np.asarray(image), [(MOST_MOVED, MOST_MOVED)] * 2 + [(0, 0)], mode="edge")  # (height, width, 3)
    buffer = io.BytesIO()
    moved = Image.fromarray(pixels[top : top + image.height, left : left + image.width])
    moved.save(buffer, "JPEG", quality=int(rng.integers(70, 96)))
    return Image.open(buffer).convert("RGB")


def encoded(image: Image.Image, kind: str) -> bytes:
    """An RGB image as the content of a file, "png" or "jpeg"."""
    buffer = io.BytesIO()
    image.save(buffer, **FILES[kind])
    return buffer.getvalue()
