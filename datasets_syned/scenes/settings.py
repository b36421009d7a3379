"""What the rows of rendered scenes depend on, and one such row."""

import io
import json
from dataclasses import asdict, dataclass

import numpy as np
from datasets import Features, Image, Value
from PIL import Image as PILImage

from ..common.ranges import check_number, check_whole
from ..common.row import FEATURES
from .captions import PHRASINGS
from .pair import HEIGHT, WIDTH, make_pair

MASK_FEATURES = {"before_mask": Image(), "after_mask": Image(), "scene": Value("string")}
MOST_REFERENCES = min(map(len, PHRASINGS.values()))


@dataclass(frozen=True)
class SceneSettings:
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

    seed: int = 0
    jitter: float = 1.0
    width: int = WIDTH
    height: int = HEIGHT
    masks: bool = False
    references: int = 5

    def __post_init__(self):
        whole = {"seed": (0, 2**63 - 1), "width": (16, 2048), "height": (16, 2048), "references": (1, MOST_REFERENCES)}
        for name, (low, high) in whole.items():
            check_whole(name, getattr(self, name), low, high)
        check_number("jitter", self.jitter, 0, 2)
        if not isinstance(self.masks, bool):
            raise ValueError(f"masks={self.masks!r} must be true or false")
        object.__setattr__(self, "jitter", float(self.jitter))

    @property
    def label(self) -> str:
        """Names the settings in a folder's name."""
        label = f"seed{self.seed}-jitter{self.jitter:g}-{self.width}x{self.height}-{self.references}refs"
        return label + "-masks" * self.masks

    @property
    def features(self) -> Features:
        """Columns of a row."""
        return Features({**FEATURES, **(MASK_FEATURES if self.masks else {})})

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
        return row | {name: _png(row[name]) for name in images}


def _png(pixels: np.ndarray) -> dict:
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return {"bytes": buffer.getvalue(), "path": None}
