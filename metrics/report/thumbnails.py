"""Small images inside a page."""

import base64
from io import BytesIO
from typing import Any

import numpy as np

LONGEST = 256  # pixels of the longer side
QUALITY = 86


def data_uri(image: Any) -> tuple[str, int, int]:
    """
    An image as a small JPEG; transparent parts are white.

    Args:
        image (`PIL.Image.Image`): files are opened elsewhere, with limits on what opening them may cost.

    Returns:
        `tuple[str, int, int]`: a data URI, width and height in pixels.

    Raises:
        TypeError: it is not an image of Pillow.
        Exception: it is damaged; Pillow's decoders raise nearly anything.
    """
    from PIL import Image, ImageOps

    if not isinstance(image, Image.Image):
        raise TypeError(f"it is a {type(image).__name__}, and not a PIL.Image.Image")
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
