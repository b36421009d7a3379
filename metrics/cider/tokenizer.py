r"""
Tokens as image captioning counts them: what PTBTokenizer does in pycocoevalcap (`-preserveLines -lowerCase`, then its
list of punctuation removed), in pure Python. The rules were found by comparing what goes in with what comes out.

Two deviations, on purpose: every kind of line break and form feed is a space (there, `\r`, `\x0b`, `\x0c`, U+2028 and
U+2029 shift all later captions to other images), and every caption stands alone, as if a line break followed (there,
the last caption of a file, and one that ends in "art.", are read differently depending on what comes after).
"""

import re

from .ptb_rules import ACROSS_SPACES, DIGIT_RULES, LETTER_RULES, OPEN, OTHER_RULES
from .ptb_words import KINDS, SPECIAL_WORDS

_BREAK = re.compile("[\n\r\x0b\x0c\x85\u2028\u2029]")
# Not punctuation to the field, because its list has them in upper case and the captions are in lower case.
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
# What most chunks are; no rule but the simplest has to be tried on them.
_PLAIN = re.compile(r"\"?([A-Za-z]{2,})('s)?[.,;:!?]?\"?")
_MEMORY = 1 << 18  # chunks to remember before starting anew
_OPEN = "\r"  # behind a chunk that may be read together with the next one; no token has it


def tokenize(caption):
    """
    Args:
        caption (`str`): one caption.

    Returns:
        `list[str]`: lower-case tokens without punctuation. A fraction such as "1 1/2" is one token with a no-break
        space inside, as in the reference.
    """
    joined = tokenize_all([caption])[0]
    return joined.split(" ") if joined else []


def tokenize_all(captions):
    """
    Args:
        captions (`list[str]`): captions.

    Returns:
        `list[str]`: for each caption its tokens, with single spaces between them.
    """
    lookup = _CHUNKS.__getitem__
    lines = []
    for caption in captions:
        line = "".join(map(lookup, caption.split(" ")))
        if _OPEN in line:
            line = _tokens(caption) + " " if ACROSS_SPACES.search(caption) else line.replace(_OPEN, "")
        lines.append(line[:-1])
    return lines


class _Chunks(dict):
    """Tokens of what stands between two spaces, each with a space behind it. This is where the speed is."""

    def __missing__(self, chunk):
        plain = _PLAIN.fullmatch(chunk)
        if plain and plain[1].lower() not in SPECIAL_WORDS:
            tokens = chunk.strip('".,;:!?').lower()
            tokens = f"{tokens[:-2]} 's " if plain[2] else f"{tokens} "
        else:
            tokens = _tokens(chunk)
            is_open = OPEN.search(chunk) or OPEN.search(tokens)
            tokens = (tokens and f"{tokens} ") + (_OPEN if is_open else "")
        if len(self) >= _MEMORY:
            self.clear()
        self[chunk] = tokens
        return tokens


_CHUNKS = _Chunks()


def _tokens(text):
    """Tokens of a text, joined by spaces: at each place the rule that sees the longest match wins, then the first."""
    text = _BREAK.sub(" ", text)
    end = len(text)
    text += "\n\n"  # some rules look ahead
    shadow = text if text.isascii() else text.translate(KINDS)
    tokens = []
    position = 0
    while position < end:
        longest, best, rewrite = position, None, None
        first = shadow[position]
        rules = LETTER_RULES if first.isalpha() else DIGIT_RULES if first.isdecimal() else OTHER_RULES
        for pattern, how, reach in rules:
            match = pattern.match(shadow, position)
            # What must follow counts for the length, though it is not part of the token.
            if match and match.end(reach) > longest:
                longest, best, rewrite = match.end(reach), match, how
        if best is None:
            if first in _BRACKETS:
                tokens.append(_BRACKETS[first])
            position += 1
            continue
        token = text[position : best.end("token")].replace("\xad", "")  # soft hyphen
        position = best.end("token")
        if rewrite:
            token = rewrite(token)
        if token:
            tokens.append(token.lower())
    return " ".join(tokens)
