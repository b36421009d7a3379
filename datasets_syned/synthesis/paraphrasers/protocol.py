"""What the pipeline expects of a paraphraser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Paraphrases:
    """
    What became of one instruction.

    Args:
        kept (`list[str]`): at most as many as were asked for, none equal to the instruction or to another.
        rejected (`list[tuple[str, str]]`): texts that were not taken, each with the rule that it broke.
        attempts (`int`): how often the model was asked.
    """

    kept: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    attempts: int = 0


class Paraphraser(Protocol):
    """
    Says instructions in other words.

    Attributes:
        id, revision, parameters, versions: as of an [`Editor`].
    """

    id: str
    revision: str
    parameters: Mapping[str, Any]
    versions: Mapping[str, str]

    def load(self) -> None:
        """Gets ready, as [`Editor.load`]."""
        ...

    def paraphrase(self, instructions: Sequence[str], count: int, seeds: Sequence[int]) -> list[Paraphrases]:
        """Up to `count` paraphrases of each: a function of the instruction and its seed, but for float noise."""
        ...
