"""Captions that are read back and compared with the truth."""

import pytest
from datasets import Dataset

from datasets_syned.photos.captions import CATEGORIES, Edit, captions
from datasets_syned.photos.scores import of_the_grammar, oracle_captions, score_captions

EDITS = [
    Edit("add", "apple"), Edit("replace", "apple", "kite"), Edit("color", "egg", "red"),
    Edit("text", None, "SALE", "at the top"), Edit("style", None, "sepia"), Edit("none"),
]  # fmt: skip
REFERENCES = [captions(edit) for edit in EDITS]
GROUPS = [edit.category for edit in EDITS]


def test_each_part_is_scored():
    said = [
        "an apple appeared",  # right
        "the apple became an egg",  # kind and object
        "the egg moved",  # object
        "someone wrote SALE at the bottom",  # all but the place, which no share counts
        "the picture is now blurred",  # kind
        "someone flipped the picture",  # nothing
    ]
    scores = score_captions(said, REFERENCES, GROUPS)
    assert scores["category_accuracy"] == pytest.approx(4 / 6)
    assert scores["object_accuracy"] == 1
    assert scores["value_accuracy"] == pytest.approx(1 / 4)
    assert scores["word_accuracy"] == 1
    assert scores["exact"] == pytest.approx(1 / 6)
    assert scores["no_change_recall"] == scores["no_change_f1"] == 0
    assert scores["by_category"]["style"] == {
        "category_accuracy": 1, "object_accuracy": None, "value_accuracy": 0, "exact": 0, "count": 1,
    }  # fmt: skip


def test_the_oracle_is_right_on_every_reading():
    rows = Dataset.from_dict({"captions": REFERENCES, "category": GROUPS})
    scores = score_captions(oracle_captions(rows), REFERENCES, GROUPS)
    shares = ("category_accuracy", "object_accuracy", "value_accuracy", "word_accuracy", "exact", "no_change_f1")
    assert [scores[name] for name in shares] == [1] * 6
    assert list(scores["by_category"]) == [name for name in CATEGORIES if name in GROUPS]


def test_rows_of_another_kind():
    assert not of_the_grammar([["a dog barks"]], ["add"])
    with pytest.raises(ValueError, match=r"references\[0\]: 'a dog barks' does not read as category 'add'"):
        score_captions(["nothing changed"], [["a dog barks"]], ["add"])
