"""The last stage: judges all rows by the limits of today, and writes the data set, its card and what was left out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..common.paths_in_text import without_paths
from ..common.row import FEATURES, NO_CHANGE
from ..common.run_record import SHEET, SUMMARY
from .cards import run_card
from .contact_sheet import contact_sheet
from .filters import Filter
from .folder import CAPTION, DATA, EDIT, PLAN, ROWS_TOGETHER, SCORE, SELECT, RunFolder
from .part_results import VERDICTS, PartResults
from .provenance import common_provenance
from .store import Store
from .tally import DROPPED, FAILED, KEPT, Tally

CARD = "README.md"
DELETED = "deleted.json"  # ids of rows that somebody took out of the result
VERDICTS_TOGETHER = 1000  # of a row group


def select(run: RunFolder, filters: Sequence[Filter]) -> dict[str, Tally]:
    """
    Selects the rows of a run by the limits of filters; returns what became of them, by split. No model is loaded. All
    results of the other stages must be there. Interrupted at any moment, it can be done again.
    """
    store, settings = run.store, run.settings
    store.remove(SUMMARY)  # until it is there again, the run is not finished
    store.clean("", PLAN, EDIT, CAPTION, SELECT, DATA, *(f"{SCORE}/{one.name}" for one in filters))
    deleted = _deleted(store)
    tallies = {split: _select_split(run, split, filters, set(deleted.get(split, ()))) for split in settings.splits}
    edited = [split for split, wanted in settings.splits.items() if wanted.variants]
    if edited:
        store.write(SHEET, contact_sheet(run, edited[0], tallies[edited[0]]))
    counts = {split: tally.as_dict() for split, tally in tallies.items()}
    summary = {"splits": counts, **run.record}
    store.write(CARD, run_card(summary, SHEET if edited else None).encode())
    store.write(SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    return {split: Tally.from_dict(of_split) for split, of_split in counts.items()}  # the most frequent first


def selected(run: RunFolder) -> dict[str, Tally] | None:
    """What became of the rows of a finished run, by split; `None` if they are to be selected."""
    store = run.store
    if not store.exists(SUMMARY):
        return None
    summary = json.loads(store.read(SUMMARY))
    files = {name for split in run.settings.splits for name in shard_names(run, split)}
    if {"splits": summary["splits"], **run.record} != summary or not files <= set(store.names(DATA)):
        return None
    return {split: Tally.from_dict(counts) for split, counts in summary["splits"].items()}


def note_deleted(store: Store, splits: Sequence[str]) -> None:
    """Remembers rows that somebody took out of the files of `data/`. A whole file that is missing is written again."""
    deleted, found = _deleted(store), False
    for split in splits:
        if not store.exists(name := f"{SELECT}/{split}.parquet"):
            continue
        rows = store.table(name, ["id", "status", "file"])
        files = [name for name in store.names(DATA) if name.startswith(f"{split}-")]
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
    with store.writing(f"{SELECT}/{split}.parquet") as file, pq.ParquetWriter(file, VERDICTS) as writer:

        def pieces() -> Iterator[tuple[int, pa.Table]]:
            """Rows of the result with the number of their file, and perhaps none of it; writes the verdicts."""
            begin, waiting = 0, []
            for part in range(run.record["planned"][split]["parts"]):
                results = PartResults(run, split, part, filters)
                verdicts = list(results.verdicts(filters, deleted))
                for number, some in groupby(range(len(verdicts)), key=lambda row: (begin + row) // each):
                    rows = list(some)
                    for row in rows:
                        verdicts[row]["file"] = names[number]
                    kept = [row for row in rows if verdicts[row]["status"] == KEPT]
                    yield number, results.table(kept, [verdicts[row]["scores"] for row in kept], common, asked)
                _count(tally, verdicts, results.captions, asked)
                begin, waiting = begin + len(verdicts), waiting + verdicts
                if len(waiting) >= VERDICTS_TOGETHER or begin == run.record["planned"][split]["rows"]:
                    writer.write_table(pa.Table.from_pylist(waiting, VERDICTS))
                    waiting = []

        for (_, tables), name in zip(groupby(pieces(), key=itemgetter(0)), names, strict=True):
            with store.writing(f"{DATA}/{name}") as shard, pq.ParquetWriter(shard, FEATURES.arrow_schema) as data:
                for _, table in tables:
                    if table.num_rows:
                        data.write_table(table, row_group_size=ROWS_TOGETHER)
        for name in store.names(DATA):
            if name.startswith(f"{split}-") and name not in names:
                store.remove(f"{DATA}/{name}")
    return tally


def _count(tally: Tally, verdicts: Sequence[dict], captions: Mapping[str, dict], asked: int) -> None:
    for verdict in verdicts:
        tally.rows += 1
        tally.kept += verdict["status"] == KEPT
        made = verdict["variant"] is not None and verdict["category"] != NO_CHANGE
        tally.edited += made and verdict["by"] not in ("source", "editor")
        if verdict["status"] == DROPPED:
            tally.dropped[verdict["by"]] += 1
        elif verdict["status"] == FAILED:
            tally.fail(f"{verdict['by']}: {without_paths(verdict['reason'])}")
    for said in {one["id"]: one for one in captions.values()}.values():
        if said["error"] is None:
            tally.paraphrases.update(asked=asked, kept=len(said["captions"]), attempts=said["attempts"])
            tally.rejected.update(one["rule"] for one in said["rejected"])
