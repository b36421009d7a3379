"""Scores of images in a form that adds up, so that any set of images, also one drawn with repetition, has a score."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .meteor import additive_statistics, meteor_score, meteor_statistics
from .ngrams import Corpus
from .scorers import bleu_of, cider_and_bleu, rouge_l

SCORERS = ("cider", "bleu", "rouge_l", "meteor")


@dataclass
class Tally:
    """
    What one scorer found in N images.

    Args:
        keys (`tuple[str]`): names of the M scores.
        samples (`np.ndarray` of shape `(N, M)`): scores of each image.
        addends (`np.ndarray` of shape `(N, K)`): numbers of each image that may be added up over images.
        finish (`Callable`): sums of addends `(..., K)` to scores of the corpus `(..., M)`.
    """

    keys: tuple[str, ...]
    samples: np.ndarray
    addends: np.ndarray
    finish: Callable

    def corpus(self):
        """Scores `(M,)` of all images together."""
        return self.finish(self.addends.sum(axis=0))

    def select(self, images):
        """The tally of the images that the mask or index array selects."""
        return Tally(self.keys, self.samples[images], self.addends[images], self.finish)


def tally(lines, sizes, scorers, saved=None):
    """
    Args:
        lines (`list[str]`): captions as tokens with spaces between them, image by image, the prediction first.
        sizes (`list[int]`): captions of each image, its prediction included.
        scorers (`tuple[str]`): some of `SCORERS`.
        saved ([`DocumentFrequencies`], *optional*): those of another corpus, for CIDEr.

    Returns:
        `list[Tally]`: one for each scorer, in their order.
    """
    found = {}
    if set(scorers) & {"cider", "bleu", "rouge_l"}:
        corpus = Corpus.from_lines(lines, sizes)
        if set(scorers) & {"cider", "bleu"}:
            cider, bleu = cider_and_bleu(corpus, "cider" in scorers, "bleu" in scorers, saved)
            if cider is not None:
                found["cider"] = _of_means("cider", cider)
            if bleu is not None:
                keys = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
                found["bleu"] = Tally(keys, bleu_of(bleu), bleu, bleu_of)
        if "rouge_l" in scorers:
            # The reference splits at any white space for CIDEr and BLEU, but only at " " for ROUGE-L: "1\xa01/2" is
            # two tokens there and one here.
            found["rouge_l"] = _of_means("rouge_l", rouge_l(corpus if corpus.plain else corpus.split_at(lines, " ")))
    if "meteor" in scorers:
        statistics = meteor_statistics(lines, sizes)
        samples = meteor_score(statistics)[:, None]
        found["meteor"] = Tally(("meteor",), samples, additive_statistics(statistics), _meteor)
    return [found[name] for name in scorers]


def _of_means(key, samples):
    return Tally((key,), samples[:, None], np.column_stack([samples, np.ones(len(samples))]), _mean)


def _mean(sums):
    return sums[..., :1] / sums[..., 1:]


def _meteor(sums):
    return meteor_score(sums)[..., None]


def resample(tallies, resamples, seed):
    """
    Scores of `resamples` bootstrap samples of the images: as many images, drawn with repetition. All scorers see the
    same draws, and so does another system's tally of the same images under the same seed.

    Returns:
        `dict[str, np.ndarray]`: `(resamples,)` scores by key; not a number if there is one image only, whose draws
        would all be equal.
    """
    addends = np.concatenate([one.addends for one in tallies], axis=1)  # (N, K)
    images = len(addends)
    generator = np.random.default_rng(seed)
    sums = np.empty((resamples, addends.shape[1]))
    for row in range(resamples):
        # How often each image is drawn, and one matrix product instead of gathering rows.
        sums[row] = np.bincount(generator.integers(images, size=images), minlength=images).astype(float) @ addends
    draws, start = {}, 0
    for one in tallies:
        end = start + one.addends.shape[1]
        scores = one.finish(sums[:, start:end]) if images > 1 else np.full((resamples, len(one.keys)), np.nan)
        draws.update(zip(one.keys, scores.T, strict=True))
        start = end
    return draws


def interval(draws, confidence):
    """Percentile interval `[low, high]` of bootstrap draws; `None` if they are not numbers."""
    tail = (1 - confidence) / 2
    return None if np.isnan(draws[0]) else np.quantile(draws, [tail, 1 - tail]).tolist()
