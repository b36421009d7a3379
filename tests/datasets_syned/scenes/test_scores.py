"""Scores that read captions of the grammar back."""

import pytest
from datasets import Dataset

from datasets_syned.scenes.scores import of_the_grammar, oracle_captions, score_captions
from datasets_syned.scenes.settings import SceneSettings

REFERENCES = [
    ["the small red metal cube turned blue"],
    ["the large gray rubber sphere moved", "someone moved the large gray rubber sphere"],
    ["a small red metal cube was added"],
    ["there is no change", "nothing changed"],
    ["there is no difference"],
]
CATEGORIES = ["color", "move", "add", "none", "none"]


def test_exact_values():
    predictions = [
        "the small red metal cylinder turned blue",  # kind right, shape wrong
        "someone moved the large gray rubber sphere",  # all right, and a reference
        "there is no change",  # a change that was missed
        "nothing changed",  # right, and a reference
        "the large gray rubber sphere moved",  # a change that is none
    ]
    scores = score_captions(predictions, REFERENCES, CATEGORIES)
    assert scores["category_accuracy"] == 3 / 5
    assert scores["attributes_accuracy"] == 1 / 3
    assert scores["exact"] == 2 / 5
    assert scores["no_change_precision"] == scores["no_change_recall"] == scores["no_change_f1"] == 1 / 2
    assert scores["word_accuracy"] == {"size": 1.0, "color": 1.0, "material": 1.0, "shape": 0.5}
    assert scores["by_category"] == {
        "color": {"category_accuracy": 1.0, "attributes_accuracy": 0.0, "exact": 0.0, "count": 1},
        "move": {"category_accuracy": 1.0, "attributes_accuracy": 1.0, "exact": 1.0, "count": 1},
        "add": {"category_accuracy": 0.0, "attributes_accuracy": 0.0, "exact": 0.0, "count": 1},
        "none": {"category_accuracy": 0.5, "attributes_accuracy": None, "exact": 0.5, "count": 2},
    }


@pytest.mark.parametrize(("phrase", "attributes"), [("turned green", 0), ("became blue", 1)])
def test_what_it_became_counts_and_not_the_phrasing(phrase, attributes):
    scores = score_captions([f"the small red metal cube {phrase}"], REFERENCES[:1], CATEGORIES[:1])
    assert (scores["category_accuracy"], scores["attributes_accuracy"], scores["exact"]) == (1, attributes, 0)
    assert set(scores["word_accuracy"].values()) == {1.0}  # of the object that was named


@pytest.mark.parametrize("said", ["", "a dog", "the small red metal cube turned", "cube " * 50])
def test_text_outside_the_grammar_is_wrong(said):
    scores = score_captions([said] * 5, REFERENCES, CATEGORIES)
    assert (scores["category_accuracy"], scores["attributes_accuracy"], scores["exact"]) == (0, 0, 0)
    assert scores["no_change_f1"] == 0
    assert set(scores["word_accuracy"].values()) == {0.0}


def test_always_no_change():
    scores = score_captions(["nothing changed"] * 5, REFERENCES, CATEGORIES)
    assert scores["no_change_recall"] == 1 and scores["no_change_precision"] == 2 / 5
    assert scores["no_change_f1"] == pytest.approx(4 / 7)


def test_the_oracle_is_right_on_every_reading():
    rows = [SceneSettings(width=16, height=16, masks=True, references=6).row("test", i) for i in range(36)]
    rows = Dataset.from_list([{name: row[name] for name in ("scene", "category", "captions")} for row in rows])
    references, categories = list(rows["captions"]), list(rows["category"])
    said = oracle_captions(rows)
    scores = score_captions(said, references, categories)
    assert set(scores["word_accuracy"].values()) == {1.0}
    for part in (scores, *scores["by_category"].values()):
        assert part["category_accuracy"] == part["exact"] == 1  # six references are all there are
        assert part["attributes_accuracy"] in (1, None)
    assert scores["no_change_f1"] == 1
    assert oracle_captions(rows) == said
    assert oracle_captions(rows, seed=1) != said
    assert oracle_captions(rows.remove_columns("scene")) is None
    assert of_the_grammar(references, categories)


def test_references_must_be_of_the_grammar_and_as_many():
    with pytest.raises(ValueError, match="zip.* argument 2 is longer"):
        score_captions(["nothing changed"] * 4, REFERENCES, CATEGORIES)
    with pytest.raises(ValueError, match=r"references\[1\]: 'a dog barks' does not read as category 'move'"):
        score_captions(["", ""], [REFERENCES[0], ["a dog barks"]], CATEGORIES[:2])
    assert not of_the_grammar([REFERENCES[0], ["a dog barks"]], CATEGORIES[:2])
    assert not of_the_grammar([REFERENCES[0]], ["move"])
