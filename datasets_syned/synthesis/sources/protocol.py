"""What the pipeline expects of a source."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class SourceError(RuntimeError):
    """An image of a source cannot be had."""


@dataclass(frozen=True)
class SourceRow:
    """
    One instruction for one image, before the image is read.

    Args:
        index (`int`): where it is in the source.
        id (`str`): unique in the source.
        instruction (`str`): what an editor is told; the first caption of what comes out.
        category (`str`): kind of change.
        captions (`tuple[str, str]`, *optional*): descriptions of the image before and after the change.
    """

    index: int
    id: str
    instruction: str
    category: str
    captions: tuple[str, str] | None = None


class Source(Protocol):
    """Images with instructions, in an order that is always the same. Images are read one by one, by any process."""

    edited: bool  # whether each row also has an image after the change, so that none need be made
    constant: bool  # whether rows are a function of the arguments alone, so that they need no second look

    def rows(self) -> Iterator[SourceRow]:
        """The rows; no image is read."""
        ...

    def read(self, index: int, edited: bool = False) -> bytes:
        """The image file of a row, or that of its image after the change. Raises a `SourceError`."""
        ...


def numbered(name: str, number: int) -> str:
    """The id of one of several instructions for an image; that of the first is the image's own."""
    return f"{name}#{number}" if number else name
