"""The stage "score": what the filters measure. No limit is looked at."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from .filters.protocol import DIGITS, Candidate, Filter, Score
from .folder import EDIT, SCORE, RunFolder
from .images import opened
from .stage import Results, Stage, answers, changed_rows, in_order, reason


class Scoring(Stage):
    """Measures the edited pairs with one filter. The source's own pairs are not for it to judge."""

    kind = SCORE

    def __init__(self, name: str, model: Filter | None, parameters: Mapping[str, Any]):
        self.folder, self.model, self.parameters = f"{SCORE}/{name}", model, parameters

    def stamp(self, split: str) -> str:
        return score_stamp(self.parameters)

    def wanted(self, run: RunFolder, split: str, part: int) -> list[str]:
        return [row["id"] for row in changed_rows(run, split, part) if row["variant"] is not None]

    def make(self, run: RunFolder, split: str, part: int, have: Results, todo: set[str]) -> Results:
        """See [`Stage.make`]. A source with a new variant is measured as a whole: variants may be compared."""
        sources, edited = run.sources(split, part), run.results(EDIT, split, part)
        results, groups = dict(have), []
        for rows in sources:
            if todo.isdisjoint(row["id"] for row in rows):
                continue
            before, _ = opened(edited[rows[0]["id"]]["before"])
            there = [row for row in rows if edited[row["id"]]["error"] is None]
            groups.append([(row["id"], _candidate(row, before, edited[row["id"]]["after"])) for row in there])
        found = iter(answers(self.model.measure, [[candidate for _, candidate in group] for group in groups]))
        for group in groups:
            earlier = []
            for (name, candidate), score in zip(group, found, strict=False):
                results[name] = {"id": name, "score": None, "error": None}
                try:
                    results[name]["score"] = _score(score, earlier)
                except Exception as error:
                    results[name]["error"] = reason(error)
                earlier.append(candidate.variant)
        return in_order(results, (row["id"] for rows in sources for row in rows))

    def table(self, rows: list[dict[str, Any]]) -> pa.Table:
        lists = any(isinstance(row["score"], list) for row in rows)
        kind = pa.list_(pa.float64()) if lists else pa.float64()
        return pa.Table.from_pylist(rows, pa.schema({"id": pa.string(), "score": kind, "error": pa.string()}))


def score_stamp(parameters: Mapping[str, Any]) -> str:
    """What scores of a filter depend on: all but its limits."""
    return repr(sorted((name, value) for name, value in parameters.items() if name not in ("min", "max")))


def _candidate(row: Mapping[str, Any], before: Any, after: bytes) -> Candidate:
    captions = (row["before_caption"], row["after_caption"])
    captions = captions if all(captions) else None
    return Candidate(row["source_id"], row["variant"], before, opened(after)[0], row["instruction"], captions)


def _score(score: Score | Exception, earlier: Sequence[int]) -> Score:
    """A filter's answer, rounded. Raises what is wrong with it. `earlier`: the variants that it is to compare."""
    if isinstance(score, Exception):
        raise score
    if not isinstance(score, list):
        return round(float(score), DIGITS)
    if any(math.isnan(score[variant]) for variant in earlier):
        raise ValueError("it was not compared with all earlier variants")
    return [round(float(one), DIGITS) for one in score]
