"""Unchanged pairs of any source."""

from collections.abc import Iterator

from ...common.ranges import check_number
from ...common.row import NO_CHANGE
from ...common.seeds import BITS, seed_of
from .protocol import Source, SourceRow

# What is said of a pair in which nothing happened.
NO_CHANGE_CAPTIONS = (
    "there is no difference",
    "nothing has changed",
    "the two images show the same",
    "no change was made",
    "the images are identical",
    "there is no change",
)


class WithUnchanged:
    """
    A source, and for some of its images a row in which nothing is to change: its category is "none", its instruction
    a caption that says so. What is made of it is re-encoded and slightly moved. It follows the row with its image;
    whether an image has one depends on its id alone.

    Args:
        source ([`Source`]): any.
        share (`float`): of all rows, from 0 to 0.5.
    """

    def __init__(self, source: Source, share: float):
        check_number("unchanged", share, 0, 0.5)
        self.source, self.chance, self.read = source, share / (1 - share), source.read
        self.edited, self.constant = source.edited, source.constant

    def rows(self) -> Iterator[SourceRow]:
        """See [`Source.rows`]."""
        for row in self.source.rows():
            yield row
            if seed_of(0, row.id, "unchanged") < self.chance * 2**BITS:
                caption = no_change_captions(row.id, 1)[0]
                yield SourceRow(row.index, f"{row.id}#same", caption, NO_CHANGE)


def no_change_captions(row_id: str, count: int) -> list[str]:
    """Up to `count` captions of an unchanged row, in an order that depends on its id."""
    turn = seed_of(0, row_id.removesuffix("#same"), "captions") % len(NO_CHANGE_CAPTIONS)
    return list((NO_CHANGE_CAPTIONS[turn:] + NO_CHANGE_CAPTIONS[:turn])[:count])
