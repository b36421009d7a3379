"""One pair of composed photographs, a function of (material, seed, split, index) and of nothing else."""

import numpy as np

from .captions import CATEGORIES
from .composer import Composer, PhotoPair
from .material import SPLITS, Material

WIDTH, HEIGHT = 240, 160  # pixels
MAX_ATTEMPTS = 200


def make_pair(
    material: Material,
    split: str,
    index: int,
    seed: int = 0,
    jitter: float = 1.0,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> PhotoPair:
    """
    Draws and composes one pair.

    Args:
        material ([`Material`]): photographs and cut-outs.
        split (`str`): one of `SPLITS`.
        index (`int`): row of the split. Categories take turns, `CATEGORIES[index % 14]`.
        seed (`int`, *optional*, defaults to 0): of the whole data set.
        jitter (`float`, *optional*, defaults to 1.0): scale of the camera's movement and of the differences of
            exposure, white balance and compression, which each image of every pair has; 0 to 2.
        width, height (`int`, *optional*, defaults to 240 and 160): pixels.

    Raises:
        ValueError: the material has nothing for this split.
        ImageError: names a file that cannot be used.
    """
    category = CATEGORIES[index % len(CATEGORIES)]
    for attempt in range(MAX_ATTEMPTS):
        rng = np.random.default_rng([seed, SPLITS.index(split), index, attempt])
        composer = Composer(material, split, rng, (width, height), jitter)
        if (pair := composer.compose(category)) is not None:
            return pair
    raise RuntimeError(f"no valid pair for seed={seed} split={split!r} index={index}: the objects do not fit")
