"""
What a text must be to become a caption. Every rule is a line of [`RULES`]; the first that a text breaks names why it
was not taken. `RULE_SETS` says which rules are judged by.

The strict rules are for English. They take what a careful reader accepts without looking at the images, and rather
lose a good paraphrase than take a bad one: `words.toml` holds the words that they know.
"""

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import lru_cache
from os.path import commonprefix
from pathlib import Path
from typing import NamedTuple

from ...benchmarks import references
from ...common.caption_text import BOILERPLATE, QUOTES, is_quoted

MOST_WORDS = 60  # of any caption
SHARED = 0.6  # of the content words of the instruction

# Over what `references.REFUSAL` and `BOILERPLATE` know, which were made for captions.
REFUSAL = re.compile(
    r"\bsorry\b|\bapologi[sz]e\b|\bI (?:cannot|can['’]?t|can not|won['’]?t|will not|would suggest|suggest|am unable)\b"
    r"|\b(?:as|just) an? (?:[\w,-]+ ){0,4}AI\b|\blanguage model\b|\b(?:un)?ethical(?:ly)?\b|\binappropriate\b"
    r"|\bagainst my\b|\bnot comfortable\b|\brespectful\b",
    re.IGNORECASE,
)
ABOUT_REQUEST = re.compile(
    r"\b(?:instructions?|sentences?|paraphras\w+|rephras\w+|reword\w*|rewrit\w+|synonyms?|wordings?|numbered list"
    r"|different ways)\b",
    re.IGNORECASE,
)
ABOUT_TEXT = re.compile(r"\b(?:this|the|following|given|provided) (?:text|words?)\b", re.IGNORECASE)
SENTENCES = re.compile(r"(?<=\w{2})[.!?]+[\"'”’)]*\s+(?=\S)|\s[–—-]\s|;\s|:\s")
UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
CHARACTERS = re.compile(r"[^ -~\u2010-\u2026]")  # neither ASCII nor typographic marks
QUOTED = re.compile(r"(?<!\w)[\"'‘“](.+?)[.,]?[\"'’”](?!\w)")
WORD = re.compile(r"\w+(?:['’]\w+)*")


class Text(NamedTuple):
    """A mended text beside what it is judged by."""

    text: str
    instruction: str
    others: Sequence[str]
    complete: bool

    def news(self, pattern: re.Pattern) -> bool:
        """Whether a pattern finds something that the instruction does not say itself."""
        known = self.instruction.lower()
        return any(found[0].lower() not in known for found in pattern.finditer(self.text))


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """`dogs`, `dog's` and `dog` are the same, so are `removing`, `removed` and `remove`; no more than that."""
    word = re.sub(r"['’]s?$", "", word.lower())
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif re.search(r"(?:s|x|z|ch|sh)es$", word):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    ending = re.fullmatch(r"(.*[aeiouy].*?)(?:ing|ed)", word)
    if ending and len(ending[1]) > 2:
        word = re.sub(r"([^aeiouls])\1$", r"\1", ending[1])
    return word.removesuffix("e") if len(word) > 3 else word


def same_words(text: str) -> tuple[str, ...]:
    """A text without case, punctuation, articles and the forms of words: what near-duplicates have in common."""
    return tuple(stem(word) for word in WORD.findall(text.lower()) if word not in ("a", "an", "the"))


def is_boilerplate(it: Text) -> bool:
    return bool(
        BOILERPLATE.search(it.text)
        or references.PREAMBLE.match(it.text)
        or references.HEADING.fullmatch(it.text)
        or it.text.endswith(":")
    )


def is_cut_off(it: Text) -> bool:
    open_mark = it.text.endswith((",", ";", ":", "–", "—", "-", "(")) or it.text.count("(") > it.text.count(")")
    return not it.complete or open_mark or is_quoted(it.text)


def has_several_sentences(it: Text) -> bool:
    more = len(SENTENCES.findall(it.text)) > len(SENTENCES.findall(it.instruction))
    return more or "(" in set(it.text) - set(it.instruction)


LISTS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
MEANINGS = {
    kind: {stem(word): group.split()[0] for group in groups for word in group.split()}
    for kind, groups in LISTS["meanings"].items()
}
EXCHANGE = frozenset(map(stem, LISTS["exchange"].split()))
FREE = frozenset(map(stem, f"{LISTS['free']} {LISTS['exchange']}".split())).union(*MEANINGS.values())


@lru_cache(maxsize=4096)
def stems(text: str) -> tuple[str, ...]:
    """The stems of a text; `isn't` is two."""
    return tuple(map(stem, re.findall(r"\w+", re.sub(r"n['’]t\b", " not", text))))


