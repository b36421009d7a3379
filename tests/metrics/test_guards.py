"""Wrong input is one clear error that names the row, and a score that means nothing says so."""

import pytest

from metrics.cider import score

TWO = [["a red ball"], ["a blue cube"]]


@pytest.mark.parametrize(
    ("predictions", "references", "error", "message"),
    [
        (["a"], TWO, ValueError, "predictions has 1 rows and references has 2"),
        ([], [], ValueError, "empty: there is nothing to score"),
        (["a", "b"], [["a"], []], ValueError, r"references\[1\] is empty"),
        (["a", None], TWO, TypeError, r"predictions\[1\] is None, not a string"),
        (["a", 3], TWO, TypeError, r"predictions\[1\] is 3 \(int\), not a string"),
        (["a", "b"], [["a"], ["b", None]], TypeError, r"references\[1\]\[1\] is None"),
        (["a", "b"], ["a", "b"], TypeError, r"references\[0\] is 'a' \(str\); give a list"),
        ("ab", TWO, TypeError, "predictions is 'ab'"),
        (["a", "b"], "ab", TypeError, "references is 'ab'"),
        (["a", "b"], [["a"], None], TypeError, r"references\[1\] is None; give a list"),
        (["a", "x\ud83d"], TWO, ValueError, r"predictions\[1\] has a lone surrogate '\\ud83d' at character 1"),
    ],
)
def test_wrong_captions(predictions, references, error, message):
    with pytest.raises(error, match=message):
        score(predictions, references)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scorers": ["cider", "spice"]}, ValueError, "'spice'.*choose from"),
        ({"scorers": []}, ValueError, "choose from"),
        ({"idf": "coco"}, ValueError, "idf is 'coco'"),
        ({"categories": ["add"]}, ValueError, "categories has 1 rows and predictions has 2"),
        ({"categories": ["add", None]}, TypeError, r"categories\[1\] is None, not a str"),
        ({"no_change": {"phrases": []}}, ValueError, "no_change phrases"),
        ({"no_change": {"changed": [True]}}, ValueError, "no_change changed has 1 rows"),
        ({"no_change": {"changed": [True, "no"]}}, TypeError, r"no_change changed\[1\] is 'no'"),
    ],
)
def test_wrong_options(arguments, error, message):
    with pytest.raises(error, match=message):
        score(["a", "b"], TWO, **arguments)


def test_one_image_is_zero_and_says_why():
    with pytest.warns(UserWarning, match="cider is 0.0 because there is only one image"):
        assert score(["a red ball"], [["a red ball"]])["cider"] == 0.0


def test_the_same_references_everywhere_are_zero_and_say_why():
    with pytest.warns(UserWarning, match="all 3 images have the same references"):
        references = [["a ball", "the ball"], ["the ball", "a ball"], ["a ball", "the ball"]]
        assert score(["a ball"] * 3, references)["cider"] == 0.0


@pytest.mark.filterwarnings("error")
def test_a_plain_corpus_warns_of_nothing():
    assert score(["a red ball", "a cube"], TWO)["cider"] > 0
