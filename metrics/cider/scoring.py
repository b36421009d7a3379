"""`score`: caption metrics from strings to a dictionary, without `evaluate`."""

import itertools
import os
import warnings

from .checks import check_captions, check_column, check_ids
from .idf import DocumentFrequencies
from .no_change import no_change_scores
from .tallies import SCORERS, interval, resample, tally
from .tokenizer import tokenize_all

RESAMPLES = 1000


def score(
    predictions,
    references,
    scorers=("cider",),
    categories=None,
    idf="corpus",
    confidence=None,
    per_sample=False,
    seed=0,
    resamples=RESAMPLES,
    ids=None,
    no_change=None,
    tokenize=True,
):
    """
    Scores one caption per image against the image's references, as pycocoevalcap does.

    Args:
        predictions (`list[str]`): one caption for each of N images.
        references (`list[list[str]]`): the reference captions, at least one, of each image, in the same order.
        scorers (`str` or `list[str]`, *optional*, defaults to `("cider",)`): what to compute: `"cider"`, `"bleu"`,
            `"rouge_l"`, `"meteor"` (the last one needs Java and the package pycocoevalcap, which has its jar).
        categories (`list[str]`, *optional*): the kind of change of each image; adds scores for each kind.
        idf (`str`, `os.PathLike` or [`DocumentFrequencies`], *optional*, defaults to `"corpus"`): document frequencies
            for CIDEr. `"corpus"`: those of these references. `"category"`: the same for the whole, but those of the
            category alone **for each category** (the field's habit, as if the category were a benchmark of its own).
            A saved corpus, or the path of its file: its document frequencies for everything.
        confidence (`float`, *optional*): adds an interval to each score, for example 0.95: bootstrap over images,
            percentiles, document frequencies held fixed.
        per_sample (`bool`, *optional*, defaults to `False`): whether to add a list of N scores for each key.
        seed (`int`, *optional*, defaults to 0): of the bootstrap.
        resamples (`int`, *optional*, defaults to 1000): bootstrap samples.
        ids (`list`, *optional*): name of each image, only to make sure that none is there twice.
        no_change (`dict`, *optional*): arguments of [`no_change_scores`] beyond the captions: `phrases`, `changed`.
        tokenize (`bool`, *optional*, defaults to `True`): `False` takes captions as tokens separated by spaces.

    Returns:
        `dict`: `cider` (CIDEr-D: 0 to 10, not x100), `bleu_1` ... `bleu_4`, `rouge_l`, `meteor` (0 to 1), as far as
        asked for; `idf` names the document frequencies of `cider`. With `per_sample`, `<key>_per_sample`
        (`list[float]`). With `confidence`, `<key>_interval` (`[low, high]`; `None` if there is one image only). With
        `categories`, `by_category`: the same keys for each category, and `count` (images). With `no_change`,
        `no_change_precision`, `no_change_recall`, `no_change_f1` and two counts.

    Raises:
        `ValueError`, `TypeError`: as [`check_captions`] says; an unknown scorer or `idf`; wrong `categories` or `ids`;
            a `confidence` that is not between 0 and 1.
        `MeteorUnavailable`: `"meteor"` is asked for, and Java or the jar is missing.

    Warns:
        `UserWarning`: CIDEr of a single image, or of images that all have the same references, is 0
        whatever the captions are, because every document frequency equals the number of images.

    Example:

        >>> from metrics.cider import score
        >>> refs = [["the red ball is gone"], ["a blue cube was added", "there is a new blue cube"]]
        >>> round(score(["the red ball is gone", "a blue cube was added"], refs)["cider"], 3)
        8.008
    """
    scorers = check_scorers(scorers)
    idf, saved = check_idf(idf)
    check_captions(predictions, references)
    check_bootstrap(confidence, resamples)
    if categories is not None:
        check_column(categories, "categories", len(predictions), str)
    if ids is not None:
        check_ids(ids, len(predictions))

    lines, sizes = flatten(predictions, references, tokenize)
    tallies = tally(lines, sizes, scorers, saved)
    result = _summary(tallies, per_sample, confidence, resamples, seed)
    if "cider" in scorers:
        result["idf"] = saved.name if saved else "corpus"
        if not saved:
            _warn_if_zero(references, "cider")
    if categories is not None:
        result["by_category"] = parts = {}
        for category, rows in rows_by(categories).items():
            own = [one.select(rows) for one in tallies]
            if "cider" in scorers and idf == "category":
                own[scorers.index("cider")] = _tally_alone(lines, sizes, rows)
                _warn_if_zero([references[row] for row in rows], f"cider of category {category!r}")
            parts[category] = part = {"count": len(rows), **_summary(own, per_sample, confidence, resamples, seed)}
            if "cider" in scorers:
                part["idf"] = saved.name if saved else idf
    if no_change is not None:
        result |= no_change_scores(predictions, references, **no_change)
    return result


