"""Edits of the whole picture: styles, and effects of light and weather. Each maps an RGB image to one of its size."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from .objects import scale_channels

Look = Callable[[Image.Image, np.random.Generator], Image.Image]


def _toned(image, dark, light):
    return ImageOps.colorize(ImageOps.grayscale(image), dark, light)


def _black_and_white(image, rng):
    return ImageOps.grayscale(image).convert("RGB")


def _sepia(image, rng):
    return _toned(image, (30, 18, 8), (255, 236, 200))


def _blurred(image, rng):
    return image.filter(ImageFilter.GaussianBlur(image.height * rng.uniform(0.025, 0.05)))


def _pixelated(image, rng):
    cells = int(rng.integers(12, 20))
    small = image.resize((round(cells * image.width / image.height), cells), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


def _negative(image, rng):
    return ImageChops.invert(image)


def _sketch(image, rng):
    grey = ImageOps.grayscale(image)
    soft = grey.filter(ImageFilter.GaussianBlur(image.height * rng.uniform(0.012, 0.022)))
    values = np.asarray(grey, np.float32) / np.maximum(np.asarray(soft, np.float32), 1.0)
    return Image.fromarray((np.clip(values * 1.02 - 0.02, 0, 1) ** 3 * 255).astype(np.uint8)).convert("RGB")


def _posterized(image, rng):
    levels = int(rng.integers(3, 5))
    step = 255 / (levels - 1)
    return image.point([round(round(value / step) * step) for value in range(256)] * 3)


def _darker(image, rng):
    return ImageEnhance.Brightness(image).enhance(rng.uniform(0.4, 0.6))


def _brighter(image, rng):
    gain, lift = rng.uniform(1.35, 1.6), rng.uniform(10, 30)
    return image.point([min(255, round(gain * value + lift)) for value in range(256)] * 3)


def _night(image, rng):
    grey = ImageEnhance.Color(image).enhance(0.45)
    depth = rng.uniform(0.28, 0.42)
    return scale_channels(grey, depth * np.array((0.7, 0.85, 1.5)))


def _cloud(size, rng, coarse):
    """Smooth noise from 0 to 1, `(height, width, 1)` float32."""
    width, height = size
    cells = rng.random((coarse, max(2, round(coarse * width / height))), np.float32)
    noise = Image.fromarray((cells * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(noise, np.float32)[..., None] / 255


def _foggy(image, rng):
    pixels = np.asarray(image, np.float32)
    depth = np.linspace(1.0, 0.7, image.height, dtype=np.float32)[:, None, None]
    cover = rng.uniform(0.6, 0.78) * depth * (0.8 + 0.4 * _cloud(image.size, rng, 3))
    fog = rng.uniform(195, 225)
    return Image.fromarray(np.clip(pixels + (fog - pixels) * np.minimum(cover, 0.9), 0, 255).astype(np.uint8))


def _snowy(image, rng):
    """Falling flakes of two sizes under a pale light."""
    width, height = image.size
    pale = np.asarray(ImageEnhance.Color(image).enhance(0.6), np.float32)
    flakes = np.zeros((height, width), np.uint8)
    for every, size in ((110, 1), (500, 3)):
        count = round(width * height / every)
        x, y = rng.integers(width - size, size=count), rng.integers(height - size, size=count)
        for step in range(size * size):
            flakes[y + step // size, x + step % size] = 255
    cover = np.asarray(Image.fromarray(flakes).filter(ImageFilter.GaussianBlur(0.5)), np.float32)[..., None] / 255
    pixels = pale + (235 - pale) * 0.2
    return Image.fromarray((pixels + (255 - pixels) * np.minimum(cover * 1.5, 1)).astype(np.uint8))


def _warmer(image, rng):
    strength = rng.uniform(0.18, 0.28)
    return scale_channels(image, (1 + 0.8 * strength, 1.0, 1 - 1.5 * strength))


def _colder(image, rng):
    strength = rng.uniform(0.18, 0.28)
    return scale_channels(image, (1 - 1.5 * strength, 1 - 0.2 * strength, 1 + 0.8 * strength))


STYLES: dict[str, Look] = {
    "black and white": _black_and_white,
    "sepia": _sepia,
    "blurred": _blurred,
    "pixelated": _pixelated,
    "like a negative": _negative,
    "like a sketch": _sketch,
    "posterized": _posterized,
}
EFFECTS: dict[str, Look] = {
    "darker": _darker,
    "brighter": _brighter,
    "like night": _night,
    "foggy": _foggy,
    "snowy": _snowy,
    "warmer": _warmer,
    "colder": _colder,
}
