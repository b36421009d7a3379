"""What a model is asked, and how its answer is read."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image

SYSTEM = (
    "You reword instructions for editing images. The new wording asks for exactly the same edit: it keeps every "
    "object, number, color, place and quoted text, and adds nothing."
)
REQUEST = (
    "Say this instruction in {count} different ways. Each is one short sentence that begins with a verb. Answer with "
    "a numbered list of {count} lines and nothing else.\n\nInstruction: {instruction}"
)
DESCRIBE = (
    "The first image was edited; the second is the result. What was asked for, and may have been done or not: "
    "{instruction}\n\nSay in {count} different ways what differs in the second image. Each is one short sentence "
    "about the change alone. Answer with a numbered list of {count} lines and nothing else."
)
SUGGEST = (
    "Suggest {count} different edits of this image. Each changes or removes one thing that can be seen, or adds one "
    "that fits. Each is one short instruction that begins with a verb. Answer with a numbered list of {count} lines "
    "and nothing else."
)

THOUGHT = re.compile(r"<think>.*?(?:</think>|$)|^.*?</think>", re.DOTALL)
# Only what a line begins with is a mark: "the T - shirt" and "plan b)" are text.
MARK = re.compile(
    r"\s*(?:(?:\*\*)?(?:"
    r"#{1,6}\s*\d{1,2}(?!\d)[.:)]*"  # "### 1.", "#1"
    r"|\[\d{1,2}\]|\(\d{1,2}\)"  # "[1]", "(1)"
    r"|\d{1,2}(?:[.:)、]+(?!\d)|\s[-–—](?=\s))"  # "1.", "1)", "1.)", "1 -", with or without a space behind
    r"|\(?[a-z]\)(?=\s)|(?-i:[IVX]{1,4})[.)](?=\s)"  # "a)", "IV."
    r"|(?:paraphrase|variation|version|option|alternative|way|rewording|instruction|sentence|caption) ?\d{1,2} ?[.:)]"
    r"|[-*–](?=\s)|•"
    r")(?:\*\*)?\s*){1,2}",  # two in "- 1." and "1. 1."
    re.IGNORECASE,
)
STRUCTURE = re.compile(r"^\s*[\[{]\s*[\[{\"'\n]", re.MULTILINE)
STRINGS = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Request(NamedTuple):
    """What a model is asked: images, and the text behind them."""

    text: str
    images: tuple[Image.Image, ...] = ()
    system: str = ""

    def messages(
        self,
        image: Callable[[Image.Image], dict] = lambda image: {"type": "image", "image": image},
        roles: bool = True,
    ) -> list[dict[str, Any]]:
        """
        A conversation, as chat templates and servers take it.

        Args:
            image (`Callable`, *optional*): makes the part that holds an image.
            roles (`bool`, *optional*, defaults to `True`): whether the system has a turn; else its text stands in
                front of the user's.
        """
        text = self.text if roles or not self.system else f"{self.system}\n\n{self.text}"
        content = [*map(image, self.images), {"type": "text", "text": text}] if self.images else text
        system = [{"role": "system", "content": self.system}] if roles and self.system else []
        return [*system, {"role": "user", "content": content}]


def read_answer(answer: str, ended: bool = True) -> list[tuple[str, bool]]:
    """
    The texts of a list: numbered, with bullets, in JSON, or just lines. If any line is marked as an item, the others
    are an announcement or an explanation, and are left out. With each text comes whether it is complete: the last one
    is not if the answer has not `ended`.
    """
    answer = THOUGHT.sub("", answer).replace("\r\n", "\n")
    lines = [line for line in answer.split("\n") if not line.strip().startswith("```")]
    cut = not ended and bool(lines) and bool(lines[-1].strip())
    block = "\n".join(lines).strip()
    if structure := STRUCTURE.search(block):
        texts = _strings(block[structure.start() :])
    else:
        marks = [MARK.match(line) for line in lines]
        cut = cut and (not any(marks) or bool(marks[-1]))
        texts = [line[mark.end() :] for line, mark in zip(lines, marks, strict=True) if mark] if any(marks) else lines
    texts = [text for text in map(str.strip, texts) if text]
    return [(text, not (cut and place == len(texts) - 1)) for place, text in enumerate(texts)]


def _strings(block: str) -> list[str]:
    """The strings in JSON, or a list of Python, at any depth; of one that does not end, those that are whole."""
    import yaml

    def inside(found: Any) -> list[str]:
        if isinstance(found, dict | list):
            return [text for value in (found.values() if isinstance(found, dict) else found) for text in inside(value)]
        return [found] if isinstance(found, str) else []

    whole = block[: max(block.rfind("]"), block.rfind("}")) + 1]
    for read in (json.loads, yaml.safe_load) if whole else ():  # YAML knows single quotes as well
        try:
            return inside(read(whole))
        except (ValueError, yaml.YAMLError, RecursionError):
            continue
    return STRINGS.findall(block)
