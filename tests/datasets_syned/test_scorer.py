"""`Scorer`: generated ids to scores, by the metric of this project."""

import json
from types import SimpleNamespace

import datasets
import evaluate
import numpy as np
import pytest

from datasets_syned.chunks import SceneSettings
from datasets_syned.scorer import Scorer
from tests.source_tree import ROOT


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
    report = scorer.report()
    assert report["cider"] == pytest.approx(expected)
    assert report["count"] == 12 and set(report["by_category"]) == set(rows["category"])
    assert report["scenes"]["by_category"]["none"]["count"] == 2
    assert 0.5 * expected < report["oracle_cider"] < 2 * expected
    assert json.loads(json.dumps(report)) == report


def test_predictions_file(rows, metric, tmp_path):
    scorer = scorer_of(rows, ["é"] * 12, metric)
    scorer(ids(12))
    scorer.write_predictions(tmp_path / "predictions.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == list(rows["id"])
    assert lines[3] == {
        "id": rows[3]["id"],
        "category": rows[3]["category"],
        "caption": "é",
        "references": rows[3]["captions"],
    }


def test_rows_of_another_data_set(metric, tmp_path):
    rows = datasets.Dataset.from_dict(
        {"id": ["a", "b"], "captions": [["a dog left"], ["a cat came", "a cat is here"]]}
    )
    scorer = scorer_of(rows, ["a dog left", "a cat came"], metric)
    assert set(scorer(ids(2))) == {"cider"}
    report = scorer.report()
    assert "scenes" not in report and "oracle_cider" not in report and report["rouge_l"] == 1
    scorer.write_predictions(tmp_path / "p.jsonl")
    assert json.loads((tmp_path / "p.jsonl").read_text().splitlines()[1])["category"] is None


def test_scenes_from_any_source_are_recognised(rows, metric):
    """Not by the name of their builder: published as parquet, they have none."""
    plain = rows.remove_columns("scene")
    scorer = scorer_of(plain, ["nothing changed"] * 12, metric)
    assert scorer(ids(12))["no_change_recall"] == 1
    assert "oracle_cider" not in scorer.report()


def test_as_many_predictions_as_rows(rows, metric):
    with pytest.raises(ValueError, match="11 predictions for 12 rows"):
        scorer_of(rows, ["nothing changed"] * 12, metric)(ids(11))
