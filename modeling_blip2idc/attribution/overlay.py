"""A relevance map drawn on its image."""

from typing import Any

import numpy as np
from PIL import Image

from ..image_utils_blip2idc import load_image

# Inferno of matplotlib (CC0), every eighth of the way: lightness rises evenly, also in grey and to the colour-blind.
COLORS = np.array(
    [(0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51), (249, 140, 10),
     (249, 201, 50), (252, 255, 164)], np.float32,
)  # fmt: skip


def overlay(image: Any, relevance: np.ndarray, strength: float = 0.8) -> Image.Image:
    """
    Draw a heat map on an image: dark to bright, and the more opaque the more relevant.

    Args:
        image (image): anything that `load_image` takes.
        relevance (`np.ndarray` of shape `(height, width)`):
            Of that image, in 0 to 1 as [`~attribution.relevance.relevance_maps`] gives it; values outside are clipped.
        strength (`float`, *optional*, defaults to 0.8): opacity of the highest relevance, 0 to 1.

    Returns:
        `PIL.Image.Image`: RGB, of the image's size.
    """
    image = load_image(image)
    relevance = np.asarray(relevance, np.float32)
    if relevance.shape != (image.height, image.width):
        raise ValueError(f"relevance has shape {relevance.shape}, the image (height, width) {image.size[::-1]}")
    if not np.isfinite(relevance).all() or not 0 <= strength <= 1:
        raise ValueError(f"relevance must be finite and strength ({strength!r}) from 0 to 1")
    heat = relevance.clip(0, 1)
    steps = np.linspace(0, 1, len(COLORS))
    color = np.stack([np.interp(heat, steps, channel) for channel in COLORS.T], axis=-1)  # (H, W, 3)
    opacity = strength * heat[..., None]
    pixels = (1 - opacity) * np.asarray(image, np.float32) + opacity * color
    return Image.fromarray(pixels.round().astype(np.uint8))


__all__ = ["overlay"]
