"""Image files in, image files out."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .sources import SourceError

FORMATS = {"png": {"format": "PNG", "compress_level": 6}, "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0}}
UPRIGHT, ORIENTATION = 1, 0x0112  # of EXIF


def opened(content: bytes) -> tuple[Image.Image, bytes]:
    """
    Decodes an image file.

    Returns:
        `tuple[PIL.Image.Image, bytes]`: the image, RGB and upright, on white where transparent; and a file of it:
        the one that was given, unless it holds something else than that.

    Raises:
        SourceError: it is no image, or a broken one.
    """
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except UnidentifiedImageError:
        raise SourceError("the image cannot be decoded: it is of no format that Pillow knows") from None
    except Exception as error:  # decoders raise many kinds
        raise SourceError(f"the image cannot be decoded: {error}") from None
    try:
        upright = image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT
    except Exception:  # what cannot be read turns nothing
        upright = True
    if image.mode == "RGB" and upright:
        return image, content
    try:
        image = as_rgb(image if upright else ImageOps.exif_transpose(image))
    except ValueError as error:
        raise SourceError(str(error)) from None
    return image, encoded(image, "png")


def as_rgb(image: Image.Image) -> Image.Image:
    """
    An image in RGB, on white where transparent.

    Raises:
        ValueError: its mode does not tell what is white.
    """
    if image.mode.startswith("I;16"):  # Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"the image has mode {image.mode}, which does not say what is white; save it with 8 bits")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def encoded(image: Image.Image, kind: str) -> bytes:
    """An image as the content of a file, of one of `FORMATS`."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, **FORMATS[kind])
    return buffer.getvalue()
