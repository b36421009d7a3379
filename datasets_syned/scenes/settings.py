"""What the rows of rendered scenes depend on, and one such row."""

import json
from dataclasses import asdict, dataclass

from ..common.rendered import RenderedSettings, png
from ..common.row import FEATURES
from .captions import PHRASINGS
from .pair import HEIGHT, WIDTH, make_pair

MOST_REFERENCES = min(map(len, PHRASINGS.values()))


@dataclass(frozen=True, kw_only=True)
class SceneSettings(RenderedSettings):
    """
    What, besides split and index, a rendered row depends on.

    Args:
        seed (`int`, *optional*, defaults to 0): of the whole data set.
        jitter (`float`, *optional*, defaults to 1.0): scale of the movement of camera and light between the two
            images, from 0 (fixed) to 2.
        width, height (`int`, *optional*, defaults to 144 and 96): pixels of each image, 16 to 2048.
        masks (`bool`, *optional*, defaults to `False`): adds the columns `before_mask`, `after_mask` (8-bit images, 0
            for the ground, `i + 1` for object `i`) and `scene` (JSON: `before_objects`, `after_objects`,
            `changed_object`, `captions_reversed`).
        references (`int`, *optional*, defaults to 5): captions per pair, 1 to 6.

    Raises:
        ValueError: an argument of the wrong type or out of its range.
    """

    SIDES, MOST_REFERENCES = (16, 2048), MOST_REFERENCES

    width: int = WIDTH
    height: int = HEIGHT

    def row(self, split: str, index: int) -> dict:
        """
        Renders one row, images as `{"bytes": <PNG>, "path": None}`. Equal arguments give equal bytes under equal
        versions: pixels come from numpy, their compression from Pillow (13.0.0 in constraints.txt; another version
        may store the same pixels in other bytes).
        """
        args = asdict(self)
        masks = args.pop("masks")
        pair = make_pair(split=split, index=index, **args)
        row = {name: getattr(pair, name, None) for name in FEATURES}  # there is no provenance
        images = ["before", "after"]
        if masks:
            names = ("before_objects", "after_objects", "changed_object", "captions_reversed")
            row |= {name: getattr(pair, name) for name in ("before_mask", "after_mask")}
            row["scene"] = json.dumps({name: getattr(pair, name) for name in names})
            images += ["before_mask", "after_mask"]
        return row | {name: png(row[name]) for name in images}
