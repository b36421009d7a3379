"""
The paraphrases of Emu Edit's test instructions that come with BLIP2IDC (`gt_augmented_test_clean.json`), and what is
mended in them. They were written by a language model: some are wrapped in quotes, some are its refusals.

What is mended or dropped is what a rule below says, and is counted. What stays: sentences that were cut off in the
middle, paraphrases that call the image "the prompt", and those that say something else than the instruction.
"""

import re
from collections.abc import Callable
from pathlib import Path

from .base import BenchmarkFilesError
from .records import read_object

PARAPHRASES = "gt_augmented_test_clean.json"
PARAPHRASES_SOURCE = "https://github.com/gautierevn/BLIP2IDC (code_release/Syned/gt_augmented_test_clean.json)"

WHOLE = re.compile(r'^" ?([^"]*?) ?"\Z')
CUT_OFF = re.compile(r'^" ?([^"]*)\Z')  # a first quote that is never closed
MARKS = re.compile(r"\[INSTRUCT\]|(?:INSTRUCTION : )?<INSTRUCT>|\bInstruct:")
LENGTH = re.compile(r" \(\d* ?(?:words|characters)\)$")
WRAPPED = re.compile(r'^(?:Reword|Modify|Rephrase) the instruction (?:to|as): "(.+)"\Z')
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
    """Reads paraphrases by index; the space behind each index is taken away."""
    record, paraphrases = read_object(path), {}
    for key, texts in record.values.items():
        record.texts(key)
        if key.strip() in paraphrases:
            raise BenchmarkFilesError(f"{path} has index {key.strip()} twice")
        paraphrases[key.strip()] = texts
    return paraphrases


def tidy_spaces(text: str) -> str:
    return " ".join(text.split())


def remove_stray_signs(text: str) -> str:
    """A colon in front, or half a pair of square brackets behind."""
    text = text.removeprefix(":").strip()
    return text.rstrip("[]").strip() if text.count("[") != text.count("]") else text


MENDED: dict[str, Callable[[str], str]] = {
    "spaces tidied": tidy_spaces,
    "quotes around it removed": lambda text: WHOLE.sub(r"\1", text),
    "unclosed quote removed": lambda text: CUT_OFF.sub(r"\1", text),
    "template marks removed": lambda text: tidy_spaces(MARKS.sub(" ", text)),
    "length note removed": lambda text: LENGTH.sub("", text),
    "taken out of its wrapping": lambda text: WRAPPED.sub(r"\1", text),
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
    """What `MENDED` and `DROPPED` leave of paraphrases by index, each once, and how often each rule did something."""
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
            reason = reason or ("dropped: repeated" if text in kept else None)
            if reason is None:
                kept.append(text)
            else:
                counts[reason] += 1
    return cleaned, counts
