"""Scores of generated captions against the rows that they describe."""

import json
import os
from collections.abc import Callable
from typing import Any

from .scene_scores import of_the_grammar, oracle_captions, score_scene_captions


class Scorer:
    """
    Turns generated ids into scores: the `compute_metrics` of a Trainer whose evaluation rows are `rows`, in order.

    Captions of the embedded scenes can be read back; rows whose references are of that grammar get the scores of
    [`score_scene_captions`] as well.

    Args:
        rows (`datasets.Dataset`): with the columns id and captions; by category as well, if there is that column.
        decode (`Callable`): ids `(n, length)` to `n` captions; negative ids are padding.
        metric (`evaluate.Metric`): with `compute(predictions=, references=, scorers=, categories=)`, whose result
            has the key `cider`.
    """

    def __init__(self, rows, decode: Callable, metric):
        self.rows, self.decode, self.metric = rows, decode, metric
        self.references = list(rows["captions"])
        self.categories = list(rows["category"]) if "category" in rows.column_names else None
        self.of_scenes = self.categories is not None and of_the_grammar(self.references, self.categories)
        self.captions = []

    def __call__(self, prediction) -> dict[str, float]:
        """
        Scores of an `EvalPrediction`, flat numbers only.

        Raises:
            ValueError: there are not as many predictions as rows.
        """
        captions = self.decode(prediction.predictions)
        if len(captions) != len(self.references):
            raise ValueError(f"{len(captions)} predictions for {len(self.references)} rows")
        self.captions = captions
        scores = {"cider": self._cider(captions)}
        if self.of_scenes:
            read = score_scene_captions(captions, self.references, self.categories)
            scores |= {name: value for name, value in read.items() if isinstance(value, float)}
        return scores

    def _cider(self, captions):
        scores = self.metric.compute(predictions=captions, references=self.references, scorers=("cider",))
        return float(scores["cider"])

    def report(self) -> dict[str, Any]:
        """All scores of the captions that were scored last, by category, as a `dict` for JSON."""
        by_category = {} if self.categories is None else {"categories": self.categories}
        report = dict(
            self.metric.compute(
                predictions=self.captions,
                references=self.references,
                scorers=("cider", "bleu", "rouge_l"),
                **by_category,
            )
        )
        if self.of_scenes:
            report["scenes"] = score_scene_captions(self.captions, self.references, self.categories)
            if "scene" in self.rows.column_names:
                oracle = oracle_captions([json.loads(scene) for scene in self.rows["scene"]], self.categories)
                report["oracle_cider"] = self._cider(oracle)
        report["count"] = len(self.captions)
        return report

    def write_predictions(self, path: str | os.PathLike) -> None:
        """Writes one JSON line per row: id, category (if the rows have it), caption, references."""
        categories = self.categories or [None] * len(self.references)
        with open(path, "w", encoding="utf-8") as file:
            rows = zip(self.rows["id"], categories, self.captions, self.references, strict=True)
            for name, category, caption, references in rows:
                line = {"id": name, "category": category, "caption": caption, "references": references}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
