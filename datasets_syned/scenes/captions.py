"""The grammar of the captions: says a [`Change`] in several ways, and reads such a caption back.

No caption speaks of left and right, so that a mirrored pair keeps its captions.
"""

import re

import numpy as np

from .scene import COLORS, MATERIALS, SHAPES, SIZES

PHRASINGS = {
    "color": (
        "the {object} turned {value}",
        "the {object} became {value}",
        "the {object} is now {value}",
        "the {object} changed its color to {value}",
        "the color of the {object} changed to {value}",
        "someone painted the {object} {value}",
    ),
    "texture": (
        "the {object} turned to {value}",
        "the {object} is now made of {value}",
        "the {object} changed its material to {value}",
        "the material of the {object} changed to {value}",
        "the {object} was replaced by a {value} one",
        "someone made the {object} out of {value}",
    ),
    "move": (
        "the {object} moved",
        "the {object} changed its location",
        "the {object} is in a different place",
        "the {object} has been moved",
        "the position of the {object} changed",
        "someone moved the {object}",
    ),
    "add": (
        "a {object} was added",
        "a {object} appeared",
        "a {object} has been added",
        "there is a new {object}",
        "the {object} was not there before",
        "someone added a {object}",
    ),
    "drop": (
        "the {object} was removed",
        "the {object} disappeared",
        "the {object} is gone",
        "the {object} is missing",
        "the {object} is no longer there",
        "someone took the {object} away",
    ),
    "none": (
        "nothing changed",
        "no change was made",
        "there is no change",
        "the scene is the same as before",
        "the two scenes seem identical",
        "there is no difference",
    ),
}
NO_CHANGE_CAPTIONS = PHRASINGS["none"]
DEPTH_MARGIN = 0.5  # world units by which "behind" or "in front of" must hold, and "closest to" must win


def describe(obj):
    """ "large red metal cube": the four attributes, in the order in which English wants them."""
    return " ".join(obj.attributes)


def refer(obj, objects):
    """A phrase that fits `obj` alone among `objects`, of which it is one.

    The four attributes where they are unique; else with a relation to an object that is unique itself: "closest to",
    "behind" or "in front of" it. `None` when no such phrase exists.
    """
    name = describe(obj)
    twins = [o for o in objects if o is not obj and o.attributes == obj.attributes]
    if not twins:
        return name
    for anchor in objects:
        if sum(o.attributes == anchor.attributes for o in objects) > 1:
            continue
        distances = [np.hypot(o.x - anchor.x, o.y - anchor.y) for o in (obj, *twins)]
        if distances[0] + DEPTH_MARGIN < min(distances[1:]):
            return f"{name} closest to the {describe(anchor)}"
        depths = [o.y - anchor.y for o in (obj, *twins)]
        if depths[0] > DEPTH_MARGIN and max(depths[1:]) < -DEPTH_MARGIN:
            return f"{name} behind the {describe(anchor)}"
        if depths[0] < -DEPTH_MARGIN and min(depths[1:]) > DEPTH_MARGIN:
            return f"{name} in front of the {describe(anchor)}"
    return None


def captions(change):
    """Every way in which the grammar says a [`Change`], in the order of `PHRASINGS`, or `None` when it can't."""
    category = change.category
    if category == "none":
        return list(PHRASINGS["none"])
    phrase = refer(change.new, change.after) if category == "add" else refer(change.old, change.before)
    if phrase is None:
        return None
    return [pattern.format(object=phrase, value=change.value) for pattern in PHRASINGS[category]]


OBJECT = (
    f"(?P<size>{'|'.join(SIZES)}) (?P<color>{'|'.join(COLORS)}) (?P<material>{'|'.join(MATERIALS)}) "
    f"(?P<shape>{'|'.join(SHAPES)})(?: (?:closest to|behind|in front of) the \\w+ \\w+ \\w+ \\w+)?"
)
READERS = [
    (category, re.compile(pattern.format(object=OBJECT, value=r"(?P<value>\w+)")))
    for category, patterns in PHRASINGS.items()
    for pattern in patterns
]


def read(caption):
    """
    Category of a caption of this grammar, and the words size, color, material, shape of the changed object (none for
    "none"), for "color" and "texture" followed by what it became. `(None, ())` for any other text.
    """
    for category, reader in READERS:
        if match := reader.fullmatch(caption.strip()):
            return category, tuple(match.groupdict().values())
    return None, ()
