"""Document frequencies of n-grams: counted in one set of references, saved, used to weigh captions of another."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks import check_references
from .ngrams import Corpus, count_ngrams
from .tokenizer import tokenize_all

_FORMAT = "cider document frequencies, version 1"


@dataclass
class DocumentFrequencies:
    """
    In how many images of a reference corpus each n-gram stands. With them the CIDEr of one pair, or of a stream of
    pairs, has a meaning, and does not depend on what else is scored.

    Args:
        name (`str`): what results call it.
        images (`int`): images of the corpus, at least two.
        words (`list[str]`): its V words; their places are their numbers.
        keys (`list[np.ndarray]`): for each order the n-grams, ascending: `number of the n-gram without its last word,
            in the order before * V + number of the last word`.
        counts (`list[np.ndarray]`): for each order how many images have the n-gram in a reference.
    """

    name: str
    images: int
    words: list[str]
    keys: list[np.ndarray]
    counts: list[np.ndarray]

    @classmethod
    def from_references(cls, references, name=None, tokenize=True):
        """
        Counts the n-grams of a reference corpus.

        Args:
            references (`list[list[str]]`): the reference captions of each image, of at least two images.
            name (`str`, *optional*): what results call it; `"saved, <N> images"` by default.
            tokenize (`bool`, *optional*, defaults to `True`): `False` takes captions as tokens separated by spaces.

        Raises:
            `ValueError`, `TypeError`: as [`check_references`] says; fewer than two images.
        """
        check_references(references)
        if len(references) < 2:
            raise ValueError("document frequencies of one image weigh every n-gram log 1 = 0; give at least two.")
        lines = [caption for refs in references for caption in ("", *refs)]
        sizes = [1 + len(refs) for refs in references]
        corpus = Corpus.from_lines(tokenize_all(lines) if tokenize else lines, sizes)
        keys, counts = [], []
        for grams in count_ngrams(corpus):
            keys.append(grams.keys)
            counts.append(grams.document_frequency)
        return cls(name or f"saved, {len(references)} images", len(references), corpus.words, keys, counts)

    def save(self, path):
        """Writes one compressed numpy file (`.npz` by custom); nothing in it is pickled."""
        arrays = {f"keys_{n}": keys for n, keys in enumerate(self.keys, 1)}
        arrays |= {f"counts_{n}": counts.astype(np.int32) for n, counts in enumerate(self.counts, 1)}
        words = np.frombuffer("\n".join(self.words).encode(), np.uint8)
        with open(path, "wb") as file:
            np.savez_compressed(
                file, format=_FORMAT, name=self.name, images=self.images, words=words, **arrays, allow_pickle=False
            )

    @classmethod
    def load(cls, path):
        """
        Reads what [`save`] wrote.

        Raises:
            `FileNotFoundError`: there is no such file.
            `ValueError`: the file is something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                if file["format"] != _FORMAT:
                    raise KeyError
                words = bytes(file["words"]).decode().split("\n")
                keys = [file[f"keys_{n}"] for n in range(1, 5)]
                counts = [file[f"counts_{n}"] for n in range(1, 5)]
                return cls(str(file["name"]), int(file["images"]), words, keys, counts)
        except (KeyError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
            raise ValueError(
                f"{Path(path)} holds no document frequencies; write it with "
                "DocumentFrequencies.from_references(references).save(path)."
            ) from None

    def lookup(self, corpus):
        """
        A function that has to be called with the [`NGrams`] of `corpus` in the order 1, 2, ...; it returns how many
        images `(G,)` of *this* corpus have each of them, 0 for n-grams that it does not know.
        """
        places = {word: place for place, word in enumerate(self.words)}
        known = np.fromiter((places.get(word, -1) for word in corpus.words), np.int64, len(corpus.words))
        orders = zip(self.keys, self.counts, strict=True)
        before = np.zeros(1, np.int64)  # place of each n-gram of the order before, -1 if unknown

        def frequencies(grams):
            nonlocal before
            keys, counts = next(orders)
            beginning, word = np.divmod(grams.keys, max(len(corpus.words), 1))
            beginning, word = before[beginning], known[word]
            wanted = np.where((beginning < 0) | (word < 0), -1, beginning * len(self.words) + word)
            before = np.searchsorted(keys, wanted)
            before[before == len(keys)] = 0
            found = keys[before] == wanted if len(keys) else np.zeros(len(wanted), bool)
            frequency = np.zeros(len(wanted), np.int64)
            frequency[found] = counts[before[found]]
            before[~found] = -1
            return frequency

        return frequencies
