"""What the stages made of a part, as verdicts and as rows of the data set."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
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


class PartResults:
    """All that the stages made of a part."""

    def __init__(self, run: RunFolder, split: str, part: int, filters: Sequence[Filter]):
        who, count = run.record["made_by"], run.settings.splits[split].paraphrases
        self.planned, self.edited = run.plan(split, part), run.table(EDIT, split, part)
        self.made = {row["id"]: row for row in self.edited.select(["id", "by", "error", "versions"]).to_pylist()}
        self.scores, self.captions = {}, {}
        for name in (one.name for one in filters if run.settings.splits[split].variants):
            stamp = score_stamp(who["filters"][name])
            self.scores[name] = run.results(f"{SCORE}/{name}", split, part, stamp=stamp)
        if count:
            key, stamp = caption_key(who["paraphraser"]), caption_stamp(who["paraphraser"], count)
            found = run.results(CAPTION, split, part, stamp=stamp)
            self.captions = {row["id"]: found[row[key]] for row in self.planned if row[key] in found}

    def verdicts(self, filters: Sequence[Filter], deleted: set[str]) -> Iterator[dict[str, Any]]:
        """What becomes of each row."""
        for _, variants in groupby(self.planned, key=itemgetter("source_id")):
            rows, measured = list(variants), {}
            failed = {row["id"]: self._failure(row["id"]) for row in rows}
            for row in rows:  # the others are not for filters to judge
                if failed[row["id"]] is None and all(row["id"] in found for found in self.scores.values()):
                    measured[row["variant"]] = {name: found[row["id"]]["score"] for name, found in self.scores.items()}
            judged = judge(filters if self.scores else (), measured)
            for row in rows:
                scores, by, why = judged.get(row["variant"], ({}, None, None))
                status = DROPPED if by else KEPT
                if failed[row["id"]]:
                    scores, status, (by, why) = {}, FAILED, failed[row["id"]]
                elif row["id"] in deleted and not by:
                    status, by, why = DROPPED, BY_HAND, "somebody took it out of the result"
                own = {name: row[name] for name in ("id", "source_id", "variant", "instruction", "category", "seed")}
                named = [{"name": name, "value": score} for name, score in scores.items()]
                yield {**own, "status": status, "by": by, "reason": why, "scores": named}

    def _failure(self, name: str) -> tuple[str, str] | None:
        """What failed of a row, and why."""
        results = {by: found.get(name) for by, found in self.scores.items()}
        results |= {"paraphraser": self.captions.get(name)}
        if self.made[name]["error"] is not None:
            return self.made[name]["by"], self.made[name]["error"]
        return next(((by, one["error"]) for by, one in results.items() if one and one["error"] is not None), None)

    def table(self, kept: Sequence[int], scores: Sequence[list], common: Mapping[str, Any], asked: int) -> pa.Table:
        """Some rows of the result, by their numbers in the part. Images are not copied through Python."""
        place = {name: number for number, name in enumerate(self.edited["id"].to_pylist())}
        first: dict[str, int] = {}
        for row in self.planned:
            first.setdefault(row["source_id"], place[row["id"]])
        rows = [self.planned[number] for number in kept]

        def images(column: str, places: list[int]) -> pa.Array:
            content = pa.chunked_array(self.edited[column].take(pa.array(places, pa.int64()))).combine_chunks()
            return pa.StructArray.from_arrays([content, pa.nulls(len(places), pa.string())], ["bytes", "path"])

        def captions(row: Mapping[str, Any]) -> list[str]:
            if row["category"] == NO_CHANGE:
                return no_change_captions(row["source_id"], 1 + asked)
            return [row["instruction"], *self.captions.get(row["id"], {"captions": ()})["captions"]]

        columns = {
            "id": [row["id"] for row in rows],
            "before": images("before", [first[row["source_id"]] for row in rows]),
            "after": images("after", [place[row["id"]] for row in rows]),
            "captions": [captions(row) for row in rows],
            "category": [row["category"] for row in rows],
            "changed": [row["category"] != NO_CHANGE for row in rows],
            "provenance": [
                provenance_of(row, of_row, self.made[row["id"]]["versions"], common)
                for row, of_row in zip(rows, scores, strict=True)
            ],
        }
        return pa.Table.from_pydict(columns, FEATURES.arrow_schema)
