"""Is this variant another one than those before it?"""

from collections import defaultdict
from collections.abc import Sequence

from .band import DIGITS
from .candidate import Candidate
from .changed_area import THRESHOLD, ThresholdFilter
from .lab import changed_share, small_size, to_lab


class NearDuplicates(ThresholdFilter):
    """
    Of the variants of one source in a batch, drops those that look like an earlier one that stays. The score is the
    share of pixels that differ from the most similar of these (see [`ChangedArea`]), 1 for the first. A row alone has
    nothing to be a duplicate of.

    Args:
        min (`float`, *optional*, defaults to 0.01): least share that is kept.
        threshold (`float`, *optional*, defaults to 8.0): distance of two colours that counts, as in [`ChangedArea`].
    """

    name = "near_duplicates"

    def __init__(self, min: float | None = 0.01, threshold: float = THRESHOLD):
        super().__init__(min, None, threshold)

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
