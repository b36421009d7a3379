"""Pairs of image files and what is said of them, and how they become rows: bytes as they are, nothing is decoded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from .schema import FEATURES

BATCH_ROWS = 200  # rows of a table, or fewer when their images are large
BATCH_BYTES = 64 << 20
TAIL = 4096  # bytes in which an image has to end; cameras write a little behind the end
# How image files begin, and what stands at the end of those formats that have an end.
FORMATS = {
    b"\xff\xd8\xff": b"\xff\xd9",  # JPEG
    b"\x89PNG\r\n\x1a\n": b"IEND",
    b"GIF8": b"",
    b"RIFF": b"",  # WebP
    b"BM": b"",
    b"II*\0": b"",  # TIFF
    b"MM\0*": b"",
}


@dataclass(frozen=True)
class Pair:
    """
    One pair of images, before it is read.

    Args:
        id (`str`): unique within its split.
        before, after (`Path`): image files.
        captions (`tuple[str, ...]`): the reference descriptions, at least one.
        category (`str`): kind of change, in the benchmark's own words; "none" for an unchanged pair.
        changed (`bool`, *optional*, defaults to `True`): whether anything changed.
    """

    id: str
    before: Path
    after: Path
    captions: tuple[str, ...]
    category: str
    changed: bool = True

    @property
    def images(self) -> tuple[Path, Path]:
        return self.before, self.after


def damage(path: Path) -> str | None:
    """What is wrong with an image file as far as its first and last bytes show, `None` if nothing is."""
    with open(path, "rb") as file:
        head = file.read(16)
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        tail = file.read()
    if not head:
        return "is empty"
    for magic, end in FORMATS.items():
        if head.startswith(magic):
            cut = head[:4] == b"RIFF" and int.from_bytes(head[4:8], "little") + 8 > size
            return "is cut off" if cut or end not in tail else None
    return f"is no image file: it begins with {head[:8]!r}"


def tables(pairs: Iterable[Pair]) -> Iterator[pa.Table]:
    """Tables of [`FEATURES`] with the content of the image files, a few rows each."""
    batch, images, size = [], [], 0
    for pair in pairs:
        both = tuple(path.read_bytes() for path in pair.images)
        batch.append(pair)
        images.append(both)
        size += sum(map(len, both))
        if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
            yield _table(batch, images)
            batch, images, size = [], [], 0
    if batch:
        yield _table(batch, images)


def _table(pairs: Sequence[Pair], images: Sequence[tuple[bytes, bytes]]) -> pa.Table:
    schema = FEATURES.arrow_schema
    columns = {
        "id": [pair.id for pair in pairs],
        "before": _image_array([one for one, _ in images], [pair.before.name for pair in pairs]),
        "after": _image_array([other for _, other in images], [pair.after.name for pair in pairs]),
        "captions": [list(pair.captions) for pair in pairs],
        "category": [pair.category for pair in pairs],
        "changed": [pair.changed for pair in pairs],
        "provenance": [None] * len(pairs),
    }
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, schema.field(name).type)
        for name, column in columns.items()
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _image_array(contents: list[bytes], names: list[str]) -> pa.StructArray:
    return pa.StructArray.from_arrays(
        [pa.array(contents, pa.binary()), pa.array(names, pa.string())], ["bytes", "path"]
    )
