"""`score`: caption metrics from strings to a dictionary, without `evaluate`."""

import re
import warnings

import numpy as np

from .checks import check_captions, check_column
from .ngrams import Corpus
from .no_change import no_change_scores
from .scorers import cider_and_bleu, rouge_l
from .tokenizer import tokenize_all

SCORERS = ("cider", "bleu", "rouge_l")
BLEU_KEYS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
_ODD_SPACES = re.compile(r"[^\S ]|  |^ | $|\0 | \0")


def score(
    predictions,
    references,
    scorers=SCORERS,
    categories=None,
    idf="corpus",
    per_sample=False,
    no_change=None,
    tokenize=True,
):
    """
    Scores one caption per image against the image's references, as pycocoevalcap does, without Java.

    Args:
        predictions (`list[str]`): one caption for each of N images.
        references (`list[list[str]]`): the reference captions, at least one, of each image, in the same order.
        scorers (`str` or `list[str]`, *optional*, defaults to `("cider", "bleu", "rouge_l")`): what to compute.
        categories (`list[str]`, *optional*): the kind of change of each image; adds scores for each kind.
        idf (`str`, *optional*, defaults to `"corpus"`): document frequencies for the CIDEr **of the categories**:
            those of the whole corpus (`"corpus"`: a category's CIDEr is the mean over its images), or those of the
            category alone (`"category"`: the field's habit, as if the category were a benchmark of its own). The
            CIDEr of the whole corpus is the same either way.
        per_sample (`bool`, *optional*, defaults to `False`): whether to add a list of N scores for each key.
        no_change (`dict`, *optional*): arguments of [`no_change_scores`] beyond the captions: `phrases`, `changed`.
        tokenize (`bool`, *optional*, defaults to `True`): `False` takes captions as tokens separated by spaces.

    Returns:
        `dict`: `cider` (CIDEr-D: 0 to 10, not x100), `bleu_1` ... `bleu_4`, `rouge_l` (0 to 1), as far as asked for;
        `idf` names the document frequencies of `cider`. With `per_sample`, `<key>_per_sample` (`list[float]`). With
        `categories`, `by_category`: the same keys for each category, and `count` (images). With `no_change`,
        `no_change_precision`, `no_change_recall`, `no_change_f1`.

    Raises:
        `ValueError`, `TypeError`: as [`check_captions`] says; an unknown scorer or `idf`; wrong `categories`.

    Warns:
        `UserWarning`: CIDEr of a single image, or of images that all have the same references, is 0
        whatever the captions are, because every document frequency equals the number of images.

    Example:

        >>> from metrics.cider import score
        >>> refs = [["the red ball is gone"], ["a blue cube was added", "there is a new blue cube"]]
        >>> round(score(["the red ball is gone", "a blue cube was added"], refs)["cider"], 3)
        8.008
    """
    scorers = _check_options(scorers, idf)
    check_captions(predictions, references)
    if categories is not None:
        check_column(categories, "categories", len(predictions), str)

    lines, sizes = _flatten(predictions, references)
    if tokenize:
        lines = tokenize_all(lines)
    samples, bleu = _score_images(lines, sizes, scorers)
    result = _summary(samples, bleu, scorers)
    if "cider" in scorers:
        result["idf"] = "corpus"
        _warn_if_zero(references, "cider")
    if per_sample:
        for key, values in samples.items():
            result[f"{key}_per_sample"] = values.tolist()
    if categories is not None:
        result["by_category"] = _by_category(lines, sizes, samples, bleu, scorers, categories, idf)
        if idf == "category" and "cider" in scorers:
            for category, rows in _rows_by(categories).items():
                _warn_if_zero([references[row] for row in rows], f"cider of category {category!r}")
    if no_change is not None:
        result.update(no_change_scores(predictions, references, **no_change))
    return result


def _check_options(scorers, idf):
    scorers = (scorers,) if isinstance(scorers, str) else tuple(scorers)
    unknown = [name for name in scorers if name not in SCORERS]
    if unknown or not scorers:
        raise ValueError(f"scorers is {list(scorers)}; choose from {list(SCORERS)}.")
    if idf not in ("corpus", "category"):
        raise ValueError(f'idf is {idf!r}; choose "corpus" or "category".')
    return scorers


def _flatten(predictions, references):
    """All captions in one list, image by image with the prediction first, and the number of captions of each image."""
    captions = [c for prediction, refs in zip(predictions, references, strict=True) for c in (prediction, *refs)]
    return captions, [1 + len(refs) for refs in references]


def _score_images(lines, sizes, scorers):
    """Scores per image by key, each `(N,)`, and the statistics of BLEU where it is among the scorers."""
    corpus = Corpus.from_tokens([line.split() for line in lines], sizes)
    samples = {}
    bleu = None
    if "cider" in scorers or "bleu" in scorers:
        cider, bleu = cider_and_bleu(corpus, "cider" in scorers, "bleu" in scorers)
        if cider is not None:
            samples["cider"] = cider
        if bleu is not None:
            samples.update(zip(BLEU_KEYS, bleu.per_image().T, strict=True))
    if "rouge_l" in scorers:
        # The reference splits at any white space for CIDEr and BLEU, but only at " " for ROUGE-L: "1\xa01/2" is two
        # tokens there and one here.
        if _ODD_SPACES.search("\0".join(lines)):
            corpus = Corpus.from_tokens([line.split(" ") for line in lines], sizes)
        samples["rouge_l"] = rouge_l(corpus)
    return samples, bleu


def _summary(samples, bleu, scorers, images=slice(None)):
    """Corpus scores, or those of some images, with the document frequencies of the whole corpus."""
    summary = {}
    for scorer in scorers:
        if scorer == "bleu":
            summary.update(zip(BLEU_KEYS, bleu.corpus(images).tolist(), strict=True))
        else:
            summary[scorer] = float(samples[scorer][images].mean())
    return summary


def _rows_by(categories):
    rows = {}
    for row, category in enumerate(categories):
        rows.setdefault(category, []).append(row)
    return dict(sorted(rows.items()))


def _by_category(lines, sizes, samples, bleu, scorers, categories, idf):
    ends = np.cumsum(sizes).tolist()
    result = {}
    for category, rows in _rows_by(categories).items():
        result[category] = summary = {"count": len(rows), **_summary(samples, bleu, scorers, rows)}
        if "cider" not in scorers:
            continue
        summary["idf"] = idf
        if idf == "category":
            subset = [line for row in rows for line in lines[ends[row] - sizes[row] : ends[row]]]
            scores, _ = _score_images(subset, [sizes[row] for row in rows], ("cider",))
            summary["cider"] = float(scores["cider"].mean())
    return result


def _warn_if_zero(references, name):
    if len(references) == 1:
        warnings.warn(
            f"{name} is 0.0 because there is only one image: CIDEr weighs an n-gram by log(images / images that have "
            "it), which is log 1 = 0 for every n-gram. Score more images together.",
            UserWarning,
            stacklevel=3,
        )
    elif len({frozenset(refs) for refs in references}) == 1:
        warnings.warn(
            f"{name} is 0.0 because all {len(references)} images have the same references: every n-gram is in every "
            "image, so it has no weight.",
            UserWarning,
            stacklevel=3,
        )
