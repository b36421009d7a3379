"""What the rows of the embedded benchmarks have in common: their settings, and how masks are stored."""

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from datasets import Features, Image, Value
from PIL import Image as PILImage

from .ranges import check_number, check_whole
from .row import FEATURES

MASK_FEATURES = {"before_mask": Image(), "after_mask": Image(), "scene": Value("string")}


@dataclass(frozen=True, kw_only=True)
class RenderedSettings:
    """
    What, besides split and index, a rendered row depends on. See the benchmark's own settings for each.

    Raises:
        ValueError: an argument of the wrong type or out of its range.
    """

    SIDES: ClassVar[tuple[int, int]]  # least and most pixels of a side
    MOST_REFERENCES: ClassVar[int]

    seed: int = 0
    jitter: float = 1.0
    width: int
    height: int
    masks: bool = False
    references: int = 5

    def __post_init__(self):
        whole = {"seed": (0, 2**63 - 1), "width": self.SIDES, "height": self.SIDES}
        for name, (low, high) in {**whole, "references": (1, self.MOST_REFERENCES)}.items():
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


def png(pixels: np.ndarray) -> dict:
    """Pixels as `datasets` stores an image: `{"bytes": <PNG>, "path": None}`."""
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return {"bytes": buffer.getvalue(), "path": None}
