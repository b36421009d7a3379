"""METEOR: by hand, against pycocoevalcap, and for odd captions. Its process has tests of its own."""

import os
import random
import re
import shutil
import subprocess

import numpy as np
import pytest

from metrics.cider import compare, meteor_jar, meteor_warm, score
from metrics.cider.meteor import additive_statistics, close, meteor_score, meteor_statistics
from metrics.cider.meteor_words import normalise
from metrics.cider.tokenizer import tokenize_all

pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed")
pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="no java on this machine")


@pytest.fixture(scope="module", autouse=True)
def closed_at_the_end():
    yield
    close()


def flatten(predictions, references):
    lines = [caption for row in zip(predictions, references, strict=True) for caption in (row[0], *row[1])]
    return lines, [1 + len(refs) for refs in references]


def statistics_of(predictions, references):
    return meteor_statistics(*flatten(predictions, references))


def corpus_score(statistics):
    return float(meteor_score(additive_statistics(statistics).sum(axis=0)))


@pytest.fixture(scope="module")
def reference():
    """pycocoevalcap's METEOR with the whole table: `(predictions, references) -> (corpus, (N,), (N, 23))`."""
    from pycocoevalcap.meteor.meteor import Meteor

    meteor = Meteor()
    answers = []
    ask = meteor._stat
    meteor._stat = lambda *arguments: answers.append(ask(*arguments)) or answers[-1]

    def score(predictions, references):
        answers.clear()
        rows = {index: [caption] for index, caption in enumerate(predictions)}
        corpus, samples = meteor.compute_score(dict(enumerate(references)), rows)
        return corpus, np.array(samples), np.array([answer.split() for answer in answers], np.float64)

    return score


def assert_equal_to_pycocoevalcap(reference, predictions, references):
    corpus, samples, expected = reference(predictions, references)
    statistics = statistics_of(predictions, references)
    np.testing.assert_array_equal(statistics, expected)
    np.testing.assert_array_equal(meteor_score(statistics), samples)
    assert corpus_score(statistics) == corpus


@pytest.fixture(scope="module")
def real(syned, image_editing_request, spot_the_diff):
    """150 images of each set, and tokens for captions."""
    predictions, references = [], []
    for some_predictions, some_references in (syned, image_editing_request, spot_the_diff):
        predictions += tokenize_all(some_predictions[:150])
        references += [tokenize_all(refs) for refs in some_references[:150]]
    return predictions, references


def test_by_hand():
    # "a b c" against "a x c d", lengths 3 and 4, one function word "a" on both sides; matched: a, c, in 2 chunks.
    statistics = np.zeros(23)
    statistics[[0, 1, 2, 3]] = 3, 4, 1, 1
    statistics[[4, 5, 6, 7]] = 1, 1, 1, 1
    statistics[[20, 21, 22]] = 2, 2, 2
    precision = (0.75 + 0.25) / (0.75 * 2 + 0.25)
    recall = (0.75 + 0.25) / (0.75 * 3 + 0.25)
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    assert meteor_score(statistics) == pytest.approx(mean * (1 - 0.6 * (2 / 2) ** 0.2), abs=1e-15)
    np.testing.assert_array_equal(additive_statistics(statistics), statistics)
    # A stem, a synonym and a paraphrase count .6, .8, .6 of an exact match.
    for module, weight in ((1, 0.6), (2, 0.8), (3, 0.6)):
        one = np.zeros(23)
        one[[0, 1, 20, 21, 22]] = 2, 2, 1, 1, 1
        one[[4 + 4 * module, 5 + 4 * module]] = 1
        assert meteor_score(one) == pytest.approx(weight / 2 * (1 - 0.6), abs=1e-15)


def test_a_perfect_caption_has_no_chunks_in_a_sum():
    statistics = statistics_of(["the red ball", "a cube"], [["the red ball"], ["the cube is new"]])
    assert statistics[:, 20].tolist() == [1, 1]
    assert additive_statistics(statistics)[:, 20].tolist() == [0, 1]
    assert meteor_score(statistics)[0] == 1.0


