"""Small images inside a page."""

import base64
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

LONGEST = 256  # pixels of the longer side
QUALITY = 86
FORMATS = (
    "BMP",
    "GIF",
    "JPEG",
    "JPEG2000",
    "PNG",
    "PPM",
    "TIFF",
    "WEBP",
    "AVIF",  # last: Pillow 11.0 does not know it, and would stop there
)  # Pillow's others may start programs
MAX_PIXELS = 50_000_000


def data_uri(image: Any) -> tuple[str, int, int]:
    """
    An image as a small JPEG; transparent parts are white.

    Args:
        image (`PIL.Image.Image`, `str`, `os.PathLike` or `dict`): an image, its path, or `{"bytes", "path"}` as
            `datasets.Image(decode=False)` gives it.

    Returns:
        `tuple[str, int, int]`: a data URI, width and height in pixels.

    Raises:
        ValueError: it has too many pixels.
        Exception: it is damaged, or not in one of `FORMATS`; Pillow's decoders raise nearly anything.
    """
    from PIL import Image, ImageOps

    if isinstance(image, Mapping):
        image = BytesIO(image["bytes"]) if image.get("bytes") else image["path"]
    if not isinstance(image, Image.Image):
        image = Image.open(image, formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"it has more than {MAX_PIXELS // 10**6} megapixels")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # more than 8 bits
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        image = Image.fromarray(np.uint8(255 * (values - values.min()) / (np.ptp(values) or 1)))
    clear = image.mode in ("PA", "LA", "RGBA", "La", "RGBa") or "transparency" in image.info
    image = image.convert("RGBA" if clear else "RGB")
    image.thumbnail((LONGEST, LONGEST))
    if clear:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}", *image.size
