"""Heat maps on images."""

import numpy as np
import pytest
from PIL import Image

from modeling_blip2idc.attribution.overlay import overlay
from tests.support.tiny_blip2 import random_pairs

PIXELS = random_pairs(1)[0][0]


def test_overlay_is_the_image_where_nothing_is_relevant():
    image = Image.fromarray(PIXELS)
    heat = np.zeros((20, 30), np.float32)
    assert np.array_equal(np.asarray(overlay(image, heat)), PIXELS)
    heat[3, 7] = 1
    drawn = np.asarray(overlay(image, heat, strength=1))
    assert drawn[3, 7].tolist() == [252, 255, 164]  # the top of the colors
    drawn = np.delete(drawn.reshape(-1, 3), 3 * 30 + 7, axis=0)
    assert np.array_equal(drawn, np.delete(PIXELS.reshape(-1, 3), 3 * 30 + 7, axis=0))


@pytest.mark.parametrize(
    ("heat", "strength", "message"),
    [
        (np.zeros((30, 20)), 0.5, r"relevance has shape \(30, 20\), the image \(height, width\) \(20, 30\)"),
        (np.full((20, 30), np.nan), 0.5, "must be finite"),
        (np.zeros((20, 30)), 1.5, "strength .1.5. from 0 to 1"),
    ],
)
def test_overlay_refuses(heat, strength, message):
    with pytest.raises(ValueError, match=message):
        overlay(PIXELS, heat, strength)