def means(kind: str, text: str) -> set[str]:
    """The numbers, colors, places, ... that a text names, each by one word."""
    digits = {word for word in stems(text) if word.isdigit()} if kind == "number" else set()
    return digits | {MEANINGS[kind][word] for word in stems(text) if word in MEANINGS[kind]}


def missing(words: Sequence[str], there: Sequence[str]) -> list[str]:
    """Content words that are not said there in any form, such as `snow` for `snowy`."""

    def same(one: str, other: str) -> bool:
        return one == other or len(commonprefix([one, other])) >= max(4, 0.6 * len(one), 0.6 * len(other))

    return [word for word in words if word not in FREE and not any(same(word, other) for other in there)]


def leaves_things_out(it: Text) -> bool:
    wanted = [word for word in stems(it.instruction) if word not in FREE]
    return len(missing(wanted, stems(it.text))) > (1 - SHARED) * len(wanted)


def exchanges(it: Text) -> bool:
    """Whether the old and the new changed places: of `replace the cat with a dog`, the cat comes first."""
    wanted, given = stems(it.instruction), stems(it.text)
    both = (set(wanted) & set(given)) - FREE
    first = [next((word for word in words if word in both), None) for words in (wanted, given)]
    return first[0] != first[1] and bool(EXCHANGE & set(wanted)) and bool(EXCHANGE & set(given))


# What is broken, and how it is found.
Rules = dict[str, Callable[[Text], object]]
FORMAT: Rules = {
    "empty": lambda it: not any(map(str.isalnum, it.text)),
    "unreadable": lambda it: UNREADABLE.search(it.text),
    "refusal": lambda it: references.REFUSAL.search(it.text) or it.news(REFUSAL),
    "boilerplate": is_boilerplate,
    "asks for a text": lambda it: references.TEXT_WANTED.search(it.text),
    "about the request": lambda it: it.news(ABOUT_REQUEST),
    "cut off": is_cut_off,
    "a single word": lambda it: it.text.isascii() and len(it.text.split()) == 1 < len(it.instruction.split()),
    "a long text": lambda it: len(WORD.findall(it.text)) > MOST_WORDS,
    "same": lambda it: same_words(it.text) == same_words(it.instruction),
    "repeated": lambda it: same_words(it.text) in map(same_words, it.others),
}
STRICT: Rules = {
    "about a text": lambda it: it.news(ABOUT_TEXT),
    "characters": lambda it: it.news(CHARACTERS),
    "several sentences": has_several_sentences,
    "quoted text": lambda it: not all(literal in it.text for literal in QUOTED.findall(it.instruction)),
    **{kind: lambda it, kind=kind: means(kind, it.text) != means(kind, it.instruction) for kind in MEANINGS},
    "exchanged": exchanges,
    "things left out": leaves_things_out,
    "things of its own": lambda it: missing(stems(it.text), stems(it.instruction)),
}
RULE_SETS: dict[str, Rules] = {"none": {}, "format": FORMAT, "strict": FORMAT | STRICT}
RULES = RULE_SETS["strict"]


def mend(text: str) -> str:
    """Takes off what does not belong to a paraphrase: spaces, marks of a template or of Markdown, quotes around it."""
    text = text.strip().lstrip("#").strip().strip("*_`").strip()
    for name, rule in references.MENDED.items():
        if name != "unclosed quote removed":  # its text was cut off
            text = rule(text)
    for opening, closing in QUOTES.items():
        inside = text.rstrip(".,;")
        if text.startswith(opening) and inside.endswith(closing) and is_quoted(text) and inside != opening:
            return text[len(opening) : len(inside) - len(closing)].strip() + text[len(inside) :].strip(",;")
    return text


def judge(
    text: str, instruction: str, others: Sequence[str] = (), complete: bool = True, rules: str = "format"
) -> tuple[str, str | None]:
    """
    Mends a text that shall be a caption, and judges it; "none" takes it as it is.

    Args:
        text, instruction (`str`): one line each; what a paraphrase shall say is empty if there is nothing.
        others (`Sequence[str]`, *optional*): texts that were taken already.
        complete (`bool`, *optional*, defaults to `True`): `False` for the last line of an answer that was cut off.
        rules (`str`, *optional*, defaults to `"format"`): of [`RULE_SETS`].

    Returns:
        `tuple[str, str | None]`: the mended text, and the first rule that it breaks, if it does.
    """
    if not RULE_SETS[rules]:
        return text.strip(), None if text.strip() else "empty"
    it = Text(mend(text), references.tidy_spaces(instruction), others, complete)
    return it.text, next((name for name, broken in RULE_SETS[rules].items() if broken(it)), None)
