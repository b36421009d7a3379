"""Intervals and paired tests: reproducible, of the right width, and right about chance."""

import numpy as np
import pytest

from metrics.cider import compare, score

ALL = ("cider", "bleu", "rouge_l")
KEYS = ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l")
WORDS = "a b c d e f g h i j k l m n o p".split()


def corpus(images, seed=0, noise=0.3):
    """Captions of 7 words, one of them a copy of the first reference with some of its words replaced."""
    generator = np.random.default_rng(seed)
    references = [[" ".join(generator.choice(WORDS, 7)) for _ in range(3)] for _ in range(images)]

    def copy(refs):
        return " ".join(w if generator.random() > noise else str(generator.choice(WORDS)) for w in refs[0].split())

    return [copy(refs) for refs in references], references


def test_an_interval_of_a_mean_is_that_of_the_normal_distribution():
    predictions, references = corpus(400)
    result = score(predictions, references, ALL, confidence=0.9, per_sample=True, resamples=4000)
    for key in ("cider", "rouge_l"):
        samples = np.array(result[f"{key}_per_sample"])
        half = 1.6449 * samples.std() / np.sqrt(400)
        low, high = result[f"{key}_interval"]
        assert low == pytest.approx(result[key] - half, abs=half / 10)
        assert high == pytest.approx(result[key] + half, abs=half / 10)


def test_an_interval_of_bleu_comes_from_summed_statistics():
    # One image of twenty has a long caption without a match; the mean over images would hardly see it.
    predictions, references = ["a b c d"] * 19 + ["x " * 200], [["a b c d"]] * 20
    result = score(predictions, references, "bleu", confidence=0.95, per_sample=True)
    low, high = result["bleu_1_interval"]
    assert high == pytest.approx(1.0, abs=1e-6)  # of resamples without that image
    assert low < 76 / 276 < np.mean(result["bleu_1_per_sample"])


def test_same_seed_same_interval_whatever_else_is_scored():
    predictions, references = corpus(60)
    both = score(predictions, references, ALL, confidence=0.95, seed=3)
    alone = score(predictions, references, "rouge_l", confidence=0.95, seed=3)
    assert alone["rouge_l_interval"] == pytest.approx(both["rouge_l_interval"], abs=1e-12)
    assert score(predictions, references, ALL, confidence=0.95, seed=3) == both
    assert score(predictions, references, ALL, confidence=0.95, seed=4)["cider_interval"] != both["cider_interval"]
    wider = score(predictions, references, "cider", confidence=0.99, seed=3)["cider_interval"]
    assert wider[0] < both["cider_interval"][0] < both["cider"] < both["cider_interval"][1] < wider[1]


def test_categories_have_intervals_of_their_own():
    predictions, references = corpus(30)
    categories = ["add"] * 12 + ["drop"] * 17 + ["move"]
    with pytest.warns(UserWarning, match="cider of category 'move' is 0.0 because there is only one image"):
        result = score(
            predictions, references, ALL, categories=categories, idf="category", confidence=0.95, per_sample=True
        )
    alone = score(predictions[:12], references[:12], ALL, confidence=0.95, per_sample=True)
    part = result["by_category"]["add"]
    assert {key: part[key] for key in alone if key != "idf"} == {k: v for k, v in alone.items() if k != "idf"}
    assert part["idf"] == "category" and part["count"] == 12
    assert all(result["by_category"]["move"][f"{key}_interval"] is None for key in KEYS)


def test_compare_sees_a_difference_and_its_sign():
    good, references = corpus(120, noise=0.2)
    poor, _ = corpus(120, noise=0.6)
    result = compare(good, poor, references, ALL)
    for key in KEYS:
        part = result[key]
        assert part["difference"] == part["a"] - part["b"] > 0
        assert part["a"] == score(good, references, ALL)[key] and part["b"] == score(poor, references, ALL)[key]
        assert 0 < part["interval"][0] < part["difference"] < part["interval"][1]
        assert part["p"] == 1 / 1001
    turned = compare(poor, good, references, ALL)
    assert turned["cider"]["difference"] == -result["cider"]["difference"]
    assert turned["cider"]["p"] == result["cider"]["p"]


def test_compare_is_paired():
    # Both fail on the same half of the images; b is worse by one word on each of them.
    generator = np.random.default_rng(0)
    references = [[" ".join(generator.choice(WORDS, 8))] for _ in range(60)]
    a = [refs[0] if k % 2 else refs[0][:3] for k, refs in enumerate(references)]
    b = [caption[:-2] for caption in a]
    result = compare(a, b, references, "rouge_l")["rouge_l"]
    unpaired = score(a, references, "rouge_l", confidence=0.95)["rouge_l_interval"]
    assert result["interval"][1] - result["interval"][0] < (unpaired[1] - unpaired[0]) / 2
    assert result["p"] == 1 / 1001


def test_equal_systems_do_not_differ():
    predictions, references = corpus(20)
    result = compare(predictions, list(predictions), references, ALL, categories=["x", "y"] * 10)
    for part in (result, *result["by_category"].values()):
        for key in KEYS:
            assert part[key]["difference"] == 0 and part[key]["p"] == 1 and part[key]["interval"] == [0, 0]
    assert result["by_category"]["x"]["count"] == 10


def test_p_is_uniform_where_nothing_differs():
    """Two halves of one distribution: about a tenth of the comparisons falls below .1."""
    values = []
    for seed in range(150):
        a, references = corpus(40, seed=seed)
        generator = np.random.default_rng(seed + 1000)
        b = [
            " ".join(w if generator.random() > 0.3 else str(generator.choice(WORDS)) for w in refs[0].split())
            for refs in references
        ]
        values.append(compare(a, b, references, "rouge_l", resamples=200)["rouge_l"]["p"])
    assert 0.03 < np.mean(np.array(values) < 0.1) < 0.2
    assert 0.35 < np.mean(np.array(values) < 0.5) < 0.65


@pytest.mark.filterwarnings("ignore:cider is 0.0")
def test_one_image_has_no_distribution():
    assert score(["a b"], [["a c"]], ALL, confidence=0.95)["rouge_l_interval"] is None
    result = compare(["a b"], ["a"], [["a c"]], "rouge_l")["rouge_l"]
    assert result["interval"] is None and result["p"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"confidence": 95}, "confidence is 95; give a number between 0 and 1"),
        ({"confidence": 0}, "confidence is 0"),
        ({"confidence": 0.9, "resamples": 0}, "resamples is 0"),
    ],
)
def test_wrong_bootstrap(arguments, message):
    with pytest.raises(ValueError, match=message):
        score(["a", "b"], [["a"], ["b"]], **arguments)
    with pytest.raises(ValueError, match=message):
        compare(["a", "b"], ["a", "b"], [["a"], ["b"]], **arguments)


def test_compare_refuses_what_has_no_meaning():
    with pytest.raises(ValueError, match='idf is "category"'):
        compare(["a", "b"], ["a", "b"], [["a"], ["b"]], idf="category")
    with pytest.raises(ValueError, match="predictions has 1 rows and references has 2"):
        compare(["a", "b"], ["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="categories has 1 rows"):
        compare(["a", "b"], ["a", "c"], [["a"], ["b"]], categories=["x"])
