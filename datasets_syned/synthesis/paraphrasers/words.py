"""What the words of an editing instruction in English say: numbers, colours, quoted texts, things, the way it goes."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

LISTS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
ADD, REMOVE, CHANGE, MAKE_NEW, OPENING, GENERAL, STOP, TWO, AMBIGUOUS = (
    frozenset(LISTS[name].split())
    for name in ("add", "remove", "change", "make_new", "opening", "general", "stop", "two", "ambiguous")
)
NUMBERS, COLOURS, IRREGULAR, SAME = (
    dict(pair.split("=") for pair in LISTS[name].split()) for name in ("numbers", "colours", "irregular", "same")
)
OPPOSITES = [[frozenset(side.split()) for side in pair.split("/")] for pair in LISTS["opposites"]]
RELATIONS = [frozenset(words.split()) for words in LISTS["relations"]]
REMOVE_PHRASE = re.compile(
    r"\b(?:get|take|takes|taken|taking|pull|clear|cut|crop|strip|wipe|edit|leave|lift|pluck|peel|throw|clean|blot)\b"
    r"(?:\W+\w+){0,6}?\W+(?:away|off|out|down|from)\b|^\W*(?:clear|lose|drop)\b"
    r"|\b(?:get|gets|getting|got) rid\b|\bno longer\b|\bno more\b|\bdo away with\b|\bfree of\b|\bdevoid of\b",
    re.IGNORECASE,
)
NEGATED = re.compile(r"\b(?:not|never|avoid|refrain|\w+n['’]t)\b", re.IGNORECASE)
CHANGE = frozenset(
    "change replace swap turn convert transform make switch substitute exchange alter modify adjust edit update "
    "shift adapt set morph recreate render have let want get take show display depict portray represent recolor "
    "color colour paint redo revise transition transfer redesign appear look seem resemble become use keep please "
    "need should would could can ensure feature wear write draw enhance simulate elevate provide print "
    "inscribe".split()
)
GIVEN_IMAGE = re.compile(
    r"\b(?:this|the|the given|the provided) (?:image|picture|photo|photograph|scene)\b|\bbackground\b", re.IGNORECASE
)
EXCHANGE = re.compile(
    r"\b(?:replac|swap|chang|turn|convert|transform|switch|exchang|morph|mak)\w*\b(?P<old>.+?)"
    r"\b(?:with|by|to|into|for)\b(?P<new>.+)",
    re.IGNORECASE,
)
WORD = re.compile(r"\w+(?:['’]\w+)*")
QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|‘([^’]+)’|(?<!\w)'((?:[^']|(?<=\w)'(?=\w))+)'(?!\w)")


def as_words(literal: str) -> re.Pattern:
    """Finds a text where it is no part of a word."""
    return re.compile(rf"(?<!\w){re.escape(literal)}(?!\w)")


def quoted(text: str) -> list[str]:
    """What a text quotes, without a stop or a comma at its end: `Write "Go!" on it` quotes `Go!`."""
    found = (next(filter(None, match.groups())).strip().rstrip(".,") for match in QUOTED.finditer(text))
    return [inside for inside in found if inside]


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """`dogs`, `dog's` and `dog` are the same, so are `removing`, `removed` and `remove`; no more than that."""
    word = re.sub(r"['’]s?$", "", word.lower())
    word = IRREGULAR.get(word, word)
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


@lru_cache(maxsize=1)
def _synonyms() -> dict[str, str]:
    return {stem(word): stem(group.split()[0]) for group in LISTS["synonyms"] for word in group.split()}


@lru_cache(maxsize=4096)
def same_thing(one: str, other: str) -> bool:
    """Whether two stems are synonyms, forms of one word (`cubism`, `cubist`), or one is the other with a typo."""
    one, other = _synonyms().get(one, one), _synonyms().get(other, other)
    shorter, longer = sorted((one, other), key=len)
    if one == other or len(shorter) >= 4 and longer.startswith(shorter):
        return True
    common = len(shorter) - 3
    if common >= 4 and len(longer) - common <= 4 and longer.startswith(shorter[:common]):
        return True
    return len(shorter) >= 5 and one[:2] == other[:2] and SequenceMatcher(None, one, other).ratio() > 0.8


@dataclass(frozen=True)
class Said:
    """
    What an instruction says.

    Args:
        words (`list[str]`): all, in lower case.
        numbers, colours (`set[str]`): in digits, and by one name each.
        things (`list[str]`): stems of its other content words, editing verbs and words about the image left out.
        adds, removes (`bool`): whether it has a verb of the kind.
        negated (`bool`): whether it says what not to do.
    """

    words: list[str]
    numbers: set[str]
    colours: set[str]
    things: list[str]
    adds: bool
    removes: bool
    negated: bool


@lru_cache(maxsize=4096)
def said(text: str, literals: tuple[str, ...] = ()) -> Said:
    """Reads an instruction. `literals` are texts that an image shall show: their words are left out."""
    plain = text
    for literal in literals:
        plain = as_words(literal).sub(" ", plain)
    words = [SAME.get(word, word) for word in WORD.findall(plain.replace("-", " ").lower())]
    numbers = {NUMBERS[word] for word in words if word in NUMBERS} | set(re.findall(r"\d+(?:[.,]\d+)*", plain))
    colours = {COLOURS[name] for word in words if (name := word.removesuffix("s")) in COLOURS}
    stems = {word: stem(word) for word in words}
    aside = NUMBERS.keys() | TWO | STOP | GENERAL
    things = [
        stems[word]
        for word in words
        if not (word in aside or word.removesuffix("s") in COLOURS or stems[word] in _verbs() or word.isdigit())
    ]
    verbs = set(stems.values())
    removes = bool(verbs & _stems(REMOVE)) or bool(REMOVE_PHRASE.search(plain))
    return Said(
        words,
        numbers,
        colours,
        list(dict.fromkeys(things)),
        bool(verbs & _stems(ADD)),
        removes,
        bool(NEGATED.search(plain)),
    )


@lru_cache(maxsize=16)
def _stems(words: frozenset[str]) -> frozenset[str]:
    return frozenset(map(stem, words))


@lru_cache(maxsize=1)
def _verbs() -> frozenset[str]:
    return _stems(ADD | REMOVE | CHANGE | MAKE_NEW | GENERAL)


def begins_as_edit(before: Said, after: Said) -> bool:
    """Whether the first word is a verb of editing, or one that the instruction has as well."""
    first = stem(next(iter(after.words), ""))
    if first in _stems(MAKE_NEW):
        return first in map(stem, before.words[:1]) or bool(GIVEN_IMAGE.search(" ".join(after.words)))
    return first in _stems(ADD | REMOVE | CHANGE | OPENING) or first in map(stem, before.words[:1])


def shared(things: Iterable[str], one: Said, other: Said) -> list[str]:
    """Those of the `things` of `one` that `other` says as well, perhaps in one word: `table cloth`, `tablecloth`."""
    there = set(other.things) | _compounds(other).keys()
    compounds = [parts for compound, parts in _compounds(one).items() if compound in other.things]
    return [
        thing
        for thing in things
        if any(same_thing(thing, word) for word in there) or any(thing in parts for parts in compounds)
    ]


def _compounds(it: Said) -> dict[str, tuple[str, str]]:
    return {stem(a + b): (stem(a), stem(b)) for a, b in pairwise(it.words)}


def flipped(before: Said, after: Said) -> str | None:
    """The first word that says another place or the opposite: `right` for `left`, `next to` for `on`."""
    had, has = set(before.words), set(after.words)
    for one, other in (pair for a, b in OPPOSITES for pair in ((a, b), (b, a))):
        if had & one and has & other and not has & one and not had & other:
            return min(has & other)
    for words in RELATIONS:
        if has & words - AMBIGUOUS and not had & words:
            return min(has & words)
    return min((has ^ had) & {"left", "right"}, default=None)


def exchanged(before: str, after: str) -> bool:
    """Whether old and new changed places: `replace the cat with a dog`, `turn the dog into a cat`."""
    one, other = EXCHANGE.search(before), EXCHANGE.search(after)
    if not (one and other):
        return False

    def kept(part: str, other_part: str) -> list[str]:
        before, after = said(one[part]), said(other[other_part])
        return shared(before.things, before, after)

    crossed = kept("old", "new") and kept("new", "old")
    return bool(crossed) and not kept("old", "old") and not kept("new", "new")
