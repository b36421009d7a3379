"""What differs between photographs of one scene in which nothing changed: camera, exposure, colors, compression."""

import io

import numpy as np
from PIL import Image

from .objects import scale_channels

MARGIN = 0.05  # of the height: how far the camera moves at most
EXPOSURE, WHITE_BALANCE = 0.07, 0.035  # how far gains of all channels, and of each, are from 1
QUALITY = (70, 95)  # of the JPEG file, at a jitter of 1


def shoot(
    image: Image.Image, mask: np.ndarray, margin: int, rng: np.random.Generator, jitter: float
) -> tuple[bytes, np.ndarray]:
    """
    Takes a photograph of a composed frame: cuts its margin off, not quite in the middle, and saves a JPEG file.

    Args:
        image (`PIL.Image.Image`): RGB, with a margin on each side.
        mask (`np.ndarray` of shape `(height, width)`): of the same size.
        margin (`int`): pixels.
        rng (`np.random.Generator`): draws the differences.
        jitter (`float`): their scale.

    Returns:
        `tuple[bytes, np.ndarray]`: the JPEG file, and the mask without its margin.
    """
    reach = min(1.0, jitter) * margin
    x, y = (margin + round(float(d) * reach) for d in rng.uniform(-1, 1, 2))
    width, height = image.width - 2 * margin, image.height - 2 * margin
    gains = (1 + jitter * EXPOSURE * rng.uniform(-1, 1)) * (1 + jitter * WHITE_BALANCE * rng.uniform(-1, 1, 3))
    shot = image.crop((x, y, x + width, y + height))
    if jitter:
        shot = scale_channels(shot, gains)
    quality = round(QUALITY[1] - min(2.0, jitter) * (QUALITY[1] - QUALITY[0]) * rng.random())
    file = io.BytesIO()
    shot.save(file, "JPEG", quality=quality)
    return file.getvalue(), np.ascontiguousarray(mask[y : y + height, x : x + width])
