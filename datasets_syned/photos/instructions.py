"""
The grammar of instructions for composed photographs: tells somebody to make an [`Edit`], and reads such a sentence
back. The captions of `photos/captions.py` say what happened; an instruction says what is to happen.
"""

import re

from .captions import VALUES, Edit, with_article
from .lettering import PLACES

# {a}, {the}, {value}, {place} as in the captions; {short}: a value as one says it after "make it".
PHRASINGS = {
    "background": (
        "change the background",
        "replace the background",
        "give the picture another background",
        "show it in front of something else",
    ),
    "crop": ("crop the picture", "zoom in", "cut the edges of the photo off", "keep only a part of the picture"),
    "mirror": ("mirror the picture", "flip the photo", "swap the two sides of the picture", "show its mirror image"),
    "rotation": ("rotate the picture", "turn the photo", "rotate the whole photo", "turn the picture around"),
    "text": (
        "write {value} {place}",
        "add the text {value} {place}",
        "put the word {value} {place}",
        "print {value} on the picture {place}",
    ),
    "style": (
        "make it {short}",
        "make the picture look {value}",
        "the photo should look {value}",
        "I want it {short}",
    ),
    "global": ("make it {short}", "make the scene look {value}", "the scene should look {value}", "let it be {short}"),
    "color": (
        "paint {the} {value}",
        "make {the} {value}",
        "change the color of {the} to {value}",
        "color {the} {value}",
    ),
    "resize": (
        "make {the} {value}",
        "{the} should be {value}",
        "change the size of {the}: {value}",
        "I want {the} {value}",
    ),
    "add": ("add {a}", "put {a} into the picture", "place {a} somewhere", "there should be {a}"),
    "remove": ("remove {the}", "take {the} away", "delete {the}", "get rid of {the}"),
    "replace": (
        "replace {the} with {value}",
        "turn {the} into {value}",
        "exchange {the} for {value}",
        "put {value} in the place of {the}",
    ),
    "move": ("move {the}", "put {the} in a different place", "change the position of {the}", "shift {the}"),
}
SHORT = {"like night": "night", "like a negative": "a negative", "like a sketch": "a sketch"}
LONG = {short: value for value, short in SHORT.items()}


def instructions(edit: Edit) -> list[str]:
    """
    Every way in which the grammar asks for an edit, without those that could be read as another one ("replace the kite
    with a tail with an apple").
    """
    value = edit.value or ""
    words = {
        "a": edit.name and with_article(edit.name),
        "the": f"the {edit.name}",
        "value": with_article(value) if edit.category == "replace" else value,
        "short": SHORT.get(value, value),
        "place": edit.place,
    }
    said = [pattern.format(**words) for pattern in PHRASINGS[edit.category]]
    return [text for text in said if _readings(text) == {edit}]


def _readers():
    name = r"(?P<name>\S+(?: \S+)*{lazy})"
    for category, patterns in PHRASINGS.items():
        values = VALUES.get(category, ())
        fields = {
            "a": f"(?:an? )?{name}",
            "the": f"the {name}",
            "value": f"(?P<value>{'|'.join(map(re.escape, values))})",
            "short": f"(?P<value>{'|'.join(re.escape(SHORT.get(value, value)) for value in values)})",
            "place": f"(?P<place>{'|'.join(PLACES)})",
        }
        if category == "replace":
            fields["value"] = r"(?:an? )?(?P<value>\S+(?: \S+)*)"
        for pattern in patterns:
            text = pattern.format(**fields)
            yield category, [re.compile(text.replace("{lazy}", lazy)) for lazy in ("?", "")]


READERS = list(_readers())


def _readings(text: str) -> set[Edit]:
    """The edits that a text asks for; of a category that stands before others in `PHRASINGS`, and no other."""
    found: dict[str, set[Edit]] = {}
    for category, readers in READERS:
        for reader in readers:
            if match := reader.fullmatch(text):
                words = match.groupdict()
                words["value"] = LONG.get(words.get("value"), words.get("value"))
                found.setdefault(category, set()).add(Edit(category, **words))
    return next(iter(found.values()), set())


def read_instruction(text: str) -> Edit | None:
    """The [`Edit`] that an instruction of this grammar asks for; `None` of another text, or one of two meanings."""
    text = text.strip().rstrip(".")
    found = _readings(text) or _readings(text[:1].lower() + text[1:])
    return found.pop() if len(found) == 1 else None
