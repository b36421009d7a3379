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
        words (`list[str]`): the word of each number.
        plain (`bool`): whether every caption is its tokens with one " " between them.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    first: np.ndarray
    words: list[str]
    plain: bool

    @classmethod
    def from_lines(cls, lines, sizes, separator=None):
        """
        Args:
            lines (`list[str]`): the C captions, tokens with spaces between them, image by image, prediction first.
            sizes (`list[int]`): captions of each of the N images, its prediction included.
            separator (`str`, *optional*): what separates tokens; any white space by default.
        """
        numbers, lengths, plain = _Vocabulary(), [], True

        def split():
            # A caption's strings are gone before the next one's are made: several times faster than keeping them all.
            nonlocal plain
            for line in lines:
                words = line.split(separator)
                lengths.append(len(words))
                plain = plain and " ".join(words) == line
                yield words

        tokens = np.fromiter(map(numbers.__getitem__, chain.from_iterable(split())), np.int64)
        sizes = np.asarray(sizes, np.int64)
        first = np.cumsum(sizes) - sizes
        return cls(tokens, np.asarray(lengths, np.int64), first, list(numbers), plain)

    def split_at(self, lines, separator):
        """The same captions with their tokens separated by nothing else than `separator`."""
        return Corpus.from_lines(lines, self.reference_counts + 1, separator)

    @cached_property
    def offsets(self):
        """`(C,)` position of each caption's first token."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def caption_of(self):
        """`(T,)` caption of each token."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.int32), self.lengths)

    @cached_property
    def image_of(self):
        """`(C,)` image of each caption."""
        sizes = np.diff(self.first, append=len(self.lengths))
        return np.repeat(np.arange(len(self.first), dtype=np.int32), sizes)

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
    All n-grams of one order: E entries, one for each distinct n-gram of each caption, sorted by n-gram, then caption;
    R runs of entries of the same n-gram and image; G distinct n-grams.

    Args:
        caption (`np.ndarray` of shape `(E,)`): caption in which the n-gram stands.
        count (`np.ndarray` of shape `(E,)`): how often it stands there.
        run_starts (`np.ndarray` of shape `(R,)`): first entry of each run; it is the prediction's, if that has it.
        run_lengths (`np.ndarray` of shape `(R,)`): entries of each run.
        in_prediction (`np.ndarray` of shape `(R,)`): how often the n-gram stands in the prediction of the image.
        gram_starts (`np.ndarray` of shape `(G,)`): first entry of each n-gram.
        document_frequency (`np.ndarray` of shape `(G,)`): images with the n-gram in at least one reference.
        keys (`np.ndarray` of shape `(G,)`): what an n-gram is, ascending: `number of the n-gram without its last
            word * len(corpus.words) + number of the last word`.
    """

    caption: np.ndarray
    count: np.ndarray
    run_starts: np.ndarray
    run_lengths: np.ndarray
    in_prediction: np.ndarray
    gram_starts: np.ndarray
    document_frequency: np.ndarray
    keys: np.ndarray

    def spread(self, values):
        """Repeats one value per n-gram `(G,)` for each of its entries `(E,)`."""
        return np.repeat(values, np.diff(self.gram_starts, append=len(self.count)))


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


def starts_of(column):
    """Mask `(E,)` that is true where a value differs from the one above it (the first always does)."""
    mask = np.ones(len(column), bool)
    np.not_equal(column[1:], column[:-1], out=mask[1:])
    return mask


def count_ngrams(corpus, max_order=4, matching=False):
    """
    Yields the [`NGrams`] of order 1, 2, ... `max_order`, one after the other so that only one is in memory. Each order
    numbers its n-grams from those of the order before and the next word: integers, exact, no hash.

    Args:
        corpus ([`Corpus`]): predictions and references.
        max_order (`int`, *optional*, defaults to 4): length of the longest n-grams.
        matching (`bool`, *optional*, defaults to `False`): whether to leave out n-grams that cannot stand in both the
            prediction and a reference of an image, because their first words do not.
    """
    tokens, vocabulary = corpus.tokens, len(corpus.words)
    to_the_end = np.repeat(corpus.offsets + corpus.lengths, corpus.lengths) - np.arange(len(tokens))  # (T,)
    numbers = np.zeros(len(tokens), np.int32)  # of the n-gram of the order before that starts at a token
    for order in range(1, max_order + 1):
        position = np.flatnonzero(to_the_end >= order)  # tokens at which an n-gram of this order starts
        keys = numbers[position] * np.int64(vocabulary)
        keys += tokens[position + order - 1]
        ranks, new_gram = sort_stable(keys)
        position = position[ranks]
        numbers[position] = np.cumsum(new_gram, dtype=np.int32) - 1
        grams = _entries(corpus, position, new_gram, keys[ranks[new_gram]])
        if matching:
            entries = np.repeat((grams.in_prediction > 0) & (grams.run_lengths > 1), grams.run_lengths)
            to_the_end[position[~np.repeat(entries, grams.count)]] = 0
        yield grams


def _entries(corpus, position, new_gram, keys):
    """Counts the n-grams that start at `position`, which are sorted; `new_gram` is true where another one begins."""
    caption = corpus.caption_of[position]
    new_image = new_gram | starts_of(corpus.image_of[caption])
    entry_starts = np.flatnonzero(new_gram | starts_of(caption))
    count = np.diff(entry_starts, append=len(position))
    caption = caption[entry_starts]
    run_starts = np.flatnonzero(new_image[entry_starts])
    run_lengths = np.diff(run_starts, append=len(caption))
    # The prediction is the first caption of its image, so it can only be the first entry of a run.
    predicted = corpus.is_prediction[caption[run_starts]]
    in_prediction = np.where(predicted, count[run_starts], 0)
    in_references = ~predicted | (run_lengths > 1)
    gram_runs = np.flatnonzero(new_gram[entry_starts[run_starts]])
    document_frequency = np.add.reduceat(in_references, gram_runs, dtype=np.int64) if len(gram_runs) else gram_runs
    gram_starts = run_starts[gram_runs]
    return NGrams(caption, count, run_starts, run_lengths, in_prediction, gram_starts, document_frequency, keys)
