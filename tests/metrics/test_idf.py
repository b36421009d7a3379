"""Document frequencies of another corpus: against pycocoevalcap's arithmetic, saved, read, refused."""

import numpy as np
import pytest

from metrics.cider import DocumentFrequencies, constant_caption, leave_one_out, score
from metrics.cider.tokenizer import tokenize_all

TRAIN = [["the red ball is gone", "a ball left"], ["a blue cube was added"], ["a dog moved left"], ["the sky is red"]]
PREDICTIONS = ["the red cube is gone", "a cat moved to the left"]
REFERENCES = [["the blue cube is gone", "a cube left"], ["the cat moved left"]]


def expected_cider(train, predictions, references):
    """pycocoevalcap's scorer, made to weigh with the document frequencies of `train`. Captions are tokens."""
    scorer = pytest.importorskip("pycocoevalcap.cider.cider_scorer", reason="pycocoevalcap is not installed")
    counted = scorer.CiderScorer()
    for refs in train:
        counted += ("", refs)
    counted.compute_doc_freq()

    scored = scorer.CiderScorer()
    for prediction, refs in zip(predictions, references, strict=True):
        scored += (prediction, refs)
    scored.document_frequency = counted.document_frequency
    # The scorer takes log N from the number of its own images: the rest of `train` stands behind them.
    for refs in train[len(references) :]:
        scored += ("", refs)
    assert len(scored.crefs) == len(train)
    return scored.compute_cider()[: len(references)]


def test_a_pair_is_scored_with_the_weights_of_the_saved_corpus():
    idf = DocumentFrequencies.from_references(TRAIN)
    result = score(PREDICTIONS, REFERENCES, idf=idf, per_sample=True)
    assert result["cider_per_sample"] == pytest.approx(expected_cider(TRAIN, PREDICTIONS, REFERENCES), abs=1e-9)
    assert result["idf"] == "saved, 4 images"


@pytest.mark.filterwarnings("error")
def test_one_pair_or_a_stream_has_a_meaning():
    idf = DocumentFrequencies.from_references(TRAIN, name="train")
    together = score(PREDICTIONS, REFERENCES, idf=idf, per_sample=True, categories=["drop", "move"])
    for row in range(2):
        alone = score(PREDICTIONS[row : row + 1], REFERENCES[row : row + 1], idf=idf)
        assert alone == {"cider": pytest.approx(together["cider_per_sample"][row], abs=1e-12), "idf": "train"}
        assert alone["cider"] > 0
    first = together["cider_per_sample"][0]
    assert together["by_category"]["drop"] == {"count": 1, "cider": first, "cider_per_sample": [first], "idf": "train"}


def test_its_own_corpus_gives_the_plain_score():
    references = [*TRAIN, *REFERENCES]
    predictions = [*(refs[0] for refs in TRAIN), *PREDICTIONS]
    plain = score(predictions, references, ("cider", "bleu"), per_sample=True)
    saved = score(
        predictions,
        references,
        ("cider", "bleu"),
        idf=DocumentFrequencies.from_references(references),
        per_sample=True,
    )
    assert saved.pop("idf") == "saved, 6 images" and plain.pop("idf") == "corpus"
    for key, value in plain.items():
        assert saved[key] == pytest.approx(value, abs=1e-12)


def test_real_captions_equal_pycocoevalcap(image_editing_request, syned):
    train = [tokenize_all(refs) for refs in syned[1]]
    predictions, references = image_editing_request
    predictions, references = tokenize_all(predictions), [tokenize_all(refs) for refs in references]
    idf = DocumentFrequencies.from_references(train, tokenize=False)
    ours = score(predictions, references, idf=idf, per_sample=True, tokenize=False)["cider_per_sample"]
    np.testing.assert_allclose(ours, expected_cider(train, predictions, references), rtol=0, atol=1e-9)


def test_saved_and_read_again(tmp_path):
    path = tmp_path / "train.idf"
    idf = DocumentFrequencies.from_references([*TRAIN, ["1 1/2 cups of crème brûlée 🍮"]], name="train")
    idf.save(path)
    read = DocumentFrequencies.load(path)
    assert (read.name, read.images, read.words) == ("train", 5, idf.words)
    expected = score(PREDICTIONS, REFERENCES, idf=idf)
    assert score(PREDICTIONS, REFERENCES, idf=read) == expected
    for where in (path, str(path)):
        assert score(PREDICTIONS, REFERENCES, idf=where) == expected


def test_floors_take_saved_frequencies_too():
    idf = DocumentFrequencies.from_references(TRAIN, name="train")
    caption = constant_caption(REFERENCES, idf=idf)
    scores = {c: score([c] * 2, REFERENCES, idf=idf)["cider"] for refs in REFERENCES for c in refs}
    assert caption == {"caption": max(scores, key=scores.get), "cider": max(scores.values()), "idf": "train"}
    people = leave_one_out(REFERENCES, idf=idf)
    one, other = REFERENCES[0]
    ways = [score([a], [[b]], idf=idf)["cider"] for a, b in ((one, other), (other, one))]
    assert people == {"cider": pytest.approx(np.mean(ways)), "idf": "train", "count": 1, "folds": 2}


def test_wrong_files(tmp_path):
    path = tmp_path / "wrong"
    path.write_text("not frequencies")
    with pytest.raises(ValueError, match=r"wrong holds no document frequencies; write it with"):
        score(PREDICTIONS, REFERENCES, idf=path)
    for arrays in ({"x": np.arange(3)}, {"format": "cider document frequencies, version 9"}):
        with open(path, "wb") as file:
            np.savez(file, **arrays)
        with pytest.raises(ValueError, match="holds no document frequencies"):
            DocumentFrequencies.load(path)
    with open(path, "wb") as file:  # numpy would have to unpickle it
        np.savez(file, format=np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds no document frequencies"):
        DocumentFrequencies.load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="holds no document frequencies"):
        DocumentFrequencies.load(path)
    with pytest.raises(FileNotFoundError):
        DocumentFrequencies.load(tmp_path / "missing")
    with pytest.raises(ValueError, match="idf is 'missing'; choose"):
        score(PREDICTIONS, REFERENCES, idf="missing")


def test_wrong_corpora():
    with pytest.raises(ValueError, match="document frequencies of one image"):
        DocumentFrequencies.from_references(TRAIN[:1])
    with pytest.raises(ValueError, match=r"references\[1\] is empty"):
        DocumentFrequencies.from_references([["a"], []])
    with pytest.raises(TypeError, match=r"references\[0\] is 'a' \(str\)"):
        DocumentFrequencies.from_references(["a", "b"])
