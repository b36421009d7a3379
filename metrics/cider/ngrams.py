"""Captions as flat integer arrays, and their n-grams, counted once for CIDEr and BLEU together."""

from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np


class _Vocabulary(dict):
    """Numbers words in the order in which they are first seen."""

    def __missing__(self, word):
        self[word] = number = len(self)
        return number


@dataclass
class Corpus:
    """
    Predictions and references of N images. Captions lie image by image, the prediction first:
    `p_0 r_00 r_01 ... p_1 r_10 ...`; C captions and T tokens in all.

    Args:
        tokens (`np.ndarray` of shape `(T,)`, int64): word numbers, caption after caption.
        lengths (`np.ndarray` of shape `(C,)`): tokens per caption.
        first (`np.ndarray` of shape `(N,)`): number of each image's first caption, which is its prediction.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    first: np.ndarray

    @classmethod
    def from_tokens(cls, captions, sizes):
        """
        Args:
            captions (`list[list[str]]`): tokens of the C captions, image by image, each prediction first.
            sizes (`list[int]`): captions, at least two, of each of the N images.
        """
        lengths = np.fromiter(map(len, captions), np.int64, len(captions))
        words = chain.from_iterable(captions)
        tokens = np.fromiter(map(_Vocabulary().__getitem__, words), np.int64, int(lengths.sum()))
        sizes = np.asarray(sizes, np.int64)
        return cls(tokens, lengths, np.cumsum(sizes) - sizes)

    @cached_property
    def offsets(self):
        """`(C,)` position of each caption's first token."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def caption_of(self):
        """`(T,)` caption of each token."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def image_of(self):
        """`(C,)` image of each caption."""
        sizes = np.diff(self.first, append=len(self.lengths))
        return np.repeat(np.arange(len(self.first)), sizes)

    @cached_property
    def is_prediction(self):
        """`(C,)` bool."""
        mask = np.zeros(len(self.lengths), bool)
        mask[self.first] = True
        return mask

    @cached_property
    def reference_counts(self):
        """`(N,)` references per image."""
        return np.diff(self.first, append=len(self.lengths)) - 1


@dataclass
class NGrams:
    """
    All n-grams of one order: E entries, one for each distinct n-gram of each caption, sorted by n-gram, then caption.

    Args:
        caption (`np.ndarray` of shape `(E,)`): caption in which the n-gram stands.
        count (`np.ndarray` of shape `(E,)`): how often it stands there.
        gram (`np.ndarray` of shape `(E,)`): number of the n-gram, `0 ... G - 1`.
        prediction_count (`np.ndarray` of shape `(E,)`): how often it stands in the prediction of the same image.
        document_frequency (`np.ndarray` of shape `(G,)`): images with the n-gram in at least one reference.
        image_starts (`np.ndarray`): entry at which each (n-gram, image) run starts.
    """

    caption: np.ndarray
    count: np.ndarray
    gram: np.ndarray
    prediction_count: np.ndarray
    document_frequency: np.ndarray
    image_starts: np.ndarray


def sort_stable(keys):
    """
    Stable sort of non-negative integers. Key and position share one 64-bit word where both fit, because a plain sort
    is several times faster than an argsort.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: the order `(T,)`, and a mask `(T,)` that is true where a new key begins.
    """
    size = len(keys)
    shift = max(size - 1, 1).bit_length()
    if size and int(keys.max()).bit_length() + shift <= 63:
        packed = (keys << shift) | np.arange(size)
        packed.sort()
        order = packed & ((1 << shift) - 1)
        packed >>= shift
    else:
        order = np.argsort(keys, kind="stable")
        packed = keys[order]
    return order, starts_of(packed)


def starts_of(*columns):
    """Mask `(E,)` that is true where a row differs from the one above it (the first always does)."""
    mask = np.ones(len(columns[0]), bool)
    if len(mask):
        mask[1:] = False
    for column in columns:
        mask[1:] |= column[1:] != column[:-1]
    return mask


def count_ngrams(corpus, max_order=4):
    """
    Yields the [`NGrams`] of order 1, 2, ... `max_order`, one after the other so that only one is in memory. Each order
    numbers its n-grams from those of the order before and the next word: integers, exact, no hash.
    """
    size = len(corpus.tokens)
    vocabulary = int(corpus.tokens.max(initial=0)) + 1
    position = np.arange(size)  # tokens at which an n-gram of this order starts
    keys = corpus.tokens
    numbers = np.empty(size, np.int64)
    for order in range(1, max_order + 1):
        if order > 1:
            inside = position + order - 1 < size
            position = position[inside]
            position = position[corpus.caption_of[position] == corpus.caption_of[position + order - 1]]
            keys = numbers[position] * vocabulary + corpus.tokens[position + order - 1]
        ranks, new_gram = sort_stable(keys)
        sorted_position = position[ranks]
        gram = np.cumsum(new_gram) - 1
        numbers[sorted_position] = gram
        yield _entries(corpus, gram, corpus.caption_of[sorted_position])


def _entries(corpus, gram, caption):
    """Counts runs of equal (n-gram, caption) rows, which come sorted."""
    starts = np.flatnonzero(starts_of(gram, caption))
    count = np.diff(starts, append=len(gram))
    grams = int(gram[-1]) + 1 if len(gram) else 0
    gram, caption = gram[starts], caption[starts]
    image = corpus.image_of[caption]
    image_starts = np.flatnonzero(starts_of(gram, image))
    run_lengths = np.diff(image_starts, append=len(gram))
    # The prediction is the first caption of its image, so it can only be the first entry of a run.
    predicted = corpus.is_prediction[caption[image_starts]]
    in_references = ~predicted | (run_lengths > 1)
    document_frequency = np.bincount(gram[image_starts[in_references]], minlength=grams)
    prediction_count = np.repeat(np.where(predicted, count[image_starts], 0), run_lengths)
    return NGrams(caption, count, gram, prediction_count, document_frequency, image_starts)
