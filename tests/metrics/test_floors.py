"""The constant caption, against trying all of them; people against people, against the known rows."""

import json
import random

import numpy as np
import pytest

from metrics.cider import constant_caption, leave_one_out, score
from tests.metrics.conftest import read_annotations

ALL = ("cider", "bleu", "rouge_l")


@pytest.mark.parametrize("seed", range(12))
def test_the_constant_caption_is_the_best_of_all(seed):
    """Few words, so that captions repeat theirs and the bound is not the score."""
    generator = random.Random(seed)
    words = "ab" if seed % 2 else "abcdef"
    references = [
        [" ".join(generator.choices(words, k=generator.randint(0, 9))) for _ in range(generator.randint(1, 3))]
        for _ in range(12)
    ]
    scores = {c: score([c] * 12, references)["cider"] for refs in references for c in refs}
    result = constant_caption(references)
    assert result["cider"] == pytest.approx(max(scores.values()), abs=1e-12)
    assert scores[result["caption"]] == result["cider"]


def test_the_constant_caption_of_real_corpora(image_editing_request):
    references = [[first, *others] for first, others in zip(*image_editing_request, strict=True)]
    result = constant_caption(references, ALL, confidence=0.95)
    assert result["caption"] == "increase the image contrast"
    assert result == {"caption": result["caption"]} | score(
        [result["caption"]] * len(references), references, ALL, confidence=0.95
    )
    # Far above the sentence that the field knows about (../shared/facts/field.md: 23.0).
    known = score(["remove the background"] * len(references), references)["cider"]
    assert known == pytest.approx(0.2306, abs=1e-4) and result["cider"] > known


def test_equal_bounds_take_the_first_caption():
    assert constant_caption([["b c", "a"], ["a", "b c"], ["d"], ["e"]])["caption"] == "b c"
    with pytest.warns(UserWarning, match="only one image"):
        assert constant_caption([["a b", "c"]])["caption"] == "a b"


def test_raw_captions_come_back_raw():
    result = constant_caption([["The Dog's gone!"], ["the dog 's gone"], ["A cat came."]])
    assert result["caption"] == "The Dog's gone!"
    assert constant_caption([["x,y z"], ["x,y z"], ["q"]], tokenize=False)["caption"] == "x,y z"


def test_people_by_hand():
    references = [["a b", "a c"], ["d e"], ["f g", "f g", "h i"]]
    result = leave_one_out(references, "rouge_l")
    # Folds: (a b | a c), (f g | f g, h i); (a c | a b), (f g | f g, h i); (a b | a c), (h i | f g, f g).
    assert result == {"rouge_l": pytest.approx(np.mean([(0.5 + 1) / 2, (0.5 + 1) / 2, 0.25])), "count": 2, "folds": 3}


@pytest.mark.parametrize(("benchmark", "count", "folds", "cider"), [("ier", 495, 3, 0.811), ("std", 531, 11, 0.699)])
def test_people_of_real_corpora(benchmark, count, folds, cider):
    """The rows of ../shared/facts/field.md: 81.1 on Image Editing Request, 69.9 on Spot-the-Diff."""
    if benchmark == "ier":
        references = [row["sents"] for row in json.loads(read_annotations("image_editing_request", "test.json"))]
    else:
        pairs = {}
        for row in json.loads(read_annotations("spot_the_diff", "test.json")):
            pairs.setdefault(row["img_id"], []).extend(filter(str.strip, row["sentences"]))
        references = [refs for refs in pairs.values() if refs]
    result = leave_one_out(references, confidence=0.95)
    assert (result["count"], result["folds"], result["idf"]) == (count, folds, "corpus")
    assert result["cider"] == pytest.approx(cider, abs=5e-4)
    low, high = result["cider_interval"]
    assert low < result["cider"] < high and 0.06 < (high - low) / 2 < 0.1


def test_people_by_category_and_with_intervals():
    generator = random.Random(0)
    references = [[" ".join(generator.choices("abcdef", k=5)) for _ in range(3)] for _ in range(20)] + [["a b c"]]
    categories = ["x"] * 8 + ["y"] * 12 + ["x"]
    result = leave_one_out(references, ALL, categories, confidence=0.95, seed=1)
    parts = result["by_category"]
    assert {name: part["count"] for name, part in parts.items()} == {"x": 8, "y": 12}
    assert result["cider"] == pytest.approx((8 * parts["x"]["cider"] + 12 * parts["y"]["cider"]) / 20)
    for part in (result, *parts.values()):
        low, high = part["bleu_4_interval"]
        assert low < part["bleu_4"] < high
    assert leave_one_out(references, ALL, categories, confidence=0.95, seed=1) == result


def test_nobody_to_compare_with():
    with pytest.raises(ValueError, match="no image has two references"):
        leave_one_out([["a"], ["b"]])
    with pytest.raises(ValueError, match='needs "corpus" or saved'):
        leave_one_out([["a", "b"], ["b", "c"]], idf="category")
    for function in (constant_caption, leave_one_out):
        with pytest.raises(ValueError, match="references is empty"):
            function([])
        with pytest.raises(TypeError, match=r"references\[1\]\[0\] is None"):
            function([["a", "b"], [None, "c"]])
