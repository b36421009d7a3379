"""
What a text must be to become a caption. Every rule is a line of [`RULES`], with its reason beside it; the first that a
text breaks names why it was not taken. `RULE_SETS` says which rules are judged by.

The strict rules are for English. They were fitted to the 8,031 paraphrases of Emu Edit's test instructions by
Llama-2-7b-chat that come with BLIP2IDC (`gt_augmented_test_clean.json`), and rather lose a good paraphrase than take a
bad one.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...benchmarks import references
from ...common.caption_text import BOILERPLATE, QUOTES, is_quoted
from .words import ADD, TWO, WORD, Said, as_words, begins_as_edit, exchanged, flipped, quoted, said, shared, stem

SHARED = 0.6  # of the things that the instruction names
OWN = 1 / 3  # of the things that the text names: more may not be new
MOST_WORDS = 60  # of any caption
LONGEST = (2.0, 6)  # words: twice those of the instruction, and six
SHORTEST = 0.4  # of the words of the instruction

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
ABOUT_TEXT = re.compile(
    r"\b(?:prompts?|diffusion|scripts?|poems?|haikus?|story|stories|narratives?|users?|imagine|envision)\b"
    r"|\b(?:this|(?:the )?(?:following|given|provided)) (?:text|words?)\b|\bcomplete the phrase\b",
    re.IGNORECASE,
)
SENTENCES = re.compile(r"(?<=\w{2})[.!?]+[\"'”’)]*\s+(?=\S)|\s[–—-]\s|;\s|:\s")
UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
# Words that nothing ends with.
OPEN_END = re.compile(
    r"\b(?:an?|the|and|or|of|with|its|their|your|very|into|such|as|is|are|for|by)\W*$", re.IGNORECASE
)
EXCHANGING = re.compile(r"\b(?:replac|swap|substitut|exchang)\w*", re.IGNORECASE)  # one goes, another comes
FURTHER = re.compile(r"\b(?:and|plus|while|featuring|including|alongside|filled|surrounded)\b", re.IGNORECASE)
ADD_STEMS = frozenset(map(stem, ADD))
PUNCTUATION = frozenset(".,;:!?'\"’‘“”()/&%$#+°-–—…«»„")


@dataclass(frozen=True)
class Text:
    """A mended text beside what it is judged by."""

    text: str
    instruction: str
    others: Sequence[str]
    complete: bool

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """The texts that the image shall show."""
        return tuple(quoted(self.instruction))

    @cached_property
    def wanted(self) -> Said:
        return said(self.instruction, self.literals)

    @cached_property
    def given(self) -> Said:
        return said(self.text, self.literals)

    def news(self, pattern: re.Pattern) -> bool:
        """Whether a pattern finds something that the instruction does not say itself."""
        known = self.instruction.lower()
        return any(found[0].lower() not in known for found in pattern.finditer(self.text))


def same_words(text: str) -> tuple[str, ...]:
    """A text without case, punctuation, articles and the forms of words: what near-duplicates have in common."""
    return tuple(stem(word) for word in WORD.findall(text.lower()) if word not in ("a", "an", "the"))


def refuses(it: Text) -> bool:
    return bool(references.REFUSAL.search(it.text)) or it.news(REFUSAL)


def is_boilerplate(it: Text) -> bool:
    return bool(
        BOILERPLATE.search(it.text)
        or references.PREAMBLE.match(it.text)
        or references.HEADING.fullmatch(it.text)
        or it.text.endswith(":")
    )


def has_other_characters(it: Text) -> bool:
    def strange(sign: str) -> bool:
        if sign in PUNCTUATION or sign.isspace() or sign.isdecimal() and sign.isascii():
            return False
        return not (sign.isalpha() and unicodedata.name(sign, "").startswith("LATIN"))

    return any(strange(sign) for sign in set(it.text) - set(it.instruction))


def is_cut_off(it: Text) -> bool:
    open_mark = it.text.endswith((",", ";", ":", "–", "—", "-", "(")) or it.text.count("(") > it.text.count(")")
    return not it.complete or open_mark or is_quoted(it.text)


def has_an_open_end(it: Text) -> bool:
    one, other = (text.rstrip(" .").rpartition(" ")[2].lower() for text in (it.text, it.instruction))
    return bool(OPEN_END.search(it.text)) and one != other


def has_several_sentences(it: Text) -> bool:
    return len(SENTENCES.findall(it.text)) > len(SENTENCES.findall(it.instruction)) or "(" in set(it.text) - set(
        it.instruction
    )


def is_too_long(it: Text) -> bool:
    factor, more = LONGEST
    return len(WORD.findall(it.text)) > factor * len(WORD.findall(it.instruction)) + more


def is_too_short(it: Text) -> bool:
    return len(WORD.findall(it.text)) < SHORTEST * len(WORD.findall(it.instruction))


def quotes_something_else(it: Text) -> bool:
    if not all(as_words(literal).search(it.text) for literal in it.literals):
        return True
    known = it.instruction.lower()
    return any(inside.lower() not in known for inside in quoted(it.text))


def counts_something_else(it: Text) -> bool:
    wanted, given = it.wanted.numbers, it.given.numbers
    if TWO & set(it.wanted.words):
        given = given - {"2"}
    if TWO & set(it.given.words):
        wanted = wanted - {"2"}
    return wanted != given


def acts_otherwise(it: Text) -> bool:
    """What is to be removed is not added, and the other way round; `replace` and `make` do neither."""
    if it.wanted.negated != it.given.negated:
        return True
    both = it.wanted.removes and it.wanted.adds and EXCHANGING.search(it.text)
    if both or EXCHANGING.search(it.instruction):
        return it.given.removes and not it.wanted.removes
    if it.wanted.removes != it.given.removes:
        return True
    return it.wanted.removes and not it.wanted.adds and stem(it.given.words[0]) in ADD_STEMS


def leaves_things_out(it: Text) -> bool:
    things = it.wanted.things
    return len(shared(things, it.wanted, it.given)) < SHARED * len(things)


def has_things_of_its_own(it: Text) -> bool:
    def own(given: Said) -> int:
        return len(given.things) - len(shared(given.things, given, it.wanted))

    more = FURTHER.split(it.text, maxsplit=1) if not FURTHER.search(it.instruction) else []
    if len(more) > 1 and own(said(more[1], it.literals)):
        return True
    return own(it.given) > max(1, OWN * len(it.given.things))


# What is broken: how it is found, and why the text is not taken.
Rules = dict[str, tuple[Callable[[Text], object], str]]
FORMAT: Rules = {
    "empty": (lambda it: not any(map(str.isalnum, it.text)), "nothing is said"),
    "unreadable": (lambda it: UNREADABLE.search(it.text), "control characters, or bytes that are no text"),
    "refusal": (refuses, "the model speaks of itself, or of what it would rather do"),
    "boilerplate": (is_boilerplate, "an announcement, a heading or a part of the prompt"),
    "asks for a text": (
        lambda it: references.TEXT_WANTED.search(it.text),
        "the instruction was taken for a text to be worked on, not for an edit",
    ),
    "about the request": (lambda it: it.news(ABOUT_REQUEST), "it speaks of the sentence that was asked for"),
    "cut off": (
        is_cut_off,
        "it has no end: the answer reached its limit, a quote or a bracket is open",
    ),
    "a single word": (
        lambda it: it.text.isascii() and len(it.text.split()) == 1 < len(it.instruction.split()),
        "no caption yet",
    ),
    "a long text": (lambda it: len(WORD.findall(it.text)) > MOST_WORDS, f"more than {MOST_WORDS} words"),
    "same": (lambda it: same_words(it.text) == same_words(it.instruction), "the instruction itself"),
    "repeated": (lambda it: same_words(it.text) in map(same_words, it.others), "one that was taken already"),
}
STRICT: Rules = {
    "about a text": (lambda it: it.news(ABOUT_TEXT), "it speaks of a text, not of an edit"),
    "characters": (has_other_characters, "emoji, markup or another script, that the instruction does not have"),
    "open end": (has_an_open_end, "the last word needs another"),
    "several sentences": (has_several_sentences, "a paraphrase and more: an explanation, an alternative, a story"),
    "too long": (is_too_long, f"more than {LONGEST[0]:g} times the words of the instruction and {LONGEST[1]}"),
    "too short": (is_too_short, f"less than {SHORTEST:g} of the words of the instruction"),
    "quoted text": (
        quotes_something_else,
        "the exact texts that the image shall show are missing, or there are others",
    ),
    "number": (counts_something_else, "a number is missing, or new"),
    "colour": (lambda it: it.wanted.colours != it.given.colours, "a colour is missing, or new"),
    "action": (acts_otherwise, "what is to be removed is added, or the other way round"),
    "direction": (
        lambda it: flipped(it.wanted, it.given) or exchanged(it.instruction, it.text),
        "right for left, night for day; or the old and the new changed places",
    ),
    "verb": (lambda it: not begins_as_edit(it.wanted, it.given), "it does not begin as an edit does: no instruction"),
    "things left out": (leaves_things_out, f"less than {SHARED:g} of the things that the instruction names are named"),
    "things of its own": (
        has_things_of_its_own,
        f"more than one and more than {OWN:.2f} of what it names is new, or it says `and` before it",
    ),
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
    Mends a text that shall be a caption, and judges it.

    Args:
        text (`str`): one line.
        instruction (`str`): one line: what a paraphrase shall say; empty if there is none.
        others (`Sequence[str]`, *optional*): texts that were taken already.
        complete (`bool`, *optional*, defaults to `True`): `False` for the last line of an answer that was cut off.
        rules (`str`, *optional*, defaults to `"format"`): of [`RULE_SETS`]; "none" takes the text as it is.

    Returns:
        `tuple[str, str | None]`: the mended text, and the first rule that it breaks, if it does.
    """
    if not RULE_SETS[rules]:
        return text.strip(), None if text.strip() else "empty"
    it = Text(mend(text), references.tidy_spaces(instruction), others, complete)
    return it.text, next((name for name, (broken, _) in RULE_SETS[rules].items() if broken(it)), None)
