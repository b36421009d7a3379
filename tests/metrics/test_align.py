"""Captions of files meet by the id of their image."""

import pytest

from metrics.cider import align, score

REFERENCES = {3: ["nothing changed"], 1: ["the dog is gone", "a dog left"], 2: ["a cat came"]}
EXPECTED = ([3, 1, 2], ["no change", "a dog left", "a cat"], list(REFERENCES.values()))


def records(pairs):
    return [{"image_id": name, "caption": caption} for name, caption in pairs]


RESULTS = records([(1, "a dog left"), (2, "a cat"), (3, "no change")])
ANNOTATIONS = records([(name, caption) for name, refs in REFERENCES.items() for caption in refs])


@pytest.mark.parametrize("predictions", [RESULTS, {row["image_id"]: row["caption"] for row in RESULTS}])
@pytest.mark.parametrize("references", [REFERENCES, ANNOTATIONS, {"images": [], "annotations": ANNOTATIONS}])
def test_order_does_not_matter(predictions, references):
    assert align(predictions, references) == EXPECTED
    ids, aligned, refs = align(predictions, references)
    assert score(aligned, refs, "rouge_l", ids=ids)["rouge_l"] > 0.5


@pytest.mark.parametrize(
    ("predictions", "references", "error", "message"),
    [
        (RESULTS + RESULTS[:1], REFERENCES, ValueError, r"predictions\[3\] is a second caption of image 1"),
        (RESULTS[:1], REFERENCES, ValueError, "2 images of references have no prediction: 3, 2"),
        (RESULTS, {1: ["x"]}, ValueError, "2 images of predictions have no reference: 2, 3"),
        (records((k, "x") for k in range(9)), {}, ValueError, r"9 images .*: 0, 1, 2, 3, 4, …"),
        (
            [{"id": 1, "caption": "x"}],
            {1: ["x"]},
            KeyError,
            r"predictions\[0\] has no image_id, but \['caption', 'id'\]",
        ),
        (RESULTS, [{"image_id": 1}], KeyError, r"references\[0\] has no caption"),
        (["a dog"], {1: ["x"]}, TypeError, r"predictions\[0\] is 'a dog' \(str\), not a record"),
        ("a dog", {1: ["x"]}, TypeError, "predictions is 'a dog'"),
    ],
)
def test_what_does_not_fit_is_named(predictions, references, error, message):
    with pytest.raises(error, match=message):
        align(predictions, references)


def test_an_image_that_is_there_twice_is_no_two_images():
    with pytest.raises(ValueError, match=r"ids\[0\] and ids\[2\] are both 7; put the references of an image into one"):
        score(["a", "b", "c"], [["a"], ["b"], ["c"]], ids=[7, 8, 7])
    with pytest.raises(ValueError, match="ids has 1 rows and predictions has 2"):
        score(["a", "b"], [["a"], ["b"]], ids=[1])
