"""CIDEr-D, BLEU and ROUGE-L: by hand, against pycocoevalcap, and what has to hold for any captions."""

import math
import random
import warnings

import numpy as np
import pytest

from metrics.cider import score
from metrics.cider.ngrams import sort_stable

KEYS = ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l")
ALL = ("cider", "bleu", "rouge_l")  # and METEOR, which has tests of its own


def test_two_images_by_hand():
    result = score(["a b c d", "x y"], [["a b c d"], ["x z"]], ALL, per_sample=True, tokenize=False)
    # Every n-gram is in one of two images, so all weigh log 2. Image 1: all four cosines are 1. Image 2: unigrams
    # share x, 1 / (sqrt 2 sqrt 2); the bigram differs; there are no others. Equal lengths, so no penalty.
    assert result["cider_per_sample"] == pytest.approx([10.0, 10 * (0.5 + 0 + 0 + 0) / 4], abs=1e-12)
    assert result["cider"] == pytest.approx((10 + 1.25) / 2, abs=1e-12)
    # Corpus: 5 of 6 unigrams, 3 of 4 bigrams, 2 of 2, 1 of 1; equal lengths.
    assert result["bleu_1"] == pytest.approx(5 / 6, abs=1e-8)
    assert result["bleu_2"] == pytest.approx(math.sqrt(5 / 6 * 3 / 4), abs=1e-8)
    assert result["bleu_4"] == pytest.approx((5 / 6 * 3 / 4) ** 0.25, abs=1e-8)
    assert result["rouge_l_per_sample"] == pytest.approx([1.0, 0.5], abs=1e-12)
    assert result["idf"] == "corpus"


def test_cider_penalises_length_and_clips_counts():
    # "a a" against "a b": counts clipped to 1. tf-idf (log 2 each): prediction a=2, reference a=1 b=1.
    # cosine of unigrams: min(2, 1) * 1 / (2 * sqrt 2); both have one bigram, so no penalty.
    result = score(["a a", "c"], [["a b"], ["c d e"]], "cider", per_sample=True, tokenize=False)
    first = 10 / 4 / (2 * math.sqrt(2))
    # "c" against "c d e": cosine 1 / sqrt 3; 0 and 2 bigrams: exp(-2^2 / (2 * 6^2)).
    second = 10 / 4 / math.sqrt(3) * math.exp(-4 / 72)
    assert result["cider_per_sample"] == pytest.approx([first, second], abs=1e-12)


def test_bleu_takes_the_closest_reference_length_and_the_best_count():
    # 3 tokens; references of 2 and 4 tokens are equally close: the shorter. "a" is in one of them twice.
    result = score(["a a b"], [["a a", "b c d e"]], "bleu", per_sample=True, tokenize=False)
    assert result["bleu_1"] == pytest.approx(1.0, abs=1e-8)
    # 2 tokens against 4: brevity penalty exp(1 - 4/2).
    assert score(["a b"], [["a b c d"]], "bleu", tokenize=False)["bleu_1"] == pytest.approx(math.exp(-1), abs=1e-8)


def test_rouge_l_mixes_the_best_precision_and_the_best_recall():
    # Against "a b c d": LCS 2, precision 2/2, recall 2/4. Against "b": LCS 1, precision 1/2, recall 1/1.
    result = score(["a b"], [["a b c d", "b"]], "rouge_l", tokenize=False)
    assert result["rouge_l"] == pytest.approx(1.0, abs=1e-12)
    precision, recall = 2 / 3, 2 / 4
    expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert score(["a x b"], [["b a y b"]], "rouge_l", tokenize=False)["rouge_l"] == pytest.approx(expected, abs=1e-12)


def test_empty_captions_are_what_the_reference_says():
    result = score(["", "a"], [[""], ["", "b"]], ALL, per_sample=True, tokenize=False)
    assert result["rouge_l_per_sample"] == [1.0, 0.0]
    assert result["cider_per_sample"] == [0.0, 0.0]
    assert result["bleu_4_per_sample"] == pytest.approx([0.0, 0.0], abs=1e-3)


def test_docstring_examples():
    import doctest

    from metrics.cider import scoring

    assert doctest.testmod(scoring) == doctest.TestResults(failed=0, attempted=3)


def pycocoevalcap_scores(predictions, references):
    """`{key: (corpus score, (N,) scores)}` of captions that are tokens already."""
    reason = "pycocoevalcap is not installed"
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu", reason=reason)
    cider = pytest.importorskip("pycocoevalcap.cider.cider", reason=reason)
    rouge = pytest.importorskip("pycocoevalcap.rouge.rouge", reason=reason)
    truth = dict(enumerate(references))
    captions = {index: [caption] for index, caption in enumerate(predictions)}
    total, samples = bleu.Bleu(4).compute_score(truth, captions, verbose=0)
    scores = {f"bleu_{n + 1}": (total[n], samples[n]) for n in range(4)}
    scores["cider"] = cider.Cider().compute_score(truth, captions)
    scores["rouge_l"] = rouge.Rouge().compute_score(truth, captions)
    return scores


