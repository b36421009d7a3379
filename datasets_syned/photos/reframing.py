"""Edits of what the picture shows: crop, mirror, rotation. Each maps an image and its mask to others of their size."""

import numpy as np
from PIL import Image

UPSIDE_DOWN = 0.3  # share of the rotations by half a turn
ANGLES = (10, 25)  # degrees, of the others


def crop(image: Image.Image, mask: np.ndarray, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """A part of 50 to 70 % of each side, enlarged."""
    scale = rng.uniform(0.5, 0.7)
    w, h = image.width * scale, image.height * scale
    left, top = rng.random() * (image.width - w), rng.random() * (image.height - h)
    return _mapped(image, mask, (scale, 0, left, 0, scale, top))


def mirror(image: Image.Image, mask: np.ndarray, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mask[:, ::-1]


def rotate(image: Image.Image, mask: np.ndarray, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Half a turn, or 10 to 25 degrees and enlarged, so that no corner is empty."""
    if rng.random() < UPSIDE_DOWN:
        return image.transpose(Image.Transpose.ROTATE_180), mask[::-1, ::-1]
    angle = np.deg2rad(rng.uniform(*ANGLES) * rng.choice((-1, 1)))
    sin, cos = np.sin(angle), np.cos(angle)
    scale = 1 / (cos + abs(sin) * max(image.width / image.height, image.height / image.width))
    a, b, x, y = scale * cos, scale * sin, image.width / 2, image.height / 2
    return _mapped(image, mask, (a, b, x - a * x - b * y, -b, a, y + b * x - a * y))


def _mapped(image, mask, matrix):
    labels = Image.fromarray(np.ascontiguousarray(mask)).transform(image.size, Image.Transform.AFFINE, matrix)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR), np.asarray(labels)
