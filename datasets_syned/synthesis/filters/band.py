"""A filter that measures one number, and keeps what lies in a band."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...common.ranges import check_number
from .protocol import Candidate, Score, Verdict

DIGITS = 6  # of a score; other batch sizes change less than that in float32


@dataclass(eq=False)
class BandFilter(ABC):
    """
    Keeps a pair whose score is at least `min` and at most `max`; both limits belong to the band.

    Args:
        min, max (`float`, *optional*): `None` for no limit on that side.

    Raises:
        ValueError: a limit outside `span`, or `min` above `max`.
    """

    min: float | None = None
    max: float | None = None
    name: ClassVar[str]
    needs_captions: ClassVar[bool] = False
    span: ClassVar[tuple[float, float]] = (-1.0, 1.0)  # of the measure

    def __post_init__(self):
        for side, limit in self._limits().items():
            check_number(side, limit, *self.span)
        if len(self._limits()) == 2 and self.min > self.max:
            raise ValueError(f"min={self.min!r} is above max={self.max!r}; nothing would be kept")

    def _limits(self) -> dict[str, float]:
        return {side: limit for side, limit in (("min", self.min), ("max", self.max)) if limit is not None}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the verdicts depend on: the limits that there are."""
        return self._limits()

    def load(self) -> None:  # noqa: B027 (most have nothing to load)
        """Gets ready, as [`Filter.load`]."""

    @abstractmethod
    def measure(self, rows: Sequence[Candidate]) -> list[Score]:
        """One score per row, within `span`. See [`Filter.measure`]."""

    def verdict(self, score: float) -> Verdict:
        """`True`, or `(False, why)`: "clip_direction 0.113 is below 0.2"."""
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
