"""Filters that compare pixels: did something change, and is a variant another one than those before it?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...common.ranges import check_number
from .band import BandFilter
from .lab import changed_share, small_size, to_lab
from .protocol import Candidate


@dataclass(eq=False)
class ChangedArea(BandFilter):
    """
    Share of the pixels that look different after the change. Both images are brought to the shape of the one before,
    128 pixels at most, blurred a little, and compared in CIELAB. Needs no model.

    Args:
        min (`float`, *optional*, defaults to 0.005): least share that is kept; below it nothing happened.
        max (`float`, *optional*, defaults to 0.9): largest share that is kept; above it, it is another image.
        threshold (`float`, *optional*, defaults to 8.0): distance of two colours that counts (CIE76; black and white
            are 100 apart). Saving as a JPEG of quality 75 stays below it, unless the images are smaller than some
            256 pixels: then what JPEG does to single pixels is seen.
    """

    min: float | None = 0.005
    max: float | None = 0.9
    threshold: float = 8.0
    name, span = "changed_area", (0.0, 1.0)

    def __post_init__(self):
        super().__post_init__()
        check_number("threshold", self.threshold, 0, 100, above=True)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the verdicts depend on."""
        return {**super().parameters, "threshold": self.threshold}

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From 0 to 1."""
        before = {id(row.before): row.before for row in rows}  # of all variants of a source, once
        before = {key: to_lab(image, small_size(image)) for key, image in before.items()}
        return [
            changed_share(before[id(row.before)], to_lab(row.after, small_size(row.before)), self.threshold)
            for row in rows
        ]


@dataclass(eq=False)
class NearDuplicates(ChangedArea):
    """
    Of the variants of one source, drops those that look like an earlier one that stays. The score is the share of
    pixels that differ from each earlier variant, as [`ChangedArea`] counts them; the most similar of those that stay
    counts.
    """

    min: float | None = 0.01
    max: float | None = None
    name = "near_duplicates"

    def measure(self, rows: Sequence[Candidate]) -> list[list[float]]:
        """Shares from 0 to 1, by the number of the earlier variant."""
        seen, scores = {}, []
        for row in rows:
            images = seen.setdefault(row.source_id, {})
            image = to_lab(row.after, small_size(row.before))
            shares = {variant: changed_share(image, other, self.threshold) for variant, other in images.items()}
            scores.append([shares.get(variant, math.nan) for variant in range(row.variant)])
            images[row.variant] = image
        return scores
