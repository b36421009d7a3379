"""Filters that compare pixels: did something change, and is a variant another one than those before it?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from ...common.ranges import check_number
from .protocol import Candidate, Filter

SIDE = 128  # pixels of the longer side: compression and sharpening are gone, objects are not
BLUR = 1.0  # standard deviation, in pixels of the small image
# Linear sRGB to XYZ over the white of D65 (IEC 61966-2-1).
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
XYZ /= XYZ.sum(1, keepdims=True)
_LEVELS = np.arange(256, dtype=np.float32) / 255
LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_lab(image: Image.Image, like: Image.Image) -> np.ndarray:
    """
    An image at the size of another with [`SIDE`] as the longer side (smaller ones stay), slightly blurred, in CIELAB:
    shape `(height, width, 3)`, float32. Distances there are those of the eye; 2.3 is the least that people notice
    (Mahy et al. 1994).
    """
    scale = min(1.0, SIDE / max(like.size))
    size = max(1, round(like.width * scale)), max(1, round(like.height * scale))
    image = image.convert("RGB").resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(BLUR))
    xyz = LINEAR[np.asarray(image)] @ XYZ.T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def changed_share(one: np.ndarray, other: np.ndarray, threshold: float) -> float:
    """Share of the pixels of two images of [`to_lab`] whose colours are more than `threshold` (CIE76) apart."""
    return float((np.square(one - other).sum(-1) > threshold**2).mean())


@dataclass(eq=False)
class ChangedArea(Filter):
    """
    Share of the pixels that look different after the change. Both images are brought to the shape of the one before,
    128 pixels at most, blurred a little, and compared in CIELAB. Needs no model.

    Args:
        min (`float`, *optional*, defaults to 0.005): least share that is kept; below it nothing happened.
        max (`float`, *optional*, defaults to 0.9): largest share that is kept; above it, it is another image.
        threshold (`float`, *optional*, defaults to 8.0): distance of two colours that counts (CIE76; black and white
            are 100 apart). Saving as a JPEG of quality 75 stays below it, unless the images are smaller than some
            256 pixels: then what JPEG does to single pixels is seen.
    """

    min: float | None = 0.005
    max: float | None = 0.9
    threshold: float = 8.0
    name, span = "changed_area", (0.0, 1.0)

    def __post_init__(self):
        super().__post_init__()
        check_number("threshold", self.threshold, 0, 100, above=True)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the verdicts depend on."""
        return {**super().parameters, "threshold": self.threshold}

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From 0 to 1."""
        before = {id(row.before): row.before for row in rows}  # of all variants of a source, once
        before = {key: to_lab(image, image) for key, image in before.items()}
        return [changed_share(before[id(row.before)], to_lab(row.after, row.before), self.threshold) for row in rows]


@dataclass(eq=False)
class NearDuplicates(ChangedArea):
    """
    Of the variants of one source, drops those that look like an earlier one that stays: by the share of pixels that
    differ from it, as [`ChangedArea`] counts them.
    """

    min: float | None = 0.01
    max: float | None = None
    name = "near_duplicates"

    def measure(self, rows: Sequence[Candidate]) -> list[list[float]]:
        """Shares from 0 to 1, by the number of the earlier variant."""
        seen, scores = {}, []
        for row in rows:
            images = seen.setdefault(row.source_id, {})
            image = to_lab(row.after, row.before)
            shares = {variant: changed_share(image, other, self.threshold) for variant, other in images.items()}
            scores.append([shares.get(variant, math.nan) for variant in range(row.variant)])
            images[row.variant] = image
        return scores
