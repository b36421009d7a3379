"""Forgets parts in which rows failed, so that they are made again."""

import json
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..run_record import SUMMARY
from .folder import DATA, EXCLUDED, PARTS, RunFolder, Shard, part_name
from .rows import FAILED, KEPT, ROWS_TOGETHER, SCHEMA, STATS, stats_of
from .shards import shard_stats


def forget_failed(folder: RunFolder) -> int:
    """
    Removes parts with rows that failed. A finished shard is taken apart first; its other parts stay as they are.

    Returns:
        `int`: parts that are to be made again.
    """
    folder.store.remove(SUMMARY)  # first: until it is there again, the run is not finished
    forgotten = 0
    finished, there = set(folder.store.names(DATA)), set(folder.store.names(PARTS))
    for split in folder.settings.splits:
        for shard in folder.shards(split):
            if shard.name in finished:
                stats = shard_stats(folder, shard)
                if any(one[FAILED] for one in stats):
                    forgotten += sum(bool(one[FAILED]) for one in stats)
                    _take_apart(folder, shard, stats)
                continue
            for name in (part_name(split, part) for part in shard.parts):
                if name in there:
                    with folder.store.open(f"{PARTS}/{name}") as file:
                        failed = stats_of(pq.read_schema(file))[FAILED]
                    if failed:
                        folder.store.remove(f"{PARTS}/{name}")
                        forgotten += 1
    return forgotten


def _take_apart(folder: RunFolder, shard: Shard, stats: list[dict]) -> None:
    """Writes the parts of a shard in which nothing failed, and removes the shard."""
    kept = pq.read_table(BytesIO(folder.store.read(f"{DATA}/{shard.name}"))).replace_schema_metadata()
    excluded = pq.read_table(BytesIO(folder.store.read(f"{EXCLUDED}/{shard.name}"))).replace_schema_metadata()
    places = {}
    for table, rows in (("kept", kept["id"]), ("excluded", excluded["id"])):
        places |= {name: (table, row) for row, name in enumerate(rows.to_pylist())}
    plan = folder.plan(shard.split)
    for part, one in zip(shard.parts, stats, strict=True):
        if one[FAILED]:
            # may be there still, if putting it together was interrupted
            folder.store.remove(f"{PARTS}/{part_name(shard.split, part)}")
            continue
        rows = []
        for planned in plan.read(part):
            table, row = places[planned["id"]]
            if table == "excluded":
                rows += excluded.slice(row, 1).to_pylist()
            else:
                made = {"source_id": planned["source_id"], "variant": planned["variant"], "status": KEPT}
                rows += [{**each, "made": made} for each in kept.slice(row, 1).to_pylist()]
        schema = SCHEMA.with_metadata({STATS: json.dumps(one).encode()})
        folder.store.write(
            f"{PARTS}/{part_name(shard.split, part)}",
            lambda file, rows=rows, schema=schema: pq.write_table(
                pa.Table.from_pylist(rows, schema), file, row_group_size=ROWS_TOGETHER
            ),
        )
    plan.close()
    folder.store.remove(f"{DATA}/{shard.name}")
