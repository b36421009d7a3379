"""`Scorer`: generated ids to scores, by the metric of this project."""

import json
from types import SimpleNamespace

import datasets
import evaluate
import numpy as np
import pytest

from datasets_syned.scenes.settings import SceneSettings
from datasets_syned.training.compute_metrics import Scorer
from tests.support.source_tree import ROOT


@pytest.fixture(scope="module")
def metric():
    return evaluate.load(str(ROOT / "metrics" / "cider"))


@pytest.fixture(scope="module")
def rows():
    settings = SceneSettings(width=16, height=16, masks=True)
    columns = ("id", "captions", "category", "scene")
    made = [settings.row("test", i) for i in range(12)]
    return datasets.Dataset.from_list([{name: row[name] for name in columns} for row in made])


def scorer_of(rows, captions, metric):
    """A scorer whose ids are numbers of captions, -100 the padding."""
    return Scorer(rows, lambda ids: [captions[row[row >= 0][0]] for row in ids], metric)


def ids(count):
    return SimpleNamespace(predictions=np.array([[i, -100] for i in range(count)]))


def test_references_as_predictions(rows, metric):
    captions = [row[0] for row in rows["captions"]]
    scorer = scorer_of(rows, captions, metric)
    scores = scorer(ids(12))
    expected = metric.compute(predictions=captions, references=list(rows["captions"]))["cider"]
    assert scores["cider"] == pytest.approx(expected) and expected > 4
    assert scores["category_accuracy"] == scores["attributes_accuracy"] == scores["exact"] == 1
    assert all(isinstance(value, float) for value in scores.values())
    extra = scorer.of_the_grammar()
    assert extra["scenes"]["by_category"]["none"]["count"] == 2
    assert 0.5 * expected < extra["oracle_cider"] < 2 * expected
    assert json.loads(json.dumps(extra)) == extra


def test_rows_of_another_data_set(metric):
    rows = datasets.Dataset.from_dict(
        {"id": ["a", "b"], "captions": [["a dog left"], ["a cat came", "a cat is here"]]}
    )
    scorer = scorer_of(rows, ["a dog left", "a cat came"], metric)
    assert set(scorer(ids(2))) == {"cider"}
    assert scorer.of_the_grammar() == {}


def test_scenes_from_any_source_are_recognised(rows, metric):
    """Not by the name of their builder: published as parquet, they have none."""
    plain = rows.remove_columns("scene")
    scorer = scorer_of(plain, ["nothing changed"] * 12, metric)
    assert scorer(ids(12))["no_change_recall"] == 1
    assert set(scorer.of_the_grammar()) == {"scenes"}


def test_as_many_predictions_as_rows(rows, metric):
    with pytest.raises(ValueError, match="11 predictions for 12 rows"):
        scorer_of(rows, ["nothing changed"] * 12, metric)(ids(11))


def test_rows_that_are_a_stream(rows, metric):
    with pytest.raises(ValueError, match="load them without `streaming: true`"):
        scorer_of(rows.to_iterable_dataset(), [], metric)
