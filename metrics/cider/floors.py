"""The two rows that every table of caption scores should have: one sentence for all images, and people."""

import numpy as np

from .checks import check_column, check_references
from .idf import DocumentFrequencies
from .ngrams import Corpus, count_ngrams
from .scorers import MAX_ORDER, document_frequencies, length_penalty
from .scoring import RESAMPLES, check_bootstrap, check_idf, check_scorers, flatten, rows_by, score
from .tallies import interval, resample, tally
from .tokenizer import tokenize_all


def constant_caption(references, scorers=("cider",), idf="corpus", tokenize=True, **options):
    """
    The reference caption that, said of every image, has the highest CIDEr-D, and its scores: what a system reaches
    that does not look. A score that is not far above it shows little.

    The search is exact. A bound of the score of every candidate, which is the score itself where no n-gram is
    repeated, puts the candidates in order, and they are scored until no bound is above the best score.

    Args:
        references (`list[list[str]]`): the reference captions, at least one, of each of N images.
        scorers (`str` or `list[str]`, *optional*, defaults to `("cider",)`): as in [`score`].
        idf (`str`, `os.PathLike` or [`DocumentFrequencies`], *optional*, defaults to `"corpus"`): as in [`score`].
        tokenize (`bool`, *optional*, defaults to `True`): `False` takes captions as tokens separated by spaces.
        options: the other arguments of [`score`].

    Returns:
        `dict`: `caption`, and what [`score`] returns for it.

    Raises:
        `ValueError`, `TypeError`: as [`score`] does.

    Example:

        >>> from metrics.cider import constant_caption
        >>> constant_caption([["a dog left"], ["a dog came", "a dog came in"], ["nothing changed"]])["caption"]
        'a dog came'
    """
    check_scorers(scorers)
    saved = check_idf(idf)[1]
    check_references(references)
    tokens = [tokenize_all(refs) if tokenize else list(refs) for refs in references]
    bounds = _bounds(tokens, saved)
    best, best_score = None, -1.0
    for line in sorted(bounds, key=bounds.get, reverse=True):
        if bounds[line] * (1 + 1e-9) <= best_score:  # rounding
            break
        (cider,) = tally(*flatten([line] * len(tokens), tokens, tokenize=False), ("cider",), saved)
        if cider.corpus()[0] > best_score:
            best, best_score = line, cider.corpus()[0]
    row, number = next((row, lines.index(best)) for row, lines in enumerate(tokens) if best in lines)
    caption = references[row][number]
    scores = score([caption] * len(references), references, scorers, idf=idf, tokenize=tokenize, **options)
    return {"caption": caption, **scores}


def _bounds(tokens, saved):
    """
    An upper bound of the CIDEr-D of every distinct line, said of all images: without the clipping of counts, the
    cosines with all references of one length are one product, with the mean of these references.
    """
    lines, sizes = flatten([""] * len(tokens), tokens, tokenize=False)
    corpus = Corpus.from_lines(lines, sizes)
    # How much a reference counts in the mean over images; the empty predictions do not.
    share = 1 / (len(tokens) * corpus.reference_counts[corpus.image_of])  # (C,)
    share[corpus.first] = 0
    frequencies, logs = document_frequencies(corpus, saved)
    bounds = np.zeros(len(lines))
    for grams in count_ngrams(corpus):
        weight = grams.count * grams.spread(logs[-1] - logs[frequencies(grams)])  # (E,)
        norm = np.sqrt(np.bincount(grams.caption, weight**2, len(lines)))[grams.caption]
        unit = np.divide(weight, norm, out=np.zeros_like(weight), where=norm != 0)
        gram = grams.spread(np.arange(len(grams.keys)))
        for length in np.unique(corpus.lengths):
            same = corpus.lengths[grams.caption] == length
            mean = np.bincount(gram[same], (unit * share[grams.caption])[same], len(grams.keys))  # (G,)
            dots = np.bincount(grams.caption, unit * mean[gram], len(lines))
            bounds += dots * length_penalty(corpus.lengths, length)
    bounds *= 10 / MAX_ORDER
    references = np.delete(np.arange(len(lines)), corpus.first)
    return {lines[place]: bounds[place] for place in references}