def check_scorers(scorers):
    scorers = (scorers,) if isinstance(scorers, str) else tuple(scorers)
    unknown = [name for name in scorers if name not in SCORERS]
    if unknown or not scorers:
        raise ValueError(f"scorers is {list(scorers)}; choose from {list(SCORERS)}.")
    return tuple(dict.fromkeys(scorers))


def check_idf(idf):
    """Whose document frequencies: `"corpus"`, `"category"` or `"saved"`; and the saved ones, or `None`."""
    if isinstance(idf, DocumentFrequencies):
        return "saved", idf
    if idf in ("corpus", "category"):
        return idf, None
    if isinstance(idf, (str, os.PathLike)) and os.path.isfile(idf):
        return "saved", DocumentFrequencies.load(idf)
    raise ValueError(
        f'idf is {idf!r}; choose "corpus", "category", DocumentFrequencies, or the path of a file that they saved.'
    )


def check_bootstrap(confidence, resamples):
    if confidence is not None and not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; give a number between 0 and 1, such as 0.95.")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples!r}; give at least 1, and 1000 for a table.")


def flatten(predictions, references, tokenize=True):
    """All captions in one list, image by image with the prediction first, and the number of captions of each image."""
    lines = [c for prediction, refs in zip(predictions, references, strict=True) for c in (prediction, *refs)]
    return tokenize_all(lines) if tokenize else lines, [1 + len(refs) for refs in references]


def _summary(tallies, per_sample, confidence, resamples, seed):
    summary = {}
    for one in tallies:
        summary.update(zip(one.keys, one.corpus().tolist(), strict=True))
        if per_sample:
            summary.update((f"{key}_per_sample", one.samples[:, k].tolist()) for k, key in enumerate(one.keys))
    if confidence is not None:
        draws = resample(tallies, resamples, seed)
        summary.update((f"{key}_interval", interval(values, confidence)) for key, values in draws.items())
    return summary


def rows_by(categories):
    rows = {}
    for row, category in enumerate(categories):
        rows.setdefault(category, []).append(row)
    return dict(sorted(rows.items()))


def _tally_alone(lines, sizes, rows):
    """CIDEr of some images with the document frequencies of their references alone."""
    ends = list(itertools.accumulate(sizes))
    subset = [line for row in rows for line in lines[ends[row] - sizes[row] : ends[row]]]
    return tally(subset, [sizes[row] for row in rows], ("cider",))[0]


def _warn_if_zero(references, name):
    first = set(references[0])
    if len(references) == 1:
        warnings.warn(
            f"{name} is 0.0 because there is only one image: CIDEr weighs an n-gram by log(images / images that have "
            "it), which is log 1 = 0 for every n-gram. Score more images together, or give the document frequencies "
            "of a larger corpus as `idf`.",
            UserWarning,
            stacklevel=3,
        )
    elif all(set(refs) == first for refs in references):
        warnings.warn(
            f"{name} is 0.0 because all {len(references)} images have the same references: every n-gram is in every "
            "image, so it has no weight.",
            UserWarning,
            stacklevel=3,
        )
