"""
METEOR 1.5 as pycocoevalcap computes it: its jar gives the statistics of each image, and the score is computed here.

Denkowski and Lavie, "Meteor Universal: Language Specific Translation Evaluation for Any Target Language", 2014.
"""

import math

import numpy as np

from .meteor_jar import STATISTICS, MeteorError, MeteorUnavailable
from .meteor_warm import ask, close

__all__ = ["MeteorError", "MeteorUnavailable", "additive_statistics", "close", "meteor_score", "meteor_statistics"]

# English: weights of recall, of the fragmentation (exponent and factor), of content words; of exact, stem, synonym and
# paraphrase matches.
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = (1.0, 0.6, 0.8, 0.6)


def meteor_statistics(lines, sizes):
    """
    The jar's statistics of each prediction against its best reference.

    Captions may be odd: the empty one scores 0 against any, "|||" is taken out, line breaks are spaces; U+00A0 and
    tabs divide words. Everything else reaches the jar as it is, in UTF-8.

    Args:
        lines (`list[str]`): C captions as tokens with spaces between them, image by image, the prediction first.
        sizes (`list[int]`): the number of captions of each of N images, 1 + number of references.

    Returns:
        `np.ndarray` of shape `(N, 23)`: of prediction and reference the length and the number of function words (4);
        for exact, stem, synonym and paraphrase matches the content words of both, then the function words of both
        (16); chunks, matched words of prediction and reference (3).

    Raises:
        [`MeteorUnavailable`]: the package pycocoevalcap or Java is missing.
        [`MeteorError`]: the jar failed; what it said is in the message, and the next call starts it anew.
        `ValueError`: an image without references.
    """
    if min(sizes, default=2) < 2:
        raise ValueError(f"image {sizes.index(min(sizes))} has no references.")
    captions = [line.replace("|||", "").replace("\n", " ").replace("\r", " ") for line in lines]
    return ask(captions, sizes) if len(sizes) else np.zeros((0, STATISTICS))


def additive_statistics(statistics):
    """
    What may be summed over images to get the statistics of a corpus.

    Args:
        statistics (`np.ndarray` of shape `(..., 23)`): of images.

    Returns:
        `np.ndarray` of the same shape: without chunks where the whole caption is one, as the jar has it.
    """
    statistics = np.array(statistics, np.float64)
    statistics[..., 20] *= ~_is_perfect(statistics)
    return statistics


def meteor_score(statistics):
    """
    Args:
        statistics (`np.ndarray` of shape `(..., 23)`): of images, or sums of additive ones.

    Returns:
        `np.ndarray` of shape `(...)`: METEOR, 0 to 1, to the bit what the jar says.
    """
    statistics = np.asarray(statistics, np.float64)
    precision = _weighted_matches(statistics, 0)
    recall = _weighted_matches(statistics, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where((precision > 0) & (recall > 0), 1 / ((1 - ALPHA) / precision + ALPHA / recall), 0.0)
        fragmentation = statistics[..., 20] / ((statistics[..., 21] + statistics[..., 22]) / 2)
    fragmentation = np.where((mean > 0) & ~_is_perfect(statistics), fragmentation, 0.0)
    # numpy's power differs from Java's in the last bit.
    penalty = [GAMMA * math.pow(value, BETA) for value in fragmentation.ravel().tolist()]
    return mean * (1 - np.reshape(penalty, fragmentation.shape))


def _is_perfect(statistics):
    """Whether all words are matched, in one chunk."""
    everything = (statistics[..., 21] == statistics[..., 0]) & (statistics[..., 22] == statistics[..., 1])
    return everything & (statistics[..., 20] == 1)


def _weighted_matches(statistics, side):
    """Precision (`side` 0) or recall (1) `(...)`: matches by their weights, added in the order of the jar."""
    matches = 0.0
    for first, weight in ((4, DELTA), (6, 1 - DELTA)):  # content words, function words
        for module, importance in enumerate(WEIGHTS):
            matches = matches + importance * weight * statistics[..., first + 4 * module + side]
    function_words = statistics[..., 2 + side]
    total = DELTA * (statistics[..., side] - function_words) + (1 - DELTA) * function_words
    return np.divide(matches, total, out=np.zeros_like(total), where=total != 0)
