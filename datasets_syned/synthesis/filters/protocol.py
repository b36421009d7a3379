"""What a filter is, and how its scores become verdicts."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from ...common.ranges import check_number

Score = float | list[float]
Verdict = bool | tuple[bool, str]  # `True`, or `(False, why)`
DIGITS = 6  # of a score; other batch sizes change less than that in float32


@dataclass
class Candidate:
    """
    What filters look at.

    Args:
        source_id (`str`): of the source image; the variants of one source have it in common.
        variant (`int`): which of them it is.
        before, after (`PIL.Image.Image`): RGB, each of its own size.
        instruction (`str`): what the editor was told.
        captions (`tuple[str, str]`, *optional*): descriptions of the whole image before and after the change.
    """

    source_id: str
    variant: int
    before: Image.Image
    after: Image.Image
    instruction: str
    captions: tuple[str, str] | None = None


@dataclass(eq=False)
class Filter(ABC):
    """
    Measures one number of a pair, and keeps what lies in a band. Scores are stored; other limits need no new ones. A
    filter of your own is a subclass with a `name` and `measure`.

    Args:
        min, max (`float`, *optional*): lowest and highest score that is kept; `None` for no limit on that side.

    Attributes:
        name (`str`): as in a recipe, such as "clip_direction".
        needs_captions (`bool`): whether it cannot do without `row.captions`.
        span (`tuple[float, float]`): of the scores.

    Raises:
        ValueError: a limit outside `span`, or `min` above `max`.
    """

    min: float | None = None
    max: float | None = None
    name: ClassVar[str]
    needs_captions: ClassVar[bool] = False
    span: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __post_init__(self):
        for side, limit in self._limits().items():
            check_number(side, limit, *self.span)
        if len(self._limits()) == 2 and self.min > self.max:
            raise ValueError(f"min={self.min!r} is above max={self.max!r}; nothing would be kept")

    def _limits(self) -> dict[str, float]:
        return {side: limit for side, limit in (("min", self.min), ("max", self.max)) if limit is not None}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The limits, and whatever decides the score, such as the model with its revision."""
        return self._limits()

    def load(self) -> None:  # noqa: B027 (most have nothing to load)
        """Gets ready, as [`Editor.load`]."""

    @abstractmethod
    def measure(self, rows: Sequence[Candidate]) -> list[Score]:
        """
        The score of each row, whatever the limits are. All variants of a source are in one batch, in order. A filter
        that compares variants returns a list for each row: entry `k` says how far the row is from variant `k` of its
        source, for all variants before it, and is NaN where there is none.
        """

    def verdict(self, score: float) -> Verdict:
        """
        `True`, or `(False, why)`: "clip_direction 0.113 is below 0.2". Of a list of scores, it gets the smallest of
        those of variants that stay, or 1 if there are none.
        """
        if math.isnan(score):
            return False, f"{self.name} is not a number"
        if self.min is not None and score < self.min:
            return False, f"{self.name} {_shown(score, self.min)} is below {self.min:g}"
        if self.max is not None and score > self.max:
            return False, f"{self.name} {_shown(score, self.max)} is above {self.max:g}"
        return True


def _shown(score: float, limit: float) -> str:
    """Three digits, or as many as tell it from the limit."""
    short = f"{score:.3f}"
    return f"{score:.{DIGITS}f}" if (float(short) < limit) != (score < limit) or float(short) == limit else short


def judge(
    filters: Sequence[Filter], scores: Mapping[int, Mapping[str, Score]]
) -> dict[int, tuple[dict[str, float], str | None, str | None]]:
    """
    Judges the variants of one source, whose `scores` are by variant and name of the filter. By variant are returned:
    its scores as numbers, and the first filter that drops it and the reason, both `None` if it stays.
    """
    stay, found = [], {}
    for variant, measured in sorted(scores.items()):
        numbers, by, reason = {}, None, None
        for one in filters:
            score = measured[one.name]
            if isinstance(score, list):  # compared with the variants that stay
                score = min((score[other] for other in stay), default=1.0)
            numbers[one.name] = score
            verdict = one.verdict(score)
            if verdict is not True and by is None:
                by, reason = one.name, verdict[1]
        if by is None:
            stay.append(variant)
        found[variant] = numbers, by, reason
    return found