def leave_one_out(
    references,
    scorers=("cider",),
    categories=None,
    idf="corpus",
    confidence=None,
    seed=0,
    resamples=RESAMPLES,
    tokenize=True,
):
    """
    How well people do: each reference in turn is scored against the other references of its image. A system above
    this row describes as these annotators do, which is more than seeing as much as they do.

    Images with a single reference are left out. Fold k takes reference k (counted round where there are fewer) as the
    prediction; scores are means over the folds, of which there are as many as the longest list has references. CIDEr
    is weighed with the document frequencies of *all* references, as for a system's row. A person is scored against
    one reference less than a system; that costs BLEU, ROUGE-L and METEOR a little, which take the best reference, but
    not CIDEr, which takes the mean.

    Args:
        references (`list[list[str]]`): the reference captions of each of N images.
        scorers (`str` or `list[str]`, *optional*, defaults to `("cider",)`): as in [`score`].
        categories (`list[str]`, *optional*): the kind of change of each image; adds scores for each kind.
        idf (`str`, `os.PathLike` or [`DocumentFrequencies`], *optional*, defaults to `"corpus"`): as in [`score`],
            without `"category"`.
        confidence (`float`, *optional*): adds an interval to each score, for example 0.95.
        seed (`int`, *optional*, defaults to 0): of the bootstrap.
        resamples (`int`, *optional*, defaults to 1000): bootstrap samples.
        tokenize (`bool`, *optional*, defaults to `True`): `False` takes captions as tokens separated by spaces.

    Returns:
        `dict`: the keys of [`score`], `<key>_interval`, `idf` and `by_category` included as far as asked for; `count`
        (images with two references or more) and `folds`.

    Raises:
        `ValueError`: no image has two references; and as [`score`] does.
        `TypeError`: as [`score`] does.

    Example:

        >>> from metrics.cider import leave_one_out
        >>> people = leave_one_out([["a dog left", "the dog left"], ["a cat came", "a cat came in"], ["no change"]])
        >>> people["count"], people["folds"], round(people["cider"], 3)
        (2, 2, 5.032)
    """
    scorers = check_scorers(scorers)
    idf, saved = check_idf(idf)
    if idf == "category":
        raise ValueError('idf is "category"; the row of people needs "corpus" or saved document frequencies.')
    check_references(references)
    check_bootstrap(confidence, resamples)
    if categories is not None:
        check_column(categories, "categories", len(references), str)
    rows = [row for row, refs in enumerate(references) if len(refs) > 1]
    if not rows:
        raise ValueError("no image has two references, so that nobody can be scored against the others.")
    if "cider" in scorers and saved is None:
        saved = DocumentFrequencies.from_references(references, "corpus", tokenize)
    several = [references[row] for row in rows]
    folds = []
    for fold in range(max(map(len, several))):
        predictions = [refs[fold % len(refs)] for refs in several]
        others = [[*refs[: fold % len(refs)], *refs[fold % len(refs) + 1 :]] for refs in several]
        folds.append(tally(*flatten(predictions, others, tokenize), scorers, saved))
    options = confidence, seed, resamples
    name = {"idf": saved.name} if "cider" in scorers else {}
    result = {**_mean_of(folds, *options), **name, "count": len(rows), "folds": len(folds)}
    if categories is not None:
        result["by_category"] = {
            category: {
                "count": len(chosen),
                **_mean_of([[one.select(chosen) for one in tallies] for tallies in folds], *options),
                **name,
            }
            for category, chosen in rows_by([categories[row] for row in rows]).items()
        }
    return result


def _mean_of(folds, confidence, seed, resamples):
    """Mean scores over folds, with intervals from the same draws of images in every fold."""
    keys = [key for one in folds[0] for key in one.keys]
    scores = [np.concatenate([one.corpus() for one in tallies]) for tallies in folds]
    result = dict(zip(keys, np.mean(scores, axis=0).tolist(), strict=True))
    if confidence is not None:
        draws = [resample(tallies, resamples, seed) for tallies in folds]
        for key in keys:
            mean = np.mean([one[key] for one in draws], axis=0)
            result[f"{key}_interval"] = interval(mean, confidence)
    return result
