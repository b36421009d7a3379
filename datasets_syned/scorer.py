"""Scores of generated captions against the rows that they describe."""

import json

from .scene_scores import oracle_captions, score_scene_captions


class Scorer:
    """Turns generated ids into scores: the `compute_metrics` of a Trainer whose evaluation rows are `rows`, in order.

    Args:
        rows (`datasets.Dataset`): with captions, category and changed.
        decode (`Callable`): ids `(n, length)` to `n` captions; negative ids are padding.
        metric (`evaluate.Metric`): with `compute(predictions=, references=)`, whose result has the key `cider`.
    """

    def __init__(self, rows, decode, metric):
        self.rows, self.decode, self.metric = rows, decode, metric
        self.references, self.categories = list(rows["captions"]), list(rows["category"])
        # rows of the embedded scenes can be read back, and say more than any score of overlap
        self.of_scenes = (rows.info.dataset_name, rows.info.config_name) == ("syned", "scenes")
        self.captions = []

    def __call__(self, prediction):
        """Scores of an `EvalPrediction`, flat numbers only."""
        self.captions = self.decode(prediction.predictions)
        scores = {"cider": self._cider(self.captions)}
        if self.of_scenes:
            read = score_scene_captions(self.captions, self.references, self.categories)
            scores |= {name: value for name, value in read.items() if isinstance(value, float)}
        return scores

    def _cider(self, captions):
        return float(self.metric.compute(predictions=captions, references=self.references)["cider"])

    def report(self):
        """All scores of the captions that were scored last, by category, as a `dict` for JSON."""
        report = dict(
            self.metric.compute(
                predictions=self.captions,
                references=self.references,
                categories=self.categories,
                scorers=("cider", "bleu", "rouge_l"),
            )
        )
        if self.of_scenes:
            report["scenes"] = score_scene_captions(self.captions, self.references, self.categories)
            if "scene" in self.rows.column_names:
                oracle = oracle_captions([json.loads(scene) for scene in self.rows["scene"]], self.categories)
                report["oracle_cider"] = self._cider(oracle)
        report["count"] = len(self.captions)
        return report

    def write_predictions(self, path):
        """Writes one JSON line per row: id, category, caption, references."""
        with open(path, "w", encoding="utf-8") as file:
            rows = zip(self.rows["id"], self.categories, self.captions, self.references, strict=True)
            for name, category, caption, references in rows:
                line = {"id": name, "category": category, "caption": caption, "references": references}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
