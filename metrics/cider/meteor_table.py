"""
The rows of METEOR's paraphrase table that some captions can use: a few of its 5,274,084 rows, which load at once.

A row is a score and two phrases, and is used only where both occur in the captions. `-norm` makes that less plain
than it sounds: it splits "book-style" in two and makes "us" of "u.s.", and more. But whatever it does to a caption, it
leaves the sequence of letters and digits as it is, never splits a run of them, and never joins two that a space
divides. So captions and phrases are compared by their letters and digits alone: a row is kept where both of its
phrases, without anything else in them, are runs of some caption put together. Too many rows is what this can give, and
what the table of hashes below can give, but never too few.
"""

import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .meteor_words import PLAIN

# Of the table of METEOR 1.5: no phrase has more words, nor more characters.
MOST_WORDS = 7
LONGEST = 71

_OTHERS = bytes(set(range(256)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))
_OTHERS_IN_TABLE = bytes(set(_OTHERS) - set(b"\n"))
_IS_RUN = np.isin(np.arange(256), np.frombuffer(_OTHERS, np.uint8), invert=True)
_PAD = bytes(8)
_LOW_BYTES = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
_ODD = [np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)]
_SLOTS = 24  # bits: 16 MiB of memory
_CAPTIONS_AT_ONCE = 20_000
_BYTES_AT_ONCE = 1 << 18  # of the compressed table, about 1 MB unpacked


class Phrases:
    """What phrases captions have, as a Bloom filter: may say yes where the answer is no, but never no for yes."""

    def __init__(self):
        self._slots = np.zeros(1 << _SLOTS, bool)

    def add(self, captions):
        """Adds all phrases of the captions (`list[str]`)."""
        for slots in _caption_slots(captions):
            for part in slots:
                self._slots[part] = True

    def covers(self, captions):
        """Whether [`filter_table`] gives the rows that these captions can use."""
        return all(self.has(slots).all() for slots in _caption_slots(captions))

    def has(self, slots):
        first, second = slots
        return self._slots[first] & self._slots[second]

    def is_crowded(self):
        """Whether so many phrases are in it that it says yes to everything, sooner or later."""
        return self._slots.mean() > 0.5


def filter_table(path, phrases):
    """
    Args:
        path (`str`): the paraphrase table, compressed: rows of three lines, score and two phrases.
        phrases ([`Phrases`]): what the captions have.

    Returns:
        `bytes`: the rows both of whose phrases are among these, in their order, compressed.
    """
    pack = zlib.compressobj(level=1, wbits=31)
    packed = []
    rest = b""
    for text in _unpack(path):
        text = rest + text
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 10)[2::3] + 1  # (R,) of the whole rows in it
        if not len(ends):
            rest = text
            continue
        text, rest = text[: ends[-1]], text[ends[-1] :]
        runs = text.translate(None, _OTHERS_IN_TABLE)
        # (R, 3): ends of the three lines of each row, which are where the next ones start, less the line break.
        lines = np.flatnonzero(np.frombuffer(runs, np.uint8) == 10).reshape(-1, 3)
        words = _words(runs)
        kept = np.arange(len(lines))
        for line in (0, 1):
            start, end = lines[kept, line] + 1, lines[kept, line + 1]
            kept = kept[phrases.has(_slots(words, start, end)) | (start == end)]
        starts = np.where(kept, ends[kept - 1], 0)
        for start, end in zip(starts.tolist(), ends[kept].tolist(), strict=True):
            packed.append(pack.compress(text[start:end]))
    packed.append(pack.flush())
    return b"".join(packed)


def _unpack(path):
    """The text of a compressed file in pieces. A second thread is one piece ahead, for zlib leaves the lock to us."""
    unpack = zlib.decompressobj(wbits=31)
    with open(path, "rb") as file, ThreadPoolExecutor(1) as ahead:

        def piece():
            packed = file.read(_BYTES_AT_ONCE)
            return unpack.decompress(packed) if packed else None

        coming = ahead.submit(piece)
        while (text := coming.result()) is not None:
            coming = ahead.submit(piece)
            yield text
    if not unpack.eof:
        raise ValueError(f"{path} ends too early; install pycocoevalcap again.")


def _caption_slots(captions):
    """The slots of all phrases of the captions, a pair of arrays at a time."""
    captions = list(dict.fromkeys(captions))
    plain = [bool(PLAIN.fullmatch(caption)) for caption in captions]
    for is_plain, most in ((True, MOST_WORDS), (False, LONGEST)):
        chosen = [caption for caption, same in zip(captions, plain, strict=True) if same == is_plain]
        for start in range(0, len(chosen), _CAPTIONS_AT_ONCE):
            yield from _phrase_slots("\n".join(chosen[start : start + _CAPTIONS_AT_ONCE]).lower().encode(), most)


def _phrase_slots(text, most):
    """The slots of what 1, 2, ... `most` runs of letters and digits that follow each other in a line make."""
    letters = np.frombuffer(text, np.uint8)
    is_run = np.concatenate([[False], _IS_RUN[letters], [False]])
    starts, ends = np.flatnonzero(is_run[1:] != is_run[:-1]).reshape(-1, 2).T  # (T,) each, in the text
    line = np.searchsorted(np.flatnonzero(letters == 10), starts)  # (T,)
    lengths = ends - starts
    ends = np.cumsum(lengths)  # (T,) among the letters and digits alone
    starts = ends - lengths
    words = _words(text.translate(None, _OTHERS))
    first = np.arange(len(starts))
    for count in range(min(most, len(starts))):
        first = first[: np.searchsorted(first, len(starts) - count)]
        first = first[(line[first] == line[first + count]) & (ends[first + count] - starts[first] <= LONGEST)]
        yield _slots(words, starts[first], ends[first + count])


def _words(text):
    """At every place of the text the 64 bits that begin 8 bytes before it: `(len(text) + 9,)`, without a copy."""
    padded = _PAD + text + _PAD
    return np.ndarray(len(padded) - 7, "<u8", padded, strides=1)


def _slots(words, start, end):
    """Two slots for each piece of text `(P,)`, by its length, its first, its middle and its last 8 bytes."""
    length = end - start
    inside = np.minimum(length, 8)
    mask = _LOW_BYTES[inside]
    middle = start + np.maximum(length // 2 - 4, 0)
    value = (words[start + 8] & mask) * _ODD[0]
    value ^= (words[middle + 8] & mask) * _ODD[1]
    value ^= (words[end + 8 - inside] & mask) * _ODD[2]
    value += length.astype(np.uint64) * _ODD[3]
    value ^= value >> np.uint64(32)
    value *= _ODD[0]
    last = np.uint64((1 << _SLOTS) - 1)
    return value >> np.uint64(64 - _SLOTS), (value >> np.uint64(12)) & last
