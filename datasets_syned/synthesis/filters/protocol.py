"""What the pipeline expects of a filter."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .candidate import Candidate

Verdict = bool | tuple[bool, str]  # `True`, or `(False, why)`


class Filter(Protocol):
    """
    Decides which pairs stay. It writes what it measured into `row.scores[name]`.

    Attributes:
        name (`str`): as in a recipe, such as "clip_direction".
        needs_captions (`bool`): whether it cannot do without `row.captions`.
        parameters (`dict`): thresholds, and the model with its revision.
    """

    name: str
    needs_captions: bool
    parameters: Mapping[str, Any]

    def load(self) -> None:
        """Gets ready, as [`Editor.load`]."""
        ...

    def keep(self, row: Candidate) -> Verdict:
        """`True`, or `(False, reason)` with the score and the threshold in the reason."""
        ...

    def keep_batch(self, rows: Sequence[Candidate]) -> list[Verdict]:
        """The same of many rows. All variants of a source that are left are in one batch, in order."""
        ...
