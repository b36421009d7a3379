"""Forgets parts in which rows failed, so that they are made again."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from ..common.run_record import SUMMARY
from .folder import DATA, PARTS, RunFolder, Shard, part_name
from .rows import FAILED, KEPT, ROWS_TOGETHER, SCHEMA, STATS
from .shards import part_stats, rows_of, shard_stats


def forget_failed(folder: RunFolder) -> None:
    """Removes parts with rows that failed. A finished shard is taken apart first; its other parts stay as they are."""
    folder.store.remove(SUMMARY)  # first: until it is there again, the run is not finished
    finished, there = set(folder.store.names(DATA)), set(folder.store.names(PARTS))
    for split in folder.settings.splits:
        for shard in folder.shards(split):
            if shard.name in finished:
                stats = shard_stats(folder, shard)
                if any(one[FAILED] for one in stats):
                    _take_apart(folder, shard, stats)
                continue
            for name in (part_name(split, part) for part in shard.parts):
                if name in there and part_stats(folder, name)[FAILED]:
                    folder.store.remove(f"{PARTS}/{name}")


def _take_apart(folder: RunFolder, shard: Shard, stats: list[dict]) -> None:
    """Writes the parts of a shard in which nothing failed, and removes the shard."""
    plan = folder.plan(shard.split)
    for part, one in zip(shard.parts, stats, strict=True):
        name = f"{PARTS}/{part_name(shard.split, part)}"
        if one[FAILED]:
            # may be there still, if putting it together was interrupted
            folder.store.remove(name)
            continue
        planned = plan.read(part)
        found = rows_of(folder, shard, {row["id"] for row in planned})
        rows = []
        for row in planned:
            made = {"source_id": row["source_id"], "variant": row["variant"], "status": KEPT}
            rows.append({"made": made, **found[row["id"]]})  # rows that were left out have their own
        schema = SCHEMA.with_metadata({STATS: json.dumps(one).encode()})
        folder.store.write(
            name,
            lambda file, rows=rows, schema=schema: pq.write_table(
                pa.Table.from_pylist(rows, schema), file, row_group_size=ROWS_TOGETHER
            ),
        )
    plan.close()
    folder.store.remove(f"{DATA}/{shard.name}")
