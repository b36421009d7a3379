"""Two systems on the same images: is the difference more than chance?"""

import numpy as np

from .checks import check_captions, check_column
from .scoring import RESAMPLES, check_bootstrap, check_idf, check_scorers, flatten, rows_by
from .tallies import interval, resample, tally


def compare(
    predictions_a,
    predictions_b,
    references,
    scorers=("cider",),
    categories=None,
    idf="corpus",
    confidence=0.95,
    seed=0,
    resamples=RESAMPLES,
    tokenize=True,
):
    """
    Scores two systems on the same images and tests their difference by a paired bootstrap: both are scored on the same
    resampled images, so that what makes an image hard for both drops out.

    Args:
        predictions_a, predictions_b (`list[str]`): one caption of each system for each of N images.
        references (`list[list[str]]`): the reference captions, at least one, of each image, in the same order.
        scorers (`str` or `list[str]`, *optional*, defaults to `("cider",)`): as in [`score`].
        categories (`list[str]`, *optional*): the kind of change of each image; adds a comparison for each kind.
        idf (`str`, `os.PathLike` or [`DocumentFrequencies`], *optional*, defaults to `"corpus"`): as in [`score`];
            `"category"` is refused, for a difference of categories that are weighed differently has no meaning.
        confidence (`float`, *optional*, defaults to 0.95): of the interval of the difference.
        seed (`int`, *optional*, defaults to 0): of the bootstrap.
        resamples (`int`, *optional*, defaults to 1000): bootstrap samples; p is not below 1 / (resamples + 1).
        tokenize (`bool`, *optional*, defaults to `True`): `False` takes captions as tokens separated by spaces.

    Returns:
        `dict`: for each key of [`score`] a `dict` of `a`, `b` (the scores), `difference` (a - b), `interval` (`[low,
        high]` of the difference) and `p`, two-sided: how often the difference of resampled images is at least as far
        from the observed one as that is from zero. Of one image alone, `interval` and `p` are `None`. With
        `categories`, `by_category` has the same for each kind, and `count`.

    Raises:
        `ValueError`, `TypeError`: as [`score`] does.

    Example:

        >>> from metrics.cider import compare
        >>> refs = [["the red ball is gone"], ["a blue cube was added"], ["a cube moved left"]]
        >>> a, b = ["the red ball is gone", "a cube was added", "a cube moved"], ["a ball", "a cube", "a cube"]
        >>> result = compare(a, b, refs)["cider"]
        >>> round(result["difference"], 3), result["difference"] == result["a"] - result["b"]
        (5.143, True)
    """
    scorers = check_scorers(scorers)
    idf, saved = check_idf(idf)
    if idf == "category":
        raise ValueError('idf is "category"; compare with "corpus" or with saved document frequencies.')
    check_captions(predictions_a, references)
    check_captions(predictions_b, references)
    check_bootstrap(confidence, resamples)
    if categories is not None:
        check_column(categories, "categories", len(references), str)
    a, b = (tally(*flatten(p, references, tokenize), scorers, saved) for p in (predictions_a, predictions_b))
    result = _differences(a, b, confidence, seed, resamples)
    if categories is not None:
        result["by_category"] = {
            category: {
                "count": len(rows),
                **_differences(*([one.select(rows) for one in s] for s in (a, b)), confidence, seed, resamples),
            }
            for category, rows in rows_by(categories).items()
        }
    return result


def _differences(a, b, confidence, seed, resamples):
    draws_a, draws_b = resample(a, resamples, seed), resample(b, resamples, seed)
    result = {}
    for of_a, of_b in zip(a, b, strict=True):
        for key, score_a, score_b in zip(of_a.keys, of_a.corpus().tolist(), of_b.corpus().tolist(), strict=True):
            draws = draws_a[key] - draws_b[key]
            result[key] = _difference(score_a, score_b, draws, confidence)
    return result


def _difference(score_a, score_b, draws, confidence):
    observed = score_a - score_b
    # If the systems were equal, differences would scatter around 0 as they now scatter around the observed one.
    as_far = np.abs(draws - observed) >= abs(observed) * (1 - 1e-12)
    between = interval(draws, confidence)
    p = None if between is None else (1 + int(as_far.sum())) / (1 + len(draws))
    return {"a": score_a, "b": score_b, "difference": observed, "interval": between, "p": p}
