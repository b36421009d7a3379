"""Is this variant another one than those before it?"""

import math
from collections.abc import Sequence

from .changed_area import THRESHOLD, ThresholdFilter
from .lab import changed_share, small_size, to_lab
from .protocol import Candidate


class NearDuplicates(ThresholdFilter):
    """
    Of the variants of one source, drops those that look like an earlier one that stays. The score is the share of
    pixels that differ from each earlier variant (see [`ChangedArea`]); the most similar of those that stay counts.

    Args:
        min (`float`, *optional*, defaults to 0.01): least share that is kept.
        threshold (`float`, *optional*, defaults to 8.0): distance of two colours that counts, as in [`ChangedArea`].
    """

    name = "near_duplicates"

    def __init__(self, min: float | None = 0.01, threshold: float = THRESHOLD):
        super().__init__(min, None, threshold)

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
