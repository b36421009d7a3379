"""What has to hold for any captions whatever."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.cider import DocumentFrequencies, score
from metrics.cider.tokenizer import tokenize, tokenize_all

ALL = ("cider", "bleu", "rouge_l")
BLEU = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
KEYS = ("cider", *BLEU, "rouge_l")

# Few words, so that they meet; a space that only some scorers split at; nothing at all; anything at all.
words = st.sampled_from(["a", "b", "c", "dd", "e\xa0f", "1 1/2", "it's", "gone."])
caption = st.lists(words, max_size=9).map(" ".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
images = st.lists(
    st.tuples(caption, st.lists(caption, min_size=1, max_size=4), st.sampled_from("xyz")), min_size=1, max_size=9
)
slower = settings(max_examples=60, deadline=None)


def scores(rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # CIDEr of one image
        return score([row[0] for row in rows], [row[1] for row in rows], ALL, per_sample=True, **options)


def assert_same(ours, theirs, keys=KEYS):
    for key in keys:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=0, atol=1e-9, err_msg=key)


@slower
@given(images, st.randoms())
def test_order_of_images_and_of_references_changes_nothing(rows, random):
    turned = list(rows)
    random.shuffle(turned)
    turned = [(prediction, random.sample(refs, len(refs)), kind) for prediction, refs, kind in turned]
    assert_same(scores(rows), scores(turned))


@slower
@given(images)
def test_a_corpus_twice_has_the_same_bleu_and_rouge(rows):
    once, twice = scores(rows), scores(rows + rows)
    assert_same(once, twice, ("rouge_l",))
    for key in BLEU:  # where nothing matches, only pycocoevalcap's constants are left, which do not scale
        assert twice[key] == pytest.approx(once[key], abs=1e-6 if once[key] > 1e-3 else 1e-3)


@slower
@given(images)
def test_scores_are_within_their_range_and_perfect_captions_are_maximal(rows):
    perfect = scores([(refs[0], refs[:1], kind) for _, refs, kind in rows])
    for result in (scores(rows), perfect):
        for key in KEYS:
            top = 10 if key == "cider" else 1
            assert -1e-9 <= result[key] <= top + 1e-9
            assert all(-1e-9 <= value <= top + 1e-9 for value in result[f"{key}_per_sample"])
    assert perfect["rouge_l"] == pytest.approx(1)
    for row, (_, refs, _) in enumerate(rows):
        tokens = tokenize(refs[0])
        if tokens:
            assert perfect["bleu_1_per_sample"][row] == pytest.approx(1, abs=1e-6)
        # 10, but for the orders that a short caption does not have, or whose n-grams are in every image.
        assert perfect["cider_per_sample"][row] * 0.4 == pytest.approx(round(perfect["cider_per_sample"][row] * 0.4))


@slower
@given(images)
def test_categories_with_the_idf_of_the_corpus_average_to_the_whole(rows):
    result = scores(rows, categories=[row[2] for row in rows])
    parts = result["by_category"].values()
    assert sum(part["count"] for part in parts) == len(rows)
    for key in ("cider", "rouge_l"):
        assert sum(part["count"] * part[key] for part in parts) / len(rows) == pytest.approx(result[key], abs=1e-9)
    for name, part in result["by_category"].items():
        alone = [row for row in rows if row[2] == name]
        assert_same(part, scores(alone), (*BLEU, "rouge_l"))
        own = scores(rows, categories=[row[2] for row in rows], idf="category")["by_category"][name]
        assert_same(own, scores(alone))


@slower
@given(images.filter(lambda rows: len(rows) > 1))
def test_saved_frequencies_of_the_same_references_change_nothing(rows):
    idf = DocumentFrequencies.from_references([row[1] for row in rows])
    assert_same(scores(rows), scores(rows, idf=idf))


@slower
@given(images)
def test_intervals_hold_the_score_of_a_resample_and_are_ordered(rows):
    result = scores(rows, confidence=0.9, resamples=50)
    for key in KEYS:
        between = result[f"{key}_interval"]
        if len(rows) == 1:
            assert between is None
        else:
            low, high = between
            samples = result[f"{key}_per_sample"]
            assert low <= high and np.isfinite([low, high]).all()
            if key in ("cider", "rouge_l"):
                assert min(samples) - 1e-9 <= low and high <= max(samples) + 1e-9


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_tokens_of_any_text(text):
    tokens = tokenize(text)
    assert all(token and not set(token) & set(" \t\n\r") for token in tokens)
    assert tokenize_all([text, "x", text]) == [" ".join(tokens), "x", " ".join(tokens)]
    assert tokens == tokenize(text.replace("\n", "\r"))
    assert [token.lower() for token in tokens] == tokens
