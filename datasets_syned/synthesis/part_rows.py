"""What the stages made of a part, put together: what becomes of each row, and the rows of the data set."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ..common.row import FEATURES, NO_CHANGE
from .captioning import caption_key, caption_stamp
from .filters import Filter, judge
from .folder import CAPTION, EDIT, SCORE, RunFolder
from .provenance import provenance_of
from .scoring import score_stamp
from .sources import no_change_captions
from .tally import DROPPED, FAILED, KEPT

BY_HAND = "deleted by hand"  # in place of a filter
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


def part_rows(run: RunFolder, split: str, part: int, filters: Sequence[Filter], deleted: set[str]) -> list[dict]:
    """
    The planned rows of a part, with the columns of `VERDICTS` but "file"; and "versions" of the packages, "settings"
    of this image alone, what the paraphraser has "told", and the id of the "first" row of the source.
    """
    who, wanted = run.record["made_by"], run.settings.splits[split]
    made = run.results(EDIT, split, part, columns=["id", "by", "error", "versions", "settings"])
    measured, said, key = {}, {}, "id"
    for one in filters if wanted.variants else ():
        stamp = score_stamp(who["filters"][one.name])
        measured[one.name] = run.results(f"{SCORE}/{one.name}", split, part, stamp=stamp)
    if wanted.paraphrases:
        key, stamp = caption_key(who["paraphraser"]), caption_stamp(who["paraphraser"], wanted.paraphrases)
        said = run.results(CAPTION, split, part, stamp=stamp)
    sources = run.sources(split, part)
    for variants in sources:
        scores = {}
        for row in variants:
            row |= {"first": variants[0]["id"], "told": said.get(row[key])}
            row |= {name: made[row["id"]][name] for name in ("versions", "settings")}
            found = {name: results.get(row["id"]) for name, results in measured.items()}
            results = {made[row["id"]]["by"]: made[row["id"]], **found, "paraphraser": row["told"]}
            errors = [(by, one["error"]) for by, one in results.items() if one and one["error"] is not None]
            row |= {"status": FAILED if errors else KEPT, "scores": []}
            row["by"], row["reason"] = errors[0] if errors else (None, None)
            if not errors and all(found.values()):  # the others are not for filters to judge
                scores[row["variant"]] = {name: one["score"] for name, one in found.items()}
        judged = judge(filters if measured else (), scores)
        for row in (row for row in variants if row["status"] == KEPT):
            numbers, by, why = judged.get(row["variant"], ({}, None, None))
            row["scores"] = [{"name": name, "value": score} for name, score in numbers.items()]
            if not by and row["id"] in deleted:
                by, why = BY_HAND, "somebody took it out of the result"
            row |= {"status": DROPPED if by else KEPT, "by": by, "reason": why}
    return [row for variants in sources for row in variants]


def result_table(
    run: RunFolder, split: str, part: int, rows: Sequence[Mapping[str, Any]], common: Mapping[str, Any]
) -> pa.Table:
    """Some rows of a part as those of the data set. Images are not copied through Python."""
    edited = run.table(EDIT, split, part, columns=["id", "before", "after"])
    place = {name: number for number, name in enumerate(edited["id"].to_pylist())}

    def images(column: str, key: str) -> pa.Array:
        places = pa.array([place[row[key]] for row in rows], pa.int64())
        content = pa.chunked_array(edited[column].take(places)).combine_chunks()
        return pa.StructArray.from_arrays([content, pa.nulls(len(rows), pa.string())], ["bytes", "path"])

    def captions(row: Mapping[str, Any]) -> list[str]:
        if row["category"] == NO_CHANGE:
            return no_change_captions(row["source_id"], 1 + run.settings.splits[split].paraphrases)
        return [row["instruction"], *(row["told"]["captions"] if row["told"] else ())]

    columns = {
        "id": [row["id"] for row in rows],
        "before": images("before", "first"),
        "after": images("after", "id"),
        "captions": [captions(row) for row in rows],
        "category": [row["category"] for row in rows],
        "changed": [row["category"] != NO_CHANGE for row in rows],
        "provenance": [provenance_of(row, common) for row in rows],
    }
    return pa.Table.from_pydict(columns, FEATURES.arrow_schema)
