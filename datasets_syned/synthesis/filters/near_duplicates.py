"""Is this variant another one than those before it?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..candidate import Candidate
from .band import DIGITS, BandFilter
from .changed_area import THRESHOLD, check_threshold
from .lab import changed_share, small_size, to_lab


class NearDuplicates(BandFilter):
    """
    Of the variants of one source in a batch, drops those that look like an earlier one that stays. The score is the
    share of pixels that differ from the most similar of these (see [`ChangedArea`]), 1 for the first. A row alone has
    nothing to be a duplicate of.

    Args:
        min (`float`, *optional*, defaults to 0.01): least share that is kept.
        threshold (`float`, *optional*, defaults to 8.0): distance of two colours that counts, as in [`ChangedArea`].
    """

    name = "near_duplicates"
    span = (0.0, 1.0)

    def __init__(self, min: float | None = 0.01, threshold: float = THRESHOLD):
        super().__init__(min)
        check_threshold(self.name, threshold)
        self.threshold = threshold

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the verdicts depend on."""
        return {**super().parameters, "threshold": self.threshold}

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From 0 to 1, in the order of the rows: what is dropped drops nothing."""
        kept, sizes, scores = defaultdict(list), {}, []
        for row in rows:
            size = sizes.setdefault(row.source_id, small_size(row.before))
            image, earlier = to_lab(row.after, size), kept[row.source_id]
            score = min((changed_share(image, other, self.threshold) for other in earlier), default=1.0)
            if self.verdict(round(score, DIGITS)) is True:
                earlier.append(image)
            scores.append(score)
        return scores
