"""The last stage: judges all rows by the limits of today, and writes the data set, its card and what was left out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..common.paths_in_text import without_paths
from ..common.row import FEATURES, NO_CHANGE
from ..common.run_record import SHEET, SUMMARY
from .captioning import caption_key, caption_stamp
from .contact_sheet import contact_sheet
from .filters import Filter, judge
from .folder import CAPTION, DATA, EDIT, PLAN, ROWS_TOGETHER, SCORE, SELECT, RunFolder
from .run_card import CARD, run_card
from .scoring import score_stamp
from .sources import no_change_captions
from .store import Store
from .tally import DROPPED, FAILED, KEPT, Tally

DELETED, BY_HAND = "deleted.json", "deleted by hand"
OWN_FIELDS = ("steps", "guidance", "image_guidance")  # of the provenance; other settings are in a list
VERDICTS = pa.schema(
    {
        "id": pa.string(),
        "source_id": pa.string(),
        "variant": pa.int32(),
        "status": pa.string(),  # kept, dropped or failed
        "by": pa.string(),  # the filter that dropped it, or what failed: source, editor, a filter or paraphraser
        "reason": pa.string(),
        "instruction": pa.string(),
        "category": pa.string(),
        "seed": pa.int64(),
        "scores": FEATURES.arrow_schema.field("provenance").type.field("scores").type,
        "file": pa.string(),  # of data/ where it is, or would be
    }
)
VERDICTS_TOGETHER = 1000  # of a row group


def select(run: RunFolder, filters: Sequence[Filter]) -> dict[str, Tally]:
    """
    Selects the rows of a run. All results of the other stages must be there. Interrupted at any moment, it can be done
    again.

    Args:
        run ([`RunFolder`]): with the results of the other stages.
        filters (`Sequence[Filter]`): whose limits decide; no model is loaded.

    Returns:
        `dict[str, Tally]`: what became of the rows, by split.
    """
    store, settings = run.store, run.settings
    store.remove(SUMMARY)  # until it is there again, the run is not finished
    store.clean("", PLAN, EDIT, CAPTION, SELECT, DATA, *(f"{SCORE}/{one.name}" for one in filters))
    deleted = _deleted(store)
    tallies = {split: _select_split(run, split, filters, set(deleted.get(split, ()))) for split in settings.splits}
    edited = [split for split, wanted in settings.splits.items() if wanted.variants]
    if edited:
        store.write(SHEET, contact_sheet(run, edited[0], tallies[edited[0]]))
    store.write(CARD, run_card(run.record, tallies, bool(edited)).encode())
    counts = {split: tally.as_dict() for split, tally in tallies.items()}
    store.write(SUMMARY, (json.dumps({"splits": counts, **run.record}, indent=1) + "\n").encode())
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
    provenance, asked = _provenance(run, split), run.settings.splits[split].paraphrases
    with store.writing(f"{SELECT}/{split}.parquet") as file, pq.ParquetWriter(file, VERDICTS) as writer:

        def pieces() -> Iterator[tuple[int, pa.Table]]:
            """Rows of the result with the number of their file, and perhaps none of it; writes the verdicts."""
            begin, verdicts = 0, []
            for part in range(run.record["planned"][split]["parts"]):
                planned, edited = run.plan(split, part), run.table(EDIT, split, part)
                captions = _captions(run, split, part, planned)
                found = list(_verdicts(run, split, part, planned, edited, captions, filters, deleted))
                _count(tally, found, captions, asked)
                rows = list(enumerate(zip(planned, found, strict=True), begin))
                for place, (_, verdict) in rows:
                    verdict["file"] = names[place // each]
                for number, some in groupby(rows, key=lambda row: row[0] // each):
                    kept = [(row, verdict) for _, (row, verdict) in some if verdict["status"] == KEPT]
                    yield number, _rows(kept, planned, edited, captions, provenance, asked)
                begin += len(planned)
                verdicts += found
                if len(verdicts) >= VERDICTS_TOGETHER or begin == run.record["planned"][split]["rows"]:
                    writer.write_table(pa.Table.from_pylist(verdicts, VERDICTS))
                    verdicts = []

        for (_, tables), name in zip(groupby(pieces(), key=itemgetter(0)), names, strict=True):
            with store.writing(f"{DATA}/{name}") as shard, pq.ParquetWriter(shard, FEATURES.arrow_schema) as data:
                for _, table in tables:
                    if table.num_rows:
                        data.write_table(table, row_group_size=ROWS_TOGETHER)
        for name in store.names(DATA):
            if name.startswith(f"{split}-") and name not in names:
                store.remove(f"{DATA}/{name}")
    return tally


def _captions(run: RunFolder, split: str, part: int, planned: Sequence[dict]) -> dict[str, dict]:
    """What was made of the captions of each row, by its id."""
    count = run.settings.splits[split].paraphrases
    if not count:
        return {}
    who = run.record["made_by"]["paraphraser"]
    found, key = run.results(CAPTION, split, part, stamp=caption_stamp(who, count)), caption_key(who)
    return {row["id"]: found[row[key]] for row in planned if row[key] in found}


def _verdicts(
    run: RunFolder,
    split: str,
    part: int,
    planned: Sequence[dict],
    edited: pa.Table,
    captions: Mapping[str, dict],
    filters: Sequence[Filter],
    deleted: set[str],
) -> Iterator[dict[str, Any]]:
    """What becomes of each row of a part."""
    failed = {row["id"]: row for row in edited.select(["id", "by", "error"]).to_pylist()}
    parameters, scores = run.record["made_by"]["filters"], {}
    for one in filters if run.settings.splits[split].variants else ():
        scores[one.name] = run.results(f"{SCORE}/{one.name}", split, part, stamp=score_stamp(parameters[one.name]))
    for _, variants in groupby(planned, key=itemgetter("source_id")):
        rows, measured = list(variants), {}
        for row in rows:
            unsaid = captions.get(row["id"], {}).get("error")
            by, error = failed[row["id"]]["by"], failed[row["id"]]["error"]
            for judge_name, found in scores.items() if error is None and row["category"] != NO_CHANGE else ():
                if error is None and (error := found[row["id"]]["error"]) is not None:
                    by = judge_name
            if error is None and unsaid is not None:
                by, error = "paraphraser", unsaid
            failed[row["id"]] = by, error
            if error is None and row["variant"] is not None and row["category"] != NO_CHANGE:
                measured[row["variant"]] = {name: found[row["id"]]["score"] for name, found in scores.items()}
        judged = judge(filters, measured)
        for row in rows:
            numbers, (by, why) = {}, failed[row["id"]]
            status = FAILED if by else KEPT
            if row["variant"] in judged and not by:
                numbers, by, why = judged[row["variant"]]
                status = DROPPED if by else KEPT
            if row["id"] in deleted and status == KEPT:
                status, by, why = DROPPED, BY_HAND, f"not in {DATA}/ any more; {DELETED} has its id"
            own = {name: row[name] for name in ("id", "source_id", "variant", "instruction", "category", "seed")}
            named = [{"name": name, "value": score} for name, score in numbers.items()]
            yield {**own, "status": status, "by": by, "reason": why, "scores": named}


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


def _rows(
    kept: Sequence[tuple[dict, dict]],
    planned: Sequence[dict],
    edited: pa.Table,
    captions: Mapping[str, dict],
    provenance: Mapping[str, Any],
    asked: int,
) -> pa.Table:
    """Rows of the result; the images are not copied through Python."""
    place = {name: number for number, name in enumerate(edited["id"].to_pylist())}
    first: dict[str, int] = {}
    for row in planned:
        first.setdefault(row["source_id"], place[row["id"]])
    versions = edited["versions"].to_pylist()

    def images(column: str, places: list[int]) -> pa.Array:
        content = pa.chunked_array(edited[column].take(pa.array(places, pa.int64()))).combine_chunks()
        return pa.StructArray.from_arrays([content, pa.nulls(len(places), pa.string())], ["bytes", "path"])

    def made(row: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any] | None:
        own = {"seed": row["seed"], "instruction": row["instruction"], "scores": verdict["scores"]}
        if row["category"] == NO_CHANGE:
            how = [{"name": "unchanged", "value": "saved anew and moved"}]
            return {**dict.fromkeys(provenance), **own, "settings": how, "versions": []}
        return None if row["variant"] is None else {**provenance, **own, "versions": versions[place[row["id"]]]}

    def said(row: Mapping[str, Any]) -> list[str]:
        if row["category"] == NO_CHANGE:
            return no_change_captions(row["source_id"], 1 + asked)
        return [row["instruction"], *captions.get(row["id"], {"captions": ()})["captions"]]

    columns = {
        "id": [row["id"] for row, _ in kept],
        "before": images("before", [first[row["source_id"]] for row, _ in kept]),
        "after": images("after", [place[row["id"]] for row, _ in kept]),
        "captions": [said(row) for row, _ in kept],
        "category": [row["category"] for row, _ in kept],
        "changed": [row["category"] != NO_CHANGE for row, _ in kept],
        "provenance": [made(row, verdict) for row, verdict in kept],
    }
    schema = FEATURES.arrow_schema
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, schema.field(name).type)
        for name, column in columns.items()
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _provenance(run: RunFolder, split: str) -> dict[str, Any]:
    """What the provenance of all edited rows of a split has in common; names no place of this machine."""
    who, settings = run.record["made_by"], {"image_format": run.settings.image_format}
    editor = who.get("editor") or {"id": None, "revision": None, "parameters": {}}
    settings |= {name: value for name, value in editor["parameters"].items() if name not in OWN_FIELDS}
    if run.settings.splits[split].paraphrases:
        model = who["paraphraser"]
        settings |= {"paraphraser": model["id"], "paraphraser.revision": model["revision"]}
        settings |= {f"paraphraser.{name}": value for name, value in model["parameters"].items()}
    told = [
        {"name": name, "value": without_paths(value if isinstance(value, str) else json.dumps(value))}
        for name, value in settings.items()
        if value is not None
    ]
    own = {name: editor["parameters"].get(name) for name in OWN_FIELDS}
    return {"editor": editor["id"], "revision": editor["revision"], **own, "settings": told}
