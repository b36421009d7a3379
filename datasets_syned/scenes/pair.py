"""One row of the embedded benchmark, a function of (seed, split, index) and of nothing else."""

from dataclasses import asdict, dataclass

import numpy as np

from ..common.splits import SPLITS
from .captions import captions
from .changes import CATEGORIES, sample_change
from .render import in_frame, render
from .scene import sample_view

WIDTH, HEIGHT = 144, 96  # pixels
MIN_VISIBLE = 0.55  # of what each object would show if it stood alone, in both images
MAX_ATTEMPTS = 1000


@dataclass(frozen=True)
class ScenePair:
    """A rendered pair."""

    id: str  # "<split>-<index>"
    before: np.ndarray  # (height, width, 3), uint8
    after: np.ndarray
    before_mask: np.ndarray  # (height, width), uint8: 0 for the ground, i + 1 for object i of before_objects
    after_mask: np.ndarray
    captions: list  # references that say the change from before to after
    captions_reversed: list  # as many for the pair swapped
    category: str  # one of `CATEGORIES`
    changed: bool
    before_objects: list  # of dicts: shape, color, material, size, x, y, angle
    after_objects: list
    changed_object: tuple  # its index in before_objects and in after_objects, `None` where it is not


def make_pair(seed, split, index, jitter=1.0, width=WIDTH, height=HEIGHT, references=5):
    """Draws, renders and describes one pair.

    Args:
        seed (`int`): of the whole data set.
        split (`str`): "train", "validation" or "test"; the splits share no scene.
        index (`int`): row of the split. Categories take turns, `CATEGORIES[index % 6]`.
        jitter (`float`, *optional*, defaults to 1.0): scale of the camera's and the light's movement, which is drawn
            for each image of every pair; with 0 both images have the same camera and light.
        width, height (`int`, *optional*, defaults to 144 and 96): pixels.
        references (`int`, *optional*, defaults to 5): captions per pair, distinct phrasings, at most 6.

    Returns:
        [`ScenePair`]
    """
    category = CATEGORIES[index % len(CATEGORIES)]
    for attempt in range(MAX_ATTEMPTS):
        rng = np.random.default_rng([seed, SPLITS.index(split), index, attempt])
        change = sample_change(rng, category)
        views = [sample_view(rng, jitter) for _ in range(2)]
        order = [rng.permutation(6)[:references] for _ in range(2)]
        if change is None:
            continue
        said, unsaid = captions(change), captions(change.reversed())
        if said is None or unsaid is None:
            continue
        sides = list(zip((change.before, change.after), views, strict=True))
        if not all(in_frame(objects, view, height / width) for objects, view in sides):
            continue
        rendered = [render(objects, view, width, height) for objects, view in sides]
        if any((rays[:, 0] < MIN_VISIBLE * rays[:, 1]).any() for _, _, rays in rendered):
            continue
        places = [
            next((i for i, o in enumerate(objects) if o is obj), None)
            for objects, obj in ((change.before, change.old), (change.after, change.new))
        ]
        return ScenePair(
            id=f"{split}-{index:06d}",
            before=rendered[0][0],
            after=rendered[1][0],
            before_mask=rendered[0][1],
            after_mask=rendered[1][1],
            captions=[said[i] for i in order[0]],
            captions_reversed=[unsaid[i] for i in order[1]],
            category=category,
            changed=category != "none",
            before_objects=[asdict(o) for o in change.before],
            after_objects=[asdict(o) for o in change.after],
            changed_object=tuple(places),
        )
    raise RuntimeError(f"no valid scene for seed={seed} split={split!r} index={index}; this should not happen")
