"""Scores of generated captions against the rows that they describe."""

from collections.abc import Callable
from typing import Any

from datasets import IterableDataset

from .grammars import GRAMMARS, grammar_of, score_captions


class Scorer:
    """
    Turns generated ids into scores: the `compute_metrics` of a Trainer whose evaluation rows are `rows`, in order.

    Captions of the embedded benchmarks can be read back; rows whose references are of their grammar get the scores of
    [`~grammars.score_captions`] as well.

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
        self.grammar = grammar_of(self.references, self.categories)
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
        for read in score_captions(captions, self.references, self.categories).values():
            scores |= {name: value for name, value in read.items() if isinstance(value, float)}
        return scores

    def _cider(self, captions):
        scores = self.metric.compute(predictions=captions, references=self.references, scorers=("cider",))
        return float(scores["cider"])

    def of_the_grammar(self) -> dict[str, Any]:
        """
        What only the embedded benchmarks have, of the captions that were scored last: `scenes` or `photos`, and
        `oracle_cider`, what a perfect describer would get, where the rows say enough for it. Empty for other rows.
        """
        found = score_captions(self.captions, self.references, self.categories)
        if self.grammar is not None and (oracle := GRAMMARS[self.grammar].oracle_captions(self.rows)):
            found["oracle_cider"] = self._cider(oracle)
        return found
