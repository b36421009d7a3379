"""What the pipeline expects of a filter, and what it gives it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

Score = float | list[float]
Verdict = bool | tuple[bool, str]  # `True`, or `(False, why)`


@dataclass
class Candidate:
    """
    What filters look at.

    Args:
        source_id (`str`): of the source image; the variants of one source have it in common.
        variant (`int`): which of them it is.
        before, after (`PIL.Image.Image`): RGB, each of its own size.
        instruction (`str`): what the editor was told.
        captions (`tuple[str, str]`, *optional*): what the source says of the image before and after the change, as
            descriptions of the whole image, if it does.
    """

    source_id: str
    variant: int
    before: Image.Image
    after: Image.Image
    instruction: str
    captions: tuple[str, str] | None = None


class Filter(Protocol):
    """
    Measures pairs, and says by the score which of them stay. Scores are stored; other limits need no new ones.

    Attributes:
        name (`str`): as in a recipe, such as "clip_direction".
        needs_captions (`bool`): whether it cannot do without `row.captions`.
        parameters (`dict`): the limits, `min` and `max`, and whatever decides the score, such as the model with its
            revision.
    """

    name: str
    needs_captions: bool
    parameters: Mapping[str, Any]

    def load(self) -> None:
        """Gets ready, as [`Editor.load`]."""
        ...

    def measure(self, rows: Sequence[Candidate]) -> list[Score]:
        """
        The score of each row, whatever the limits are. All variants of a source are in one batch, in order. A filter
        that compares variants returns a list for each row: entry `k` says how far the row is from variant `k` of its
        source, for all variants before it, and is NaN where there is none.
        """
        ...

    def verdict(self, score: float) -> Verdict:
        """
        `True`, or `(False, reason)` with the score and the limit in the reason. Of a list of scores, it gets the
        smallest of those of variants that stay, or 1 if there are none.
        """
        ...
