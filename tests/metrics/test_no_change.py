"""Precision, recall and F1 of "nothing changed"."""

import pytest

from metrics.cider import no_change_scores, score

PREDICTIONS = ["There is no change.", "nothing changed", "a ball moved", "no change was made", "the cube is red"]
REFERENCES = [["x"], ["nothing changed", "x"], ["there is no difference"], ["x"], ["x"]]


def test_truth_from_the_changed_column():
    # Said of rows 0, 1, 3; true of rows 0, 1, 2.
    result = no_change_scores(PREDICTIONS, REFERENCES, changed=[False, False, False, True, True])
    assert result == {
        "no_change_precision": pytest.approx(2 / 3),
        "no_change_recall": pytest.approx(2 / 3),
        "no_change_f1": pytest.approx(2 / 3),
        "no_change_predicted": 3,
        "no_change_true": 3,
    }


def test_truth_from_the_references():
    result = no_change_scores(PREDICTIONS, REFERENCES)  # true of rows 1 and 2
    assert (result["no_change_precision"], result["no_change_recall"]) == (pytest.approx(1 / 3), 0.5)
    assert result["no_change_f1"] == pytest.approx(0.4)


def test_own_phrases_and_undefined_ratios():
    result = no_change_scores(PREDICTIONS, REFERENCES, phrases=["all is as it was"])
    assert set(result.values()) == {0.0}
    result = no_change_scores(["All is as it WAS!"], [["all is as it was"]], phrases=["all is as it was"])
    assert result["no_change_f1"] == 1.0


def test_a_phrase_inside_a_caption_is_another_caption():
    result = no_change_scores(["nothing changed but the ball"], [["x"]], changed=[True])
    assert result["no_change_predicted"] == 0


def test_in_score_it_is_added_and_changes_nothing_else():
    plain = score(PREDICTIONS, REFERENCES)
    result = score(PREDICTIONS, REFERENCES, no_change={"changed": [False, False, False, True, True]})
    assert result.pop("no_change_f1") == pytest.approx(2 / 3)
    assert {key: value for key, value in result.items() if not key.startswith("no_change")} == plain
