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
from .images import ImageError, damage, printable
from .row import FEATURES

BATCH_ROWS = 200  # rows of a table, or fewer when their images are large
BATCH_BYTES = 16 << 20
SHOWN = 5  # images that one message names
logger = datasets.logging.get_logger(__name__)


@dataclass(frozen=True)
class Pair:
    """One pair of images, before it is read."""

    id: str  # unique within its split
    before: Path | Cell  # an image file, or an image in a Parquet file
    after: Path | Cell
    captions: tuple[str, ...]  # at least one
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
    skipped, cells, schema = [], Cells(), features.arrow_schema
    try:
        for batch, images in _batches(pairs, cells):
            table, broken = _table(batch, images, schema, skip_broken)
            if broken and not skip_broken:
                shown = "\n  ".join(["images are broken; nothing was built:", *first_few(sum(broken.values(), []))])
                raise BrokenImageError(f"{shown}\nGet the files again. on_error='skip' leaves such pairs out.")
            if broken:
                skipped += sum(broken.values(), [])
                table = table.filter(pa.array([row not in broken for row in range(len(batch))]))
            if table.num_rows:
                yield table
    finally:
        cells.close()
    if skipped:
        shown = "\n  ".join([f"{len(skipped)} images are broken; their pairs are left out:", *first_few(skipped)])
        logger.warning(shown)


def first_few(lines: Sequence[str]) -> list[str]:
    """As many lines as one message shows."""
    return [*lines[:SHOWN], *["..."] * (len(lines) > SHOWN)]


def _batches(pairs: Iterable[Pair], cells: Cells) -> Iterator[tuple[list[Pair], tuple["_Images", "_Images"]]]:
    """Pairs of a table at a time. Files are not read yet; cells are, for they are read in order."""
    batch, images = [], (_Images(), _Images())
    for pair in pairs:
        batch.append(pair)
        for column, image in zip(images, pair.images, strict=True):
            try:
                if isinstance(image, Path):
                    column.add(image, printable(image.name), os.stat(image).st_size)
                else:
                    content, name = cells.read(image)
                    column.add(content, name and os.path.basename(name), len(content))
            except ImageError as error:
                column.add(image, None, 0, error.what)
            except OSError as error:
                column.add(image, None, 0, f"cannot be read: {error.strerror}")
        if len(batch) == BATCH_ROWS or sum(column.size for column in images) >= BATCH_BYTES:
            yield batch, images
            batch, images = [], (_Images(), _Images())
    if batch:
        yield batch, images


class _Images:
    """Images of one column of a table, which lie side by side in one buffer: files are read to where they stay."""

    def __init__(self):
        self.images, self.names, self.wrong, self.ends, self.size = [], [], {}, [0], 0

    def add(self, image: Path | bytes, name: str | None, size: int, wrong: str | None = None) -> None:
        if wrong:
            self.wrong[len(self.images)] = wrong
        self.images.append(image)
        self.names.append(name)
        self.size += size
        self.ends.append(self.size)

    def array(self, thorough: bool) -> tuple[pa.StructArray, dict[int, str]]:
        """The column, and what is wrong with which of its rows."""
        buffer = pa.allocate_buffer(self.size)
        view, broken = memoryview(buffer).cast("B") if self.size else memoryview(bytearray()), dict(self.wrong)
        for row, image in enumerate(self.images):
            place = view[self.ends[row] : self.ends[row + 1]]
            if row in self.wrong:
                continue
            if isinstance(image, Path):
                wrong = _read_into(image, place) or damage(place)
            else:
                place[:] = image
                wrong = damage(place, thorough)
            if wrong:
                broken[row] = wrong
        ends = pa.py_buffer(np.array(self.ends, np.int32))
        contents = pa.Array.from_buffers(pa.binary(), len(self.images), [None, ends, buffer])
        return pa.StructArray.from_arrays([contents, pa.array(self.names, pa.string())], ["bytes", "path"]), broken


def _read_into(path: Path, place: memoryview) -> str | None:
    """Reads a file to where it stays; what is wrong with it, if anything is."""
    try:
        with open(path, "rb", buffering=0) as file:
            while place and (count := file.readinto(place)):
                place = place[count:]
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "became shorter while it was read" if place else None


def _table(
    pairs: Sequence[Pair], images: Sequence[_Images], schema: pa.Schema, thorough: bool
) -> tuple[pa.Table, dict[int, list[str]]]:
    """A table, and for each of its rows with a broken image what is wrong."""
    (before, broken_before), (after, broken_after) = (column.array(thorough) for column in images)
    broken = {}
    for side, wrong in enumerate((broken_before, broken_after)):
        for row, what in wrong.items():
            broken.setdefault(row, []).append(f"{printable(pairs[row].images[side])} (id {pairs[row].id!r}) {what}")
    columns = {
        "id": [pair.id for pair in pairs],
        "before": before,
        "after": after,
        "captions": [list(pair.captions) for pair in pairs],
        "category": [pair.category for pair in pairs],
        "changed": [pair.changed for pair in pairs],
        "provenance": [pair.provenance for pair in pairs],
    }
    columns |= {name: [pair.others.get(name) for pair in pairs] for name in schema.names[len(columns) :]}
    return pa.Table.from_pydict(columns, schema), broken