def test_leading_dimensions():
    statistics = additive_statistics(statistics_of(["a red ball", "a cube"], [["a ball"], ["the cube is new"]]))
    picks = np.random.default_rng(0).integers(0, 2, (1000, 2))
    sums = statistics[picks].sum(axis=1)
    assert meteor_score(sums).shape == (1000,)
    assert meteor_score(sums)[7] == meteor_score(sums[7])
    assert meteor_score(sums.reshape(10, 100, 23)).shape == (10, 100)
    assert meteor_score(np.zeros(23)) == 0
    assert meteor_statistics([], []).shape == (0, 23)


def test_real_captions_equal_pycocoevalcap(reference, real):
    assert_equal_to_pycocoevalcap(reference, *real)


@pytest.mark.parametrize("seed", range(5))
def test_sums_over_a_subset_are_the_corpus_of_the_subset(reference, real, seed):
    predictions, references = real
    rows = random.Random(seed).sample(range(len(predictions)), 20)
    # Some of the predictions are perfect, which is what the sums have to mind.
    chosen = [references[row][0] if row % 3 == 0 else predictions[row] for row in rows]
    assert_equal_to_pycocoevalcap(reference, chosen, [references[row] for row in rows])


@pytest.mark.parametrize(
    ("name", "expected"), [("syned", 0.373197), ("image_editing_request", 0.170655), ("spot_the_diff", 0.178441)]
)
def test_published_sets(name, expected, request):
    predictions, references = request.getfixturevalue(name)
    statistics = statistics_of(tokenize_all(predictions), [tokenize_all(refs) for refs in references])
    assert corpus_score(statistics) == pytest.approx(expected, abs=6e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["syned", "image_editing_request", "spot_the_diff"])
def test_every_image_of_the_published_sets_equals_pycocoevalcap(reference, name, request):
    predictions, references = request.getfixturevalue(name)
    assert_equal_to_pycocoevalcap(reference, tokenize_all(predictions), [tokenize_all(refs) for refs in references])


@pytest.mark.slow
def test_many_odd_captions_equal_pycocoevalcap(reference):
    captions = odd_captions(3, 12_000)
    assert_equal_to_pycocoevalcap(reference, captions[:3000], [captions[n::3000][1:] for n in range(3000)])


def odd_captions(seed, count):
    """Words of the paraphrase table in every disguise that `-norm` knows, and noise."""
    generator = random.Random(seed)
    words = "the a book tome red style us am not can do is it in front of as well more than car auto big large".split()
    shapes = "{0}-{1} {0}'{1} '{0} {0}' {0}. {0}.{1} u.s. a.m. {0}/{1} {0}, {0},{1} ({0}) ({0} {0}--{1} {0}…{1} “{0}”"
    shapes += (
        " 1,000 1.5 n't 's -lrb- ``{0}'' & {0}&{1} é{0} {0}é {0}中{1} {0}\xa0{1} {0}\u3000{1} İ{0} K{0} {0}\u200b{1}"
    )
    shapes += " {0}-{1}-{0} a-b-c u.s.a {0}_{1} <{0}> ½{0} ﬁ{0} 😀 ? ??? ! {0}\u0301 vs. {0}\t{1} \x01{0} {0}|{1}"

    def token():
        shape = generator.choice(shapes.split(" ")) if generator.random() < 0.4 else "{0}"
        shape = shape.format(generator.choice(words), generator.choice(words))
        return shape.upper() if generator.random() < 0.1 else shape

    return [" ".join(token() for _ in range(generator.randint(1, 9))) for _ in range(count)]


def test_odd_captions_with_a_part_of_the_table_equal_those_with_all_of_it(reference):
    captions = odd_captions(1, 1600)
    assert_equal_to_pycocoevalcap(reference, captions[:400], [captions[n::400][1:] for n in range(400)])
    assert meteor_warm._warm.process.norm


