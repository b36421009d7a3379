"""The last stage: judges all rows by the limits of today, and writes the data set, its card and what was left out."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..common.row import FEATURES
from ..common.run_record import SHEET, SUMMARY
from .cards import run_card
from .contact_sheet import contact_sheet
from .filters import Filter
from .folder import DATA, ROWS_TOGETHER, SELECT, RunFolder
from .part_rows import VERDICTS, part_rows, result_table
from .provenance import common_provenance
from .store import Store
from .tally import KEPT, Tally

CARD = "README.md"
DELETED = "deleted.json"  # ids of rows that somebody took out of the result


def select(run: RunFolder, filters: Sequence[Filter]) -> dict[str, Tally]:
    """
    Selects the rows of a run by the limits of filters; returns what became of them, by split. No model is loaded. All
    results of the other stages must be there. Interrupted at any moment, it can be done again.
    """
    store, settings = run.store, run.settings
    store.remove(SUMMARY)  # until it is there again, the run is not finished
    store.clean()
    deleted = _deleted(store)
    tallies = {split: _select_split(run, split, filters, set(deleted.get(split, ()))) for split in settings.splits}
    edited = [split for split, wanted in settings.splits.items() if wanted.variants]
    if edited:
        store.write(SHEET, contact_sheet(run, edited[0], tallies[edited[0]]))
    summary = {"splits": {split: vars(tally) for split, tally in tallies.items()}, **run.record}
    store.write(CARD, run_card(summary, SHEET if edited else None).encode())
    store.write(SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    return tallies


def selected(run: RunFolder) -> dict[str, Tally] | None:
    """What became of the rows of a finished run, by split; `None` if they are to be selected."""
    store = run.store
    if not store.exists(SUMMARY):
        return None
    summary = json.loads(store.read(SUMMARY))
    files = {name for split in run.settings.splits for name in shard_names(run, split)}
    if {"splits": summary["splits"], **run.record} != summary or not files <= set(store.names(DATA)):
        return None
    return {split: Tally(**counts) for split, counts in summary["splits"].items()}


def note_deleted(store: Store, splits: Sequence[str]) -> None:
    """Remembers rows that somebody took out of the files of `data/`. A whole file that is missing is written again."""
    deleted, found = _deleted(store), False
    for split in splits:
        if not store.exists(name := f"{SELECT}/{split}.parquet"):
            continue
        rows = store.table(name, ["id", "status", "file"])
        files = store.names(DATA, f"{split}-")
        if set(files) <= set(rows["file"].unique().to_pylist()):
            rows = rows.filter(pc.is_in(rows["file"], pa.array(files, pa.string())))
        kept = rows.filter(pc.equal(rows["status"], KEPT))["id"]
        there = [store.table(f"{DATA}/{name}", ["id"])["id"].combine_chunks() for name in files]
        there = pa.chunked_array(there, pa.string()).combine_chunks()
        gone = kept.filter(pc.invert(pc.is_in(kept, there))).to_pylist()
        if gone:
            deleted[split], found = [*deleted.get(split, ()), *gone], True
    if found:
        store.write(DELETED, (json.dumps(deleted, indent=1) + "\n").encode())
        store.remove(SUMMARY)


def _deleted(store: Store) -> dict[str, list[str]]:
    return json.loads(store.read(DELETED)) if store.exists(DELETED) else {}


def shard_names(run: RunFolder, split: str) -> list[str]:
    """Names of the files of a split. A file has the rows of `rows_per_shard` planned ones that are kept."""
    total = -(-run.record["planned"][split]["rows"] // run.settings.rows_per_shard)
    return [f"{split}-{number:05d}-of-{total:05d}.parquet" for number in range(total)]


def _select_split(run: RunFolder, split: str, filters: Sequence[Filter], deleted: set[str]) -> Tally:
    store, tally, names, each = run.store, Tally(), shard_names(run, split), run.settings.rows_per_shard
    common, asked = common_provenance(run, split), run.settings.splits[split].paraphrases
    store.remove(f"{SELECT}/{split}.parquet")  # what new limits drop has not been taken out by hand
    with store.writing(f"{SELECT}/{split}.parquet") as file, pq.ParquetWriter(file, VERDICTS) as writer:

        def pieces() -> Iterator[tuple[str, pa.Table]]:
            """Rows of the result with the name of their file, and perhaps none of it; writes the verdicts."""
            for part in range(run.record["planned"][split]["parts"]):
                rows = part_rows(run, split, part, filters, deleted)
                for number, row in enumerate(rows, tally.rows):
                    row["file"] = names[number // each]
                for name, some in groupby(rows, key=itemgetter("file")):
                    kept = [row for row in some if row["status"] == KEPT]
                    yield name, result_table(run, split, part, kept, common)
                tally.add(rows, asked)
                writer.write_batch(pa.RecordBatch.from_pylist(rows, VERDICTS))

        for name, tables in groupby(pieces(), key=itemgetter(0)):
            with store.writing(f"{DATA}/{name}") as shard, pq.ParquetWriter(shard, FEATURES.arrow_schema) as data:
                for _, table in tables:
                    if table.num_rows:
                        data.write_table(table, row_group_size=ROWS_TOGETHER)
    for name in set(store.names(DATA, f"{split}-")) - set(names):
        store.remove(f"{DATA}/{name}")
    return tally
