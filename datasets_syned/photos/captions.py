"""The grammar of the captions of composed photographs: says an [`Edit`] in several ways, and reads a caption back.

No caption speaks of the left or the right.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .lettering import PLACES, WORDS
from .looks import EFFECTS, STYLES
from .objects import COLORS

CATEGORIES = (
    "add", "remove", "replace", "move", "color", "resize", "background", "text", "style", "global", "crop", "mirror",
    "rotation", "none",
)  # fmt: skip
OF_OBJECTS = CATEGORIES[:6]
SIZES = ("bigger", "smaller")

# {a}: "an apple", {the}: "the apple", {is}: "is" or "are", {value}: what the edit leads to. The words of a pattern are
# separated by spaces, because the embedded model's tokens are words.
PHRASINGS = {
    "add": (
        "{a} {was} added",
        "{a} appeared",
        "{a} {has} been added to the picture",
        "there {is} now {a}",
        "{the} {was} not there before",
        "someone added {a}",
    ),
    "remove": (
        "{the} {was} removed",
        "{the} disappeared",
        "{the} {is} gone",
        "{the} {is} missing",
        "{the} {is} no longer there",
        "someone took {the} away",
    ),
    "replace": (
        "{the} {was} replaced by {value}",
        "{the} became {value}",
        "{the} turned into {value}",
        "there {value_is} {value} instead of {the}",
        "{value} took the place of {the}",
        "someone exchanged {the} for {value}",
    ),
    "move": (
        "{the} moved",
        "{the} {was} moved",
        "{the} {is} in a different place",
        "{the} {has} been moved",
        "the position of {the} changed",
        "someone moved {the}",
    ),
    "color": (
        "{the} turned {value}",
        "{the} became {value}",
        "{the} {is} now {value}",
        "{the} {was} colored {value}",
        "the color of {the} changed to {value}",
        "someone painted {the} {value}",
    ),
    "resize": (
        "{the} became {value}",
        "{the} {is} now {value}",
        "{the} {was} made {value}",
        "{the} {is} {value} than before",
        "{the} got {value}",
        "someone made {the} {value}",
    ),
    "background": (
        "the background changed",
        "the background was replaced",
        "the background is different",
        "there is a new background",
        "the background is another one",
        "someone replaced the background",
    ),
    "text": (
        "the text {value} was added {place}",
        "the word {value} appeared {place}",
        "{value} is now written {place}",
        "there is now the word {value} {place}",
        "the text {value} has been added {place}",
        "someone wrote {value} {place}",
    ),
    "style": (
        "the picture is now {value}",
        "the picture looks {value} now",
        "the photo now looks {value}",
        "the whole picture is {value} now",
        "the photo was made to look {value}",
        "someone made the photo look {value}",
    ),
    "global": (
        "the scene is now {value}",
        "the scene became {value}",
        "the scene looks {value} now",
        "the whole scene was made {value}",
        "everything is {value} now",
        "someone made the scene {value}",
    ),
    "crop": (
        "the picture was cropped",
        "the photo was cut",
        "the picture is zoomed in",
        "only a part of the picture is left",
        "the edges of the picture were cut off",
        "someone cropped the photo",
    ),
    "mirror": (
        "the picture was mirrored",
        "the photo was flipped",
        "the picture is now its mirror image",
        "the sides of the picture are swapped",
        "the photo has been mirrored",
        "someone flipped the picture",
    ),
    "rotation": (
        "the picture was rotated",
        "the photo was turned",
        "the picture is now rotated",
        "the photo has been rotated",
        "someone rotated the picture",
        "someone turned the photo",
    ),
    "none": (
        "nothing changed",
        "no change was made",
        "there is no change",
        "the two images are identical",
        "the images are the same",
        "there is no difference",
    ),
}
NO_CHANGE_CAPTIONS = PHRASINGS["none"]
VALUES = {"color": COLORS, "resize": SIZES, "text": WORDS, "style": tuple(STYLES), "global": tuple(EFFECTS)}


@dataclass(frozen=True)
class Edit:
    """
    What happened between two images.

    Args:
        category (`str`): one of `CATEGORIES`.
        name (`str`, *optional*): of the object that was edited.
        value (`str`, *optional*): what it led to: the new object's name ("replace"), a color, "bigger" or "smaller",
            the word that was written, a style or an effect (`VALUES`).
        place (`str`, *optional*): of a text: one of `PLACES`.
    """

    category: str
    name: str | None = None
    value: str | None = None
    place: str | None = None


def is_plural(name: str) -> bool:
    """Whether a name is a plural ("grapes"): by its last letters."""
    return name.endswith("s") and not name.endswith(("ss", "us", "is"))


def with_article(name: str) -> str:
    """ "an apple", "grapes"."""
    return name if is_plural(name) else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def captions(edit: Edit) -> list[str]:
    """Every way in which the grammar says an edit, in the order of `PHRASINGS`."""
    name, value = edit.name or "", edit.value or ""
    plural = is_plural(name)
    words = {
        "a": name and with_article(name),
        "the": f"the {name}",
        "is": "are" if plural else "is",
        "was": "were" if plural else "was",
        "has": "have" if plural else "has",
        "value": value,
        "place": edit.place,
    }
    if edit.category == "replace":
        words |= {"value": with_article(value), "value_is": "are" if is_plural(value) else "is"}
    return [pattern.format(**words) for pattern in PHRASINGS[edit.category]]


def _readers():
    word = r"(?!(?:is|are|was|were|has|have|been|now|the)\b)\S+"
    name = f"{word}(?: {word})*?"
    names = {"a": f"(?:an? )?(?P<name>{name})", "the": f"the (?P<name>{name})"}
    verbs = {"is": "(?:is|are)", "was": "(?:was|were)", "has": "(?:has|have)", "value_is": "(?:is|are)"}
    for category, patterns in PHRASINGS.items():
        value = f"(?P<value>{'|'.join(map(re.escape, VALUES.get(category, ())))})"
        if category == "replace":
            value = f"(?:an? )?(?P<value>{name})"
        fields = {**names, **verbs, "value": value, "place": f"(?P<place>{'|'.join(PLACES)})"}
        for pattern in patterns:
            yield category, re.compile(pattern.format(**fields))


READERS = sorted(_readers(), key=lambda reader: reader[0] == "replace")  # "became red" is no replacement


def read(caption: str) -> Edit | None:
    """The [`Edit`] that a caption of this grammar says, `None` for any other text."""
    for category, reader in READERS:
        if match := reader.fullmatch(caption.strip()):
            return Edit(category, **match.groupdict())
    return None


def vocabulary(names: Sequence[str]) -> list[str]:
    """Every word that the grammar has for objects of these names, sorted: the tokenizer's words."""
    said = [*names, *map(with_article, names)]
    for category in CATEGORIES:
        for value in VALUES.get(category, ("thing", "things")):
            for name in ("thing", "things", "egg"):
                for place in PLACES:
                    said += captions(Edit(category, name, value, place))
    return sorted({word for text in said for word in text.split()} - {"thing", "things"} | {"egg"})
