r"""
Tokens as image captioning counts them: what PTBTokenizer does in pycocoevalcap (`-preserveLines -lowerCase`, then its
list of punctuation removed), in pure Python. The rules were found by comparing what goes in with what comes out.

Two deviations, on purpose: every kind of line break and form feed is a space (there, `\r`, `\x0b`, `\x0c`, U+2028 and
U+2029 shift all later captions to other images), and every caption stands alone, as if a line break followed (there,
the last caption of a file, and one that ends in "art.", are read differently depending on what comes after).
"""

import re

from .ptb_rules import ACROSS_SPACES, DIGIT_RULES, ENTITIES, LETTER_RULES, OTHER_RULES
from .ptb_words import SPECIAL_WORDS

_ENTITY = re.compile("|".join(ENTITIES))
# Not punctuation to the field, because its list has them in upper case and the captions are in lower case.
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
# What most chunks are; no rule but the simplest has to be tried on them.
_PLAIN = re.compile(r"\"?(?P<word>[A-Za-z]{2,})('s)?[.,;:!?]?\"?")
_MEMORY = 1 << 20  # chunks to remember before starting anew


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
    if len(_CHUNKS) > _MEMORY:
        _CHUNKS.clear()
    lookup = _CHUNKS.__getitem__
    lines = []
    for caption in captions:
        if ACROSS_SPACES.search(caption):
            lines.append(_tokens(caption))
        else:
            lines.append(" ".join(filter(None, map(lookup, caption.split()))))
    return lines


class _Chunks(dict):
    """Tokens of what stands between two spaces. Captions repeat their words, so this is where the speed is."""

    def __missing__(self, chunk):
        plain = _PLAIN.fullmatch(chunk)
        if plain and plain["word"].lower() not in SPECIAL_WORDS:
            tokens = " ".join(filter(None, plain.groups())).lower()
        else:
            tokens = _tokens(chunk)
        self[chunk] = tokens
        return tokens


_CHUNKS = _Chunks()


def _tokens(text):
    """Tokens of a text, joined by spaces: at each place the rule that sees the longest match wins, then the first."""
    text = text.replace("\xad", "")  # soft hyphen
    if "&" in text:
        text = _ENTITY.sub(lambda match: ENTITIES[match[0]], text)
    tokens = []
    position, end = 0, len(text)
    while position < end:
        longest, best, rewrite = position, None, None
        first = text[position]
        rules = LETTER_RULES if first.isalpha() else DIGIT_RULES if first.isdecimal() else OTHER_RULES
        for pattern, how, reach in rules:
            match = pattern.match(text, position)
            # What must follow counts for the length, though it is not part of the token.
            if match and match.end(reach) > longest:
                longest, best, rewrite = match.end(reach), match, how
        if best is None:
            if first in _BRACKETS:
                tokens.append(_BRACKETS[first])
            position += 1
            continue
        token = best["token"]
        position += len(token)
        if rewrite:
            token = rewrite(token)
        if token:
            tokens.append(token.lower())
    return " ".join(tokens)
