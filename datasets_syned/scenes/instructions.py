"""
The grammar of instructions for rendered scenes: tells somebody to make a change, and reads such a sentence back.

The captions of `scenes/captions.py` say what happened; an instruction says what is to happen, as people write it to an
editor.
"""

import re
from typing import NamedTuple

from .captions import refer
from .changes import Change
from .scene import COLORS, MATERIALS, SceneObject

PHRASINGS = {
    "color": (
        "paint the {object} {value}",
        "make the {object} {value}",
        "change the color of the {object} to {value}",
    ),
    "texture": (
        "make the {object} out of {value}",
        "turn the {object} into {value}",
        "change the material of the {object} to {value}",
    ),
    "move": ("move the {object}", "put the {object} in a different place", "change the position of the {object}"),
    "add": ("add a {object}", "put a {object} into the scene", "place a {object} somewhere"),
    "drop": ("remove the {object}", "take the {object} away", "delete the {object}"),
}
VALUES = {"color": "|".join(COLORS), "texture": "|".join(MATERIALS)}


class Instruction(NamedTuple):
    """What an instruction says."""

    category: str
    phrase: str  # the words that single out the object, or describe a new one
    value: str | None  # the color or material that it is to have


def instruct(change: Change, phrasing: int) -> str | None:
    """Tells somebody to make a change, in one of several ways; `None` where no words single out the object."""
    phrase = " ".join(change.new.attributes) if change.category == "add" else refer(change.old, change.before)
    if phrase is None:
        return None
    value = change.value
    patterns = PHRASINGS[change.category]
    return patterns[phrasing % len(patterns)].format(object=phrase, value=value)


READERS = [
    (category, re.compile(pattern.format(object="(?P<object>[a-z ]+)", value=f"(?P<value>{VALUES.get(category)})")))
    for category, patterns in PHRASINGS.items()
    for pattern in patterns
]


def read_instruction(text: str) -> Instruction | None:
    """Reads an instruction of this grammar back; `None` for any other text."""
    for category, reader in READERS:
        if match := reader.fullmatch(text.strip().rstrip(".").lower()):
            return Instruction(category, match["object"], match.groupdict().get("value"))
    return None


def find(phrase: str, objects: tuple[SceneObject, ...]) -> SceneObject | None:
    """The object that a phrase singles out, `None` if there is none."""
    return next((obj for obj in objects if refer(obj, objects) == phrase), None)
