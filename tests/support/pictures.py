"""Pictures that the tests of the canvas share."""

import io

import numpy as np
from PIL import Image, ImageDraw


def noise(width: int = 5, height: int = 3, seed: int = 0) -> Image.Image:
    """Every pixel another colour."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def photo(width: int, height: int, seed: int) -> Image.Image:
    """Photographic in its statistics: noise at every scale (amplitude ~ 1 / frequency), shading and hard edges."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    cells = 2
    while cells < 2 * max(width, height):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pixels += np.asarray(noise.resize((width, height), Image.Resampling.BILINEAR), np.float32) / cells**0.5
        cells *= 2
    pixels = 255 * (pixels - pixels.min()) / np.ptp(pixels)
    image = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.integers(0, width), rng.integers(0, height)
        box = (x, y, x + rng.integers(1, width), y + rng.integers(1, height))
        draw.rectangle(box, outline=tuple(rng.integers(0, 256, 3).tolist()), width=1 + min(width, height) // 50)
    return image


def encode(image: Image.Image, format: str = "PNG", **options) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def same(loaded: Image.Image, expected) -> bool:
    """RGB, and equal to the last bit."""
    return loaded.mode == "RGB" and np.array_equal(np.asarray(loaded), np.asarray(expected))
