"""The plan of a split: a table of every row that is to be made, on disk before the first is."""

import hashlib
from collections.abc import Iterator
from typing import IO, NamedTuple

import pyarrow as pa

from .seeds import seed_of
from .settings import Settings
from .sources import Source, SourceRow
from .store import Store

FOLDER = "plan"
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "source_index": pa.int64(),
        "source_id": pa.string(),
        "variant": pa.int32(),  # null: the source's own image after the change
        "seed": pa.int64(),
        "instruction": pa.string(),
        "category": pa.string(),
        "before_caption": pa.string(),
        "after_caption": pa.string(),
    }
)


class Planned(NamedTuple):
    """
    What a plan amounts to.

    Args:
        sources, rows, parts (`int`): how many of each.
        digest (`str`): of all rows.
    """

    sources: int
    rows: int
    parts: int
    digest: str


def file_of(split: str) -> str:
    return f"{FOLDER}/{split}.arrow"


def planned_rows(row: SourceRow, variants: int, seed: int) -> list[dict]:
    """Rows of the plan that come from one of the source."""
    own = {
        "source_index": row.index,
        "source_id": row.id,
        "instruction": row.instruction,
        "category": row.category,
        **dict(zip(("before_caption", "after_caption"), row.captions or (None, None), strict=True)),
    }
    if not variants:
        return [own | {"id": row.id, "variant": None, "seed": None}]
    return [own | {"id": f"{row.id}-{k}", "variant": k, "seed": seed_of(seed, row.id, k)} for k in range(variants)]


def parts_of(settings: Settings, split: str, source: Source) -> Iterator[list[dict]]:
    """The rows of a split, as many at a time as are made in one go: all those of some source rows."""
    wanted, part = settings.splits[split], []
    sources = max(1, settings.rows_per_part // max(1, wanted.variants))
    for number, row in enumerate(source.rows(wanted.limit), 1):
        part += planned_rows(row, wanted.variants, settings.seed)
        if number % sources == 0:
            yield part
            part = []
    if part:
        yield part


def write_plan(settings: Settings, split: str, source: Source, store: Store | None) -> Planned:
    """
    Plans a split, and writes the plan: an Arrow file with a batch for each part. (Of a Parquet file, what is known of
    every row group would be in memory.)

    Args:
        settings ([`Settings`]), split (`str`), source ([`Source`]): what to plan.
        store ([`Store`], *optional*): where to; without one the plan is only counted.

    Raises:
        ValueError: the source has no rows.
    """
    digest, counts = hashlib.sha256(), [0, 0, 0]

    def fill(file: IO[bytes] | None) -> None:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        writer = pa.ipc.new_file(file, SCHEMA, options=options) if file else None
        for part in parts_of(settings, split, source):
            for row in part:
                digest.update(repr(tuple(row[name] for name in SCHEMA.names)).encode())
            if writer:
                writer.write_batch(pa.RecordBatch.from_pylist(part, SCHEMA))
            for place, more in enumerate((len({row["source_id"] for row in part}), len(part), 1)):
                counts[place] += more
        if writer:
            writer.close()

    if store is None:
        fill(None)
    else:
        store.write(file_of(split), fill)
    if not counts[0]:
        raise ValueError(f"split {split!r}: the source has no rows")
    return Planned(*counts, digest.hexdigest()[:16])


class PlanReader:
    """Reads parts of a plan, one at a time."""

    def __init__(self, store: Store, split: str):
        self.file = store.open(file_of(split))
        self.batches = pa.ipc.open_file(self.file)

    def __len__(self) -> int:
        return self.batches.num_record_batches

    def rows_of(self, part: int) -> int:
        return self.batches.get_batch(part).num_rows

    def read(self, part: int) -> list[dict]:
        return self.batches.get_batch(part).to_pylist()

    def close(self) -> None:
        self.file.close()
