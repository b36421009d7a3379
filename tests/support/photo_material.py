"""Photographs and cut-outs that are drawn, for tests of what is composed from them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

NAMES = ("apple", "orange ball", "kite", "mug", "grapes", "umbrella", "fish", "leaf", "star", "egg", "key", "boat")


def draw_photographs(folder: Path, count: int = 40) -> Path:
    """Cloudy pictures of 300 x 200 pixels, none like another."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cells = np.random.default_rng(number).integers(0, 256, (5, 7, 3), np.uint8)
        Image.fromarray(cells).resize((300, 200), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)
    return folder


def draw_objects(folder: Path, names=NAMES) -> Path:
    """A cut-out for each name: a polygon of its own color and shape on nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        rng = np.random.default_rng(1000 + number)
        image = Image.new("RGBA", (80, 80))
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        radii = rng.uniform(25, 39, 7)
        corners = [(40 + r * np.cos(a), 40 + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
        ImageDraw.Draw(image).polygon(corners, fill=(*(int(c) for c in rng.integers(0, 256, 3)), 255))
        image.save(folder / f"{name.replace(' ', '_')}.png")
    return folder