def assert_equal_to_pycocoevalcap(predictions, references):
    expected = pycocoevalcap_scores(predictions, references)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ours = score(predictions, references, ALL, per_sample=True, tokenize=False)
    for key in KEYS:
        assert ours[key] == pytest.approx(expected[key][0], abs=1e-9), key
        np.testing.assert_allclose(ours[f"{key}_per_sample"], expected[key][1], rtol=0, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("seed", range(60))
def test_random_tokens_equal_pycocoevalcap(seed):
    """Few and many words, empty captions, captions longer than 64 tokens, spaces that only some scorers split at."""
    generator = random.Random(seed)
    words = [f"w{n}" for n in range(generator.choice([2, 5, 40]))]
    longest = generator.choice([3, 12, 90])
    space = generator.choice([" ", " ", "\xa0", "  "])

    def caption():
        tokens = generator.choices(words, k=generator.randint(0, longest))
        return "".join(word + generator.choice([" ", " ", space]) for word in tokens)

    images = generator.randint(1, 12)
    references = [[caption() for _ in range(generator.randint(1, 5))] for _ in range(images)]
    predictions = [generator.choice([caption(), refs[0]]) for refs in references]
    assert_equal_to_pycocoevalcap(predictions, references)


@pytest.mark.parametrize(
    ("name", "images", "references", "expected"),
    [
        ("syned", 2018, 8031, (0.720457, 0.445765, 0.685163, 2.755236)),
        ("image_editing_request", 495, 990, (0.422019, 0.088091, 0.360895, 0.577608)),
        ("spot_the_diff", 6772, 10531, (0.447554, 0.165667, 0.361164, 0.741600)),
    ],
)
def test_published_sets_from_raw_strings(name, images, references, expected, request):
    predictions, refs = request.getfixturevalue(name)
    assert (len(predictions), sum(map(len, refs))) == (images, references)
    result = score(predictions, refs, ALL)
    scores = [result[key] for key in ("bleu_1", "bleu_4", "rouge_l", "cider")]
    assert scores == pytest.approx(expected, abs=6e-7)


def test_real_captions_equal_pycocoevalcap_everywhere(syned):
    from metrics.cider.tokenizer import tokenize_all

    predictions, references = syned
    assert_equal_to_pycocoevalcap(tokenize_all(predictions), [tokenize_all(refs) for refs in references])


PREDICTIONS = ["the red ball is gone", "a cube was added", "nothing changed", "a dog moved left", "the sky is red"]
REFERENCES = [
    ["the red ball disappeared", "the ball is gone"],
    ["someone added a blue cube"],
    ["there is no change", "nothing changed", "no difference"],
    ["the dog moved to the left"],
    ["the sky turned red", "a red sky"],
]
CATEGORIES = ["drop", "add", "none", "move", "add"]


def test_order_of_images_and_references_does_not_matter():
    straight = score(PREDICTIONS, REFERENCES, ALL, per_sample=True)
    order = [3, 0, 4, 2, 1]
    turned = score([PREDICTIONS[i] for i in order], [REFERENCES[i][::-1] for i in order], ALL, per_sample=True)
    for key in KEYS:
        assert turned[key] == pytest.approx(straight[key], abs=1e-12)
        expected = [straight[f"{key}_per_sample"][i] for i in order]
        assert turned[f"{key}_per_sample"] == pytest.approx(expected, abs=1e-12)


def test_perfect_captions_are_maximal():
    result = score([refs[0] for refs in REFERENCES], [refs[:1] for refs in REFERENCES], ["cider", "rouge_l"])
    assert result["rouge_l"] == pytest.approx(1)
    assert result["cider"] == pytest.approx(10)


def test_categories_with_the_idf_of_the_corpus_average_to_the_whole():
    result = score(PREDICTIONS, REFERENCES, ALL, categories=CATEGORIES)
    parts = result["by_category"]
    assert list(parts) == ["add", "drop", "move", "none"]
    assert [part["count"] for part in parts.values()] == [2, 1, 1, 1]
    assert {part["idf"] for part in parts.values()} == {"corpus"}
    for key in ("cider", "rouge_l"):
        mean = sum(part["count"] * part[key] for part in parts.values()) / 5
        assert mean == pytest.approx(result[key], abs=1e-12)
    alone = score([PREDICTIONS[1], PREDICTIONS[4]], [REFERENCES[1], REFERENCES[4]], "bleu")
    assert {key: parts["add"][key] for key in alone} == pytest.approx(alone)


def test_categories_with_their_own_idf_are_benchmarks_of_their_own():
    with pytest.warns(UserWarning) as warned:
        result = score(PREDICTIONS, REFERENCES, ALL, categories=CATEGORIES, idf="category")
    assert [str(w.message).split(" because")[0] for w in warned] == [
        f"cider of category '{name}' is 0.0" for name in ("drop", "move", "none")
    ]
    alone = score([PREDICTIONS[1], PREDICTIONS[4]], [REFERENCES[1], REFERENCES[4]], ALL)
    part = result["by_category"]["add"]
    assert part["idf"] == "category" and part["count"] == 2
    for key in KEYS:
        assert part[key] == pytest.approx(alone[key], abs=1e-12)
    assert result["cider"] == score(PREDICTIONS, REFERENCES)["cider"]
    assert result["by_category"]["drop"]["cider"] == 0.0


def test_only_what_is_asked_for():
    assert set(score(PREDICTIONS, REFERENCES, scorers="rouge_l")) == {"rouge_l"}
    assert set(score(PREDICTIONS, REFERENCES, scorers=["bleu"])) == {"bleu_1", "bleu_2", "bleu_3", "bleu_4"}
    assert set(score(PREDICTIONS, REFERENCES)) == {"cider", "idf"}
    assert set(score(PREDICTIONS, REFERENCES, ALL)) == {*KEYS, "idf"}
    everything = score(PREDICTIONS, REFERENCES, ALL, per_sample=True)
    assert all(len(everything[f"{key}_per_sample"]) == 5 for key in KEYS)
    assert all(isinstance(value, float) for value in everything["cider_per_sample"])


@pytest.mark.parametrize("largest", [1 << 20, 1 << 62])
def test_sorting_is_stable_with_small_and_with_large_keys(largest):
    keys = np.random.default_rng(0).integers(0, 50, 1000) * (largest // 50)
    order, new = sort_stable(keys)
    np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))
    assert new.sum() == len(np.unique(keys)) and new[0]
