"""The five changes of CLEVR-Change (Park et al., 2019) and none, applied to a list of objects."""

from dataclasses import dataclass, replace

from .scene import COLORS, MATERIALS, MAX_OBJECTS, MIN_OBJECTS, place, sample_objects

CATEGORIES = ("color", "texture", "move", "add", "drop", "none")
MOVE_DISTANCE = 1.3  # at least this far: more than what the camera's jitter can imitate


@dataclass(frozen=True)
class Change:
    """What happened between two lists of objects. A changed object keeps its place; an added object comes last."""

    category: str
    before: tuple
    after: tuple
    old: object = None  # the changed object as it was: `None` for "add" and "none"
    new: object = None  # as it is: `None` for "drop" and "none"

    @property
    def value(self):
        """The color or material that the object became; "" for other changes."""
        return {"color": lambda: self.new.color, "texture": lambda: self.new.material}.get(self.category, str)()

    def reversed(self):
        """The change that leads from `after` back to `before`."""
        category = {"add": "drop", "drop": "add"}.get(self.category, self.category)
        return Change(category, self.after, self.before, self.new, self.old)


def sample_change(rng, category):
    """Draws the objects before and after a change of a category; `None` when no place was found for an object."""
    count = int(rng.integers(MIN_OBJECTS, MAX_OBJECTS)) if category in ("add", "drop") else None
    objects = sample_objects(rng, count or int(rng.integers(MIN_OBJECTS, MAX_OBJECTS + 1)))
    if objects is None:
        return None
    if category == "none":
        return Change("none", tuple(objects), tuple(objects))
    if category in ("add", "drop"):
        extra = place(rng, objects)
        if extra is None:
            return None
        added = Change("add", tuple(objects), (*objects, extra), None, extra)
        return added if category == "add" else added.reversed()
    k = int(rng.integers(len(objects)))
    old, others = objects[k], objects[:k] + objects[k + 1 :]
    if category == "color":
        colors = [c for c in COLORS if c != old.color]
        new = replace(old, color=colors[rng.integers(len(colors))])
    elif category == "texture":
        new = replace(old, material=MATERIALS[1 - MATERIALS.index(old.material)])
    else:
        keep = {name: getattr(old, name) for name in ("shape", "color", "material", "size", "angle")}
        new = place(rng, others, min_distance_to=(old.x, old.y, MOVE_DISTANCE), **keep)
        if new is None:
            return None
    return Change(category, tuple(objects), tuple(objects[:k] + [new] + objects[k + 1 :]), old, new)
