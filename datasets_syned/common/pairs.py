"""Pairs of images and what is said of them, and how they become rows, with the bytes of the images as they are."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from .image_cells import BrokenImageError, Cell, Cells
from .images import ImageError, damage, printable, unreadable
from .row import FEATURES

BATCH_ROWS = 200  # rows of a table, or fewer when their images are large
BATCH_BYTES = 16 << 20
SHOWN = 5  # images that one message names
logger = datasets.logging.get_logger(__name__)


@dataclass
class Pair:
    """One pair of images, before it is read."""

    id: str  # unique within its split
    before: Path | Cell  # an image file, or an image in a Parquet file
    after: Path | Cell
    captions: Sequence[str]  # at least one
    category: str  # kind of change, in the benchmark's own words; "none" for an unchanged pair
    changed: bool = True
    provenance: Mapping[str, Any] | None = None  # how a synthetic pair was made
    others: dict[str, Any] = field(default_factory=dict)  # further columns of a user's own table

    @property
    def images(self) -> tuple[Path | Cell, Path | Cell]:
        return self.before, self.after


def tables(
    pairs: Iterable[Pair], skip_broken: bool = False, features: datasets.Features = FEATURES
) -> Iterator[pa.Table]:
    """
    Tables with the content of the images, a few rows each. A broken image is a [`BrokenImageError`]; `skip_broken`
    leaves its pair out, and says so. Images in Parquet files are then looked at thoroughly, see [`damage`]; files have
    been, by `check_images`.
    """
    batch, columns, broken, cells = [], (_Images(), _Images()), [], Cells()
    for pair in pairs:
        wrong = [
            f"{printable(image)} (id {pair.id!r}) {what}"
            for column, image in zip(columns, pair.images, strict=True)
            if (what := column.add(image, cells, skip_broken))
        ]
        if wrong and not skip_broken:
            shown = "\n  ".join(["images are broken; nothing was built:", *wrong])
            raise BrokenImageError(f"{shown}\nGet the files again. on_error='skip' leaves such pairs out.")
        broken += wrong
        if not wrong:
            batch.append(pair)
        for column in columns:
            column.cut(len(batch))
        if len(batch) == BATCH_ROWS or sum(column.ends[-1] for column in columns) >= BATCH_BYTES:
            yield _table(batch, columns, features)
            batch, columns = [], (_Images(), _Images())
    if batch:
        yield _table(batch, columns, features)
    if broken:
        shown = "\n  ".join([f"{len(broken)} images are broken; their pairs are left out:", *first_few(broken)])
        logger.warning(shown)


def first_few(lines: Sequence[str]) -> list[str]:
    """As many lines as one message shows."""
    return [*lines[:SHOWN], *["..."] * (len(lines) > SHOWN)]


class _Images:
    """Images of one column of a table, which lie side by side in one buffer: files are read to where they stay."""

    def __init__(self):
        self.buffer, self.ends, self.names = pa.allocate_buffer(BATCH_BYTES), [0], []

    def add(self, image: Path | Cell, cells: Cells, thorough: bool) -> str | None:
        """Takes in an image. What is wrong with it, if anything is."""
        try:
            if isinstance(image, Cell):
                content, name = cells.read(image)
                place = self._room(len(content))
                place[:] = content
            else:  # that it is an ordinary file is known
                with open(image, "rb", buffering=0) as file:
                    place = self._room(os.fstat(file.fileno()).st_size)
                    if file.readinto(place) != len(place):
                        return "became shorter while it was read"
                name, thorough = image.name, False
        except (ImageError, OSError) as error:
            return unreadable(error, "").what
        self.ends.append(self.ends[-1] + len(place))
        self.names.append(name and printable(os.path.basename(name)))
        return damage(place, thorough)

    def _room(self, size: int) -> memoryview:
        """Where the next bytes go."""
        start = self.ends[-1]
        if start + size > self.buffer.size:
            larger = pa.allocate_buffer(2 * (start + size))
            memoryview(larger).cast("B")[:start] = memoryview(self.buffer).cast("B")[:start]
            self.buffer = larger
        return memoryview(self.buffer).cast("B")[start : start + size]

    def cut(self, count: int) -> None:
        """Keeps the first images only."""
        del self.ends[count + 1 :], self.names[count:]

    def array(self) -> pa.StructArray:
        ends = pa.py_buffer(np.array(self.ends, np.int32))
        contents = pa.Array.from_buffers(pa.binary(), len(self.names), [None, ends, self.buffer])
        return pa.StructArray.from_arrays([contents, pa.array(self.names, pa.string())], ["bytes", "path"])


def _table(batch: Sequence[Pair], images: Sequence[_Images], features: datasets.Features) -> pa.Table:
    columns = {name: [getattr(pair, name, None) for pair in batch] for name in FEATURES}
    columns |= {"before": images[0].array(), "after": images[1].array()}
    columns |= {name: [pair.others.get(name) for pair in batch] for name in features if name not in FEATURES}
    return pa.Table.from_pydict(columns, features.arrow_schema)
