"""What the pipeline expects of a paraphraser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image


@dataclass(frozen=True)
class Paraphrases:
    """What became of one row."""

    kept: list[str] = field(default_factory=list)  # at most as many as were asked for
    rejected: list[tuple[str, str]] = field(default_factory=list)  # texts, each with the rule that it broke
    attempts: int = 0  # how often the model was asked


class Paraphraser(Protocol):
    """
    Writes further captions of a pair: says its instruction in other words or, if `from_images`, looks at both images.

    Attributes:
        id, revision, parameters, versions: as of an [`Editor`].
        from_images (`bool`, *optional*): whether `describe` is to be called, with the images, and not `paraphrase`.
    """

    id: str
    revision: str
    parameters: Mapping[str, Any]
    versions: Mapping[str, str]

    def load(self) -> None:
        """Gets ready, as [`Editor.load`]."""
        ...

    def paraphrase(
        self, instructions: Sequence[str], count: int, seeds: Sequence[int]
    ) -> list[Paraphrases | Exception]:
        """
        Up to `count` paraphrases of each instruction, none of an empty one: a function of the instruction and its
        seed, but for float noise. An exception in the place of a row says why that row failed; the others stand.
        """
        ...

    def describe(
        self,
        pairs: Sequence[tuple[Image.Image, Image.Image]],
        instructions: Sequence[str],
        count: int,
        seeds: Sequence[int],
    ) -> list[Paraphrases | Exception]:
        """Up to `count` captions of each pair (before, after), which was made by its instruction; as `paraphrase`."""
        ...
