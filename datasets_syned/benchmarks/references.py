"""
The paraphrases of Emu Edit's test instructions that come with BLIP2IDC (`gt_augmented_test_clean.json`), and what is
mended in them. They were written by a language model: some are wrapped in quotes, some are its refusals.

What is mended or dropped is what a rule below says, and is counted. What stays: sentences that were cut off in the
middle, paraphrases that call the image "the prompt", and those that say something else than the instruction.
"""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from .base import BenchmarkFilesError
from .records import read_object

PARAPHRASES = "gt_augmented_test_clean.json"
PARAPHRASES_SOURCE = "https://github.com/gautierevn/BLIP2IDC (code_release/Syned/gt_augmented_test_clean.json)"

MARKS = re.compile(r"\[INSTRUCT\]|(?:INSTRUCTION : )?<INSTRUCT>|\bInstruct:")
LENGTH = re.compile(r" \(\d* ?(?:words|characters)\)$")
WRAPPED = re.compile(r'(?:Reword|Modify|Rephrase) the instruction (?:to|as): "(.+)"')
PREAMBLE = re.compile(r"Here are \w+ variations\b")
HEADING = re.compile(r"\{[^{}]*\}")
# The model speaks of itself, of its asker, or of what it would rather do.
REFUSAL = re.compile(
    r"I'm just an AI\b|\bAI language model\b|^Instead, I (?:suggest|would)\b|^If you have any other questions\b"
    r"|^Please feel free to ask\b|^I hope you understand\b|^Please note that I\b|^Remember, (?:it is|as a)\b"
    r"|^It is important to (?:recognize|respect)\b"
)
# It takes the instruction for a text, and asks for another text.
TEXT_WANTED = re.compile(
    r'^(?:\w+: ")?(?:write|draft|construct|craft|compose|create|design|generate|produce) an? (?:\w+ ){0,2}?'
    r"(?:prompt|instruction|sentence|poem|haiku|essay|script|reply|response)\b"
    r"|\b(?:write|create) a prompt\b"
    r"|^(?:rephrase|reword|rewrite|rearrange|update) the (?:words (?:in|to form)|sentence|instruction)\b"
    r"|^use the sentence as\b|^provide a more detailed explanation\b"
    r"|\b(?:original|keep the rest of the) instruction\b",
    re.IGNORECASE,
)


def read_paraphrases(path: Path) -> dict[str, list[str]]:
    """
    Reads paraphrases by index; the space behind each index is taken away.

    Raises:
        BenchmarkFilesError: the file is not a JSON object of lists of strings, or has an index twice.
    """
    record = read_object(path)
    for key in record.values:
        record.texts(key)
    found = record.values
    paraphrases = {key.strip(): texts for key, texts in found.items()}
    if len(paraphrases) < len(found):
        twice = [key for key, times in Counter(key.strip() for key in found).items() if times > 1]
        raise BenchmarkFilesError(f"{path} has index {', '.join(twice)} twice")
    return paraphrases


def tidy_spaces(text: str) -> str:
    return " ".join(text.split())


def remove_marks(text: str) -> str:
    """`Swap the apples. [INSTRUCT]`: marks of the template that the model was prompted with."""
    return tidy_spaces(MARKS.sub(" ", text))


def remove_length(text: str) -> str:
    """`Remove all barriers. (10 words)`"""
    return LENGTH.sub("", text)


def unquote(text: str) -> str:
    """Quotes around the whole."""
    inside = text[1:-1].strip()
    return inside if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in inside else text


def remove_open_quote(text: str) -> str:
    """A first quote that is never closed: the text was cut off."""
    return text[1:].strip() if text.startswith('"') and text.count('"') == 1 else text


def unwrap(text: str) -> str:
    """`Rephrase the instruction as: "Paint it red."`"""
    found = WRAPPED.fullmatch(text)
    return found[1] if found else text


def remove_stray_signs(text: str) -> str:
    """A colon in front, or half a pair of square brackets behind."""
    text = text.removeprefix(":").strip()
    return text.rstrip("[]").strip() if text.count("[") != text.count("]") else text


MENDED: dict[str, Callable[[str], str]] = {
    "spaces tidied": tidy_spaces,
    "quotes around it removed": unquote,
    "unclosed quote removed": remove_open_quote,
    "template marks removed": remove_marks,
    "length note removed": remove_length,
    "taken out of its wrapping": unwrap,
    "stray signs removed": remove_stray_signs,
}
DROPPED: dict[str, Callable[[str], object]] = {
    "dropped: empty": lambda text: not text,
    "dropped: refusal": REFUSAL.search,
    "dropped: preamble": PREAMBLE.match,
    "dropped: heading of the template": HEADING.fullmatch,
    "dropped: asks for a text": TEXT_WANTED.search,
    "dropped: a single word": lambda text: len(text.split()) == 1,
}


def clean(paraphrases: dict[str, list[str]]) -> tuple[dict[str, list[str]], dict[str, int]]:
    """
    Mends paraphrases, and drops those that are none, by the rules of `MENDED` and `DROPPED`, in that order. Of equal
    ones in a record the first stays.

    Args:
        paraphrases (`dict[str, list[str]]`): by index.

    Returns:
        `tuple[dict[str, list[str]], dict[str, int]]`: the same indices with what is left, perhaps nothing; and how
        often each rule changed or dropped something.
    """
    counts = dict.fromkeys([*MENDED, *DROPPED, "dropped: repeated"], 0)
    cleaned = {}
    for key, texts in paraphrases.items():
        kept = cleaned[key] = []
        for text in texts:
            for name, rule in MENDED.items():
                mended = rule(text)
                counts[name] += mended != text
                text = mended
            reason = next((name for name, rule in DROPPED.items() if rule(text)), None)
            if reason is None and text in kept:
                reason = "dropped: repeated"
            if reason is None:
                kept.append(text)
            else:
                counts[reason] += 1
    return cleaned, counts