def test_ordinary_captions_are_normalised_as_the_jar_does(reference, tmp_path, annotation_captions):
    captions = random.Random(0).sample(tokenize_all(annotation_captions), 3000) + odd_captions(2, 3000)
    ordinary = {caption: normalise(caption) for caption in captions if caption.strip()}
    ordinary = {caption: tokens for caption, tokens in ordinary.items() if tokens is not None}
    assert len(ordinary) > 3300
    (tmp_path / "captions").write_text("".join(f"{caption}\n" for caption in ordinary), encoding="utf-8")
    java, folder = meteor_jar.find_files()
    options = "captions captions -l en -norm -m exact -writeAlignments".split()
    command = [java, "-Dfile.encoding=UTF-8", "-jar", os.path.join(folder, meteor_jar.JAR), *options]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    blocks = (tmp_path / "meteor-align.out").read_text(encoding="utf-8")
    expected = re.findall(r"^Alignment\t.*\n(.*)\n", blocks, re.MULTILINE)
    assert [" ".join(tokens.split()) for tokens in ordinary.values()] == expected


def test_empty_captions(reference):
    predictions, references = ["", "a ball", "", "a cube"], [["a ball"], [""], [""], ["", "the cube"]]
    assert_equal_to_pycocoevalcap(reference, predictions, references)
    scores = meteor_score(statistics_of(predictions, references))
    assert scores[:3].tolist() == [0, 0, 0] and scores[3] > 0


def test_odd_input_never_shifts_the_answers(reference):
    predictions = ["a ||| red ball", "a\nred\r\nball", "a red  ball", "a red\xa0ball", "a red\tball", "a red ball"]
    references = [["a red ball ||| x"]] * 5 + [["a red ball x"]]
    statistics = statistics_of(predictions, references)
    np.testing.assert_array_equal(statistics, np.repeat(statistics[-1:], 6, axis=0))
    np.testing.assert_array_equal(statistics[-1:], reference(predictions[-1:], references[-1:])[2])


def test_spaces_between_words_do_not_matter():
    close()
    statistics = statistics_of(["a red ball", " a  red ball  "], [["the red ball"], [" the red   ball"]])
    np.testing.assert_array_equal(statistics[0], statistics[1])
    assert not meteor_warm._warm.process.norm


def test_very_long_captions(reference):
    words = [f"word{n}" for n in range(100)]
    assert_equal_to_pycocoevalcap(reference, [" ".join(words * 10)], [[" ".join(reversed(words * 10)), "word1"]])


def test_wrong_input_starts_nothing():
    close()
    with pytest.raises(ValueError, match="image 1 has no references"):
        meteor_statistics(["a", "b", "c"], [2, 1])
    with pytest.raises(UnicodeEncodeError):
        meteor_statistics(["a", "\ud83d"], [2])
    assert meteor_warm._warm is None


def test_equal_images_are_asked_for_once():
    lines, rows = meteor_warm._requests(["a", "b", "c", "d", "a", "b"], [2, 2, 2])
    assert lines == ["SCORE ||| b ||| a\n", "SCORE ||| d ||| c\n"] and rows == [0, 1, 0]


def test_it_is_a_scorer_like_the_others(real):
    predictions, references = real[0][:60], real[1][:60]
    options = {"confidence": 0.9, "per_sample": True, "tokenize": False}
    result = score(predictions, references, ["meteor", "rouge_l"], categories=["a", "b", "b"] * 20, **options)
    statistics = statistics_of(predictions, references)
    assert result["meteor"] == corpus_score(statistics)
    assert result["meteor_per_sample"] == meteor_score(statistics).tolist()
    assert result["by_category"]["a"]["meteor"] == corpus_score(statistics[::3])
    for part in (result, *result["by_category"].values()):
        low, high = part["meteor_interval"]
        assert low < part["meteor"] < high
    compared = compare(predictions, [""] * 60, references, "meteor", tokenize=False)["meteor"]
    assert (compared["a"], compared["b"], compared["p"]) == (result["meteor"], 0.0, 1 / 1001)
