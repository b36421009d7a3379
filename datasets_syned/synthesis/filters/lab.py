"""How much of an image differs visibly from another, without a model."""

import numpy as np
from PIL import Image, ImageFilter

SIDE = 128  # pixels of the longer side: compression and sharpening are gone, objects are not
BLUR = 1.0  # standard deviation, in pixels of the small image
# Linear sRGB to XYZ over the white of D65 (IEC 61966-2-1).
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
XYZ /= XYZ.sum(1, keepdims=True)
_LEVELS = np.arange(256, dtype=np.float32) / 255
LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)


def small_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of `image` with [`SIDE`] as the longer one; smaller images stay."""
    scale = min(1.0, SIDE / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def to_lab(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """
    An image at `size` (each pixel the mean of what it covers), slightly blurred, in CIELAB: shape `(height, width,
    3)`, float32. Distances there are those of the eye; 2.3 is the least that people notice (Mahy et al. 1994).
    """
    image = image.convert("RGB").resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(BLUR))
    xyz = LINEAR[np.asarray(image)] @ XYZ.T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def changed_share(one: np.ndarray, other: np.ndarray, threshold: float) -> float:
    """Share of the pixels of two images of [`to_lab`] whose colours are more than `threshold` (CIE76) apart."""
    return float((np.square(one - other).sum(-1) > threshold**2).mean())
