"""Puts the parts of a run together: Parquet files of rows that stay, others of those that don't."""

import json
from collections.abc import Iterator
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..common.row import FEATURES
from .folder import DATA, EXCLUDED, PARTS, RunFolder, Shard, part_name
from .rows import KEPT, SCHEMA, stats_of
from .tally import Tally

STATS = b"synthesis"  # key of what a shard says of its parts
EXCLUDED_SCHEMA = SCHEMA.remove_metadata()


def put_together(folder: RunFolder, shard: Shard) -> None:
    """
    Writes a shard from its parts, and beside it the rows that are no part of it; then removes the parts. Interrupted
    at any moment it can be done again.
    """
    parts = [f"{PARTS}/{part_name(shard.split, part)}" for part in shard.parts]
    stats = []

    def fill(file, kept: bool) -> None:
        writer = None
        for name in parts:
            part = pq.ParquetFile(BytesIO(folder.store.read(name)))
            if kept:
                stats.append(stats_of(part.schema_arrow))
            for group in range(part.num_row_groups):  # one at a time: Arrow reads no more than 2 GiB of images at once
                table = part.read_row_group(group)
                chosen = pc.equal(pc.struct_field(table["made"], "status"), KEPT)
                table = table.filter(chosen if kept else pc.invert(chosen))
                schema = FEATURES.arrow_schema if kept else EXCLUDED_SCHEMA
                table = (table.drop_columns(["made"]) if kept else table).cast(schema)
                writer = writer or pq.ParquetWriter(file, table.schema)
                if table.num_rows:
                    writer.write_table(table)
        if kept:
            writer.add_key_value_metadata({STATS: json.dumps(stats).encode()})
        writer.close()

    # first those that are left out: once the shard is there, nothing of this is done again
    folder.store.write(f"{EXCLUDED}/{shard.name}", lambda file: fill(file, kept=False))
    folder.store.write(f"{DATA}/{shard.name}", lambda file: fill(file, kept=True))
    for name in parts:
        folder.store.remove(name)


def shard_stats(folder: RunFolder, shard: Shard) -> list[dict]:
    """What a finished shard says of its parts."""
    with folder.store.open(f"{DATA}/{shard.name}") as file:
        return json.loads(pq.read_metadata(file).metadata[STATS])


def part_stats(folder: RunFolder, name: str) -> dict:
    """What the file of a part says of it."""
    with folder.store.open(f"{PARTS}/{name}") as file:
        return stats_of(pq.read_schema(file))


def tally_of(folder: RunFolder, split: str) -> Tally:
    """What became of the rows of a split that are done so far."""
    tally = Tally()
    finished, there = set(folder.store.names(DATA)), set(folder.store.names(PARTS))
    for shard in folder.shards(split):
        if shard.name in finished:
            for stats in shard_stats(folder, shard):
                tally.add(stats)
            continue
        for name in (part_name(split, part) for part in shard.parts):
            if name in there:
                tally.add(part_stats(folder, name))
    return tally


def excluded_rows(folder: RunFolder, split: str, columns: list[str]) -> Iterator[dict]:
    """The rows of a finished split that are no part of the result, in order."""
    for shard in folder.shards(split):
        with folder.store.open(f"{EXCLUDED}/{shard.name}") as file, pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(16, columns=columns):
                yield from pa.Table.from_batches([batch]).to_pylist()


def rows_of(folder: RunFolder, shard: Shard, ids: set[str]) -> dict[str, dict]:
    """Rows of a finished shard by id, of the result or not; the latter have a column `made`. Reads little else."""
    found = {}
    for where in (DATA, EXCLUDED):
        with folder.store.open(f"{where}/{shard.name}") as file, pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                if ids.intersection(parquet.read_row_group(group, ["id"])["id"].to_pylist()):
                    table = parquet.read_row_group(group)
                    table = table.filter(pc.is_in(table["id"], pa.array(ids, pa.string())))
                    found |= {row["id"]: row for row in table.to_pylist()}
    return found
