"""Scores of generated captions against the rows that they describe."""

import json
from collections.abc import Callable
from typing import Any

from datasets import IterableDataset

from ..scenes.scores import of_the_grammar, oracle_captions, score_scene_captions


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

    Raises:
        ValueError: the rows are a stream. Each evaluation reads them all, in order, and scores them as one corpus, for
            which they have to be there.
    """

    def __init__(self, rows, decode: Callable, metric):
        if isinstance(rows, IterableDataset):
            raise ValueError("rows to be scored cannot be a stream: load them without `streaming: true`")
        self.rows, self.decode, self.metric = rows, decode, metric
        self.references = list(rows["captions"])
        self.categories = list(rows["category"]) if "category" in rows.column_names else None
        self.of_scenes = self.categories is not None and of_the_grammar(self.references, self.categories)
        self.captions = []

    def __call__(self, prediction) -> dict[str, float]:
        """
        Scores of an `EvalPrediction`, flat numbers only. Of several sequences for each row the first one counts.

        Raises:
            ValueError: there are not as many predictions as rows.
        """
        captions = self.decode(prediction.predictions)
        captions = captions[:: max(1, len(captions) // len(self.references))]
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

    def of_the_scenes(self) -> dict[str, Any]:
        """
        What only the embedded scenes have, of the captions that were scored last: `scenes`, as
        [`score_scene_captions`] returns it, and, for rows with the column scene, `oracle_cider`, what a perfect
        describer would get. Empty for other rows.
        """
        if not self.of_scenes:
            return {}
        found = {"scenes": score_scene_captions(self.captions, self.references, self.categories)}
        if "scene" in self.rows.column_names:
            oracle = oracle_captions([json.loads(scene) for scene in self.rows["scene"]], self.categories)
            found["oracle_cider"] = self._cider(oracle)
        return found
