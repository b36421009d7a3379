"""Image files in, image files out."""

import io

from PIL import Image

from ..common.images import ImageError, damage, open_image, to_rgb
from .sources import SourceError

FILES = {"png": {"format": "PNG", "compress_level": 6}, "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0}}
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
        rgb = to_rgb(image, "the image")
    except ImageError as error:
        raise SourceError(str(error)) from error
    same = rgb is image and image.format in KEPT_AS_THEY_ARE and damage(content) is None
    return rgb, content if same else encoded(rgb, "png")


def encoded(image: Image.Image, kind: str) -> bytes:
    """An RGB image as the content of a file, "png" or "jpeg"."""
    buffer = io.BytesIO()
    image.save(buffer, **FILES[kind])
    return buffer.getvalue()
