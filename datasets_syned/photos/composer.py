"""Draws scenes, edits them and composes the pictures of both sides."""

from dataclasses import asdict, dataclass, replace

import numpy as np
from PIL import Image

from .captions import OF_OBJECTS, SIZES, Edit
from .distractors import MARGIN, shoot
from .lettering import PLACES, WORDS, draw_word
from .looks import EFFECTS, STYLES
from .material import SPLITS, open_cutout, open_photograph
from .objects import COLORS, MIN_COLOR_DISTANCE, Placement, mean_color, paste_objects, recolor
from .reframing import crop, mirror, rotate

MIN_VISIBLE = 0.6  # of each object, in both images
MOST_OVERLAP = 0.15  # of the boxes of two objects, as a share of the smaller one
SHARED_WORD = 0.2  # share of the pairs that have one and the same text in both images
SMALL = 0.55  # of an object's height, before it becomes bigger
MIN_LEFT = 0.75  # of the edited object, beside such a text
COUNTS = (0.2, 0.4, 0.3, 0.1)  # shares of the scenes with 0, 1, 2 and 3 objects
NEED_OBJECTS = ("remove", "replace", "move", "color", "resize", "background")
NOTHING = Edit("")
REFRAMINGS = {"crop": crop, "mirror": mirror, "rotation": rotate}


@dataclass(frozen=True)
class View:
    """How the pictures of objects vary: turned by degrees, stretched, tinted; and their heights in the frame."""

    angle: tuple[float, float] = (0, 15)
    stretch: float = 1.1
    tint: float = 0.12
    height: tuple[float, float] = (0.3, 0.55)


VIEWS = {split: View() for split in SPLITS} | {"test_views": View((15, 40), 1.35, 0.3, (0.24, 0.6))}


@dataclass(frozen=True)
class Scene:
    """A photograph, of which a part is shown, with objects on it."""

    photograph: str
    part: tuple[float, float, float]  # its size by the largest that fits, and where it lies, each from 0 to 1
    mirrored: bool
    light: float
    objects: tuple[Placement, ...]


@dataclass(frozen=True)
class PhotoPair:
    """A composed pair."""

    before: bytes  # JPEG
    after: bytes
    before_mask: np.ndarray  # (height, width), uint8: 0 for the photograph, i + 1 for object i
    after_mask: np.ndarray  # a text has the number after the last object's
    scenes: tuple[Scene, Scene]
    edit: Edit
    changed_object: tuple[int | None, int | None]  # its number in each of the scenes
    words: tuple[str | None, str | None]  # the texts on the pictures


class Composer:
    """Draws one pair; every method may return `None` for a draw that does not work out."""

    def __init__(self, material, split, rng, size, jitter):
        self.material, self.split, self.rng = material, split, rng
        self.size, self.jitter = size, jitter
        margin = round(MARGIN * size[1])
        self.frame = (size[0] + 2 * margin, size[1] + 2 * margin)
        self.margin, self.aspect = margin, self.frame[0] / self.frame[1]
        self.view = VIEWS[split]

    def compose(self, category: str) -> PhotoPair | None:
        """A pair of this category."""
        fewest = 1 if category in NEED_OBJECTS else 0
        before = self.sample_scene(max(fewest, int(self.rng.choice(len(COUNTS), p=COUNTS))))
        if before is None:
            return None
        before, wanted = self.before_edit(category, before)
        drawn = self.edit_scene(category, before, wanted)
        if drawn is None:
            return None
        after, edit, changed = drawn
        rendered = [self.render(scene) for scene in (before, after)]
        if any((seen < MIN_VISIBLE).any() for _, _, seen in rendered):
            return None
        (image, mask, _), (edited, edited_mask, _) = rendered
        words = (None, edit.value if category == "text" else None)
        if category not in ("text", "style") and self.rng.random() < SHARED_WORD:
            seed, word, place = self.rng.integers(2**32), self._one_of(WORDS), self._one_of(tuple(PLACES))
            written = [
                self.write(picture, labels, word, place, np.random.default_rng(seed), len(scene.objects))
                for picture, labels, scene in ((image, mask, before), (edited, edited_mask, after))
            ]
            kept = zip((mask, edited_mask), written, changed, strict=True)
            if all(k is None or (new == k + 1).sum() > MIN_LEFT * (old == k + 1).sum() for old, (_, new), k in kept):
                (image, mask), (edited, edited_mask) = written
                words = (word, word)
        edited, edited_mask = self.edit_picture(edit, edited, edited_mask, len(after.objects))
        shots = [
            shoot(picture, labels, self.margin, self.rng, self.jitter)
            for picture, labels in ((image, mask), (edited, edited_mask))
        ]
        return PhotoPair(shots[0][0], shots[1][0], shots[0][1], shots[1][1], (before, after), edit, changed, words)

    def sample_scene(self, count: int) -> Scene | None:
        """A scene of `count` objects, each of another name."""
        objects = ()
        for _ in range(count):
            new = self.sample_object(objects)
            if new is None:
                return None
            objects += (new,)
        return Scene(**self.sample_background(), light=self.rng.uniform(-1, 1), objects=objects)

    def sample_background(self) -> dict:
        """Which part of which photograph is shown."""
        photograph = self._one_of(self.material.photographs_of(self.split))
        part = (self.rng.uniform(0.5, 1.0), self.rng.random(), self.rng.random())
        return {"photograph": photograph, "part": part, "mirrored": bool(self.rng.random() < 0.5)}

    def sample_object(self, others, wanted=None, away_from=None, **keep) -> Placement | None:
        """An object beside the others, of a `wanted` name; far from `away_from`; `keep` are fields that are given."""
        rng, view = self.rng, self.view
        if "cutout" not in keep:
            taken = {other.name for other in others}
            name = wanted or self._one_of(tuple(self.material.objects_of(self.split)))
            if name in taken:
                return None
            cutout = self._one_of(self.material.objects_of(self.split)[name])
            low, high = view.angle
            keep = {
                "cutout": cutout,
                "name": name,
                "angle": float(rng.uniform(low, high) * rng.choice((-1, 1))),
                "mirrored": bool(rng.random() < 0.5),
                "stretch": float(np.exp(rng.uniform(-1, 1) * np.log(view.stretch))),
                "tint": tuple(float(x) for x in 1 + view.tint * rng.uniform(-1, 1, 3)),
                "height": float(rng.uniform(*view.height)),
            } | keep
        placed = Placement(x=0.0, y=0.0, **keep)
        w, h = self._extent(placed)
        edge = self.margin / self.frame[1] * 2
        if h > 0.8 or w > 0.55 * self.aspect:
            shrink = min(0.8 / h, 0.55 * self.aspect / w)
            placed, w, h = replace(placed, height=placed.height * shrink), w * shrink, h * shrink
        for _ in range(20):
            x = rng.uniform(edge + w / 2, self.aspect - edge - w / 2)
            y = 1 - edge - h / 2 - (1 - 2 * edge - h) * rng.random() ** 1.3
            placed = replace(placed, x=float(x), y=float(y))
            if away_from is not None:
                needed = max(0.3, 0.6 * placed.height)
                if np.hypot(x - away_from.x, y - away_from.y) < needed:
                    continue
            if all(self._overlap(placed, other) < MOST_OVERLAP for other in others):
                return placed
        return None

    def before_edit(self, category: str, scene: Scene) -> tuple[Scene, Edit]:
        """A scene that can be edited so, and what is wanted: objects become bigger as often as smaller."""
        wanted = Edit(category)
        if category == "resize":
            wanted = Edit(category, value=self._one_of(SIZES))
            if wanted.value == "bigger":  # a large object could only become smaller
                scene = replace(scene, objects=tuple(replace(o, height=o.height * SMALL) for o in scene.objects))
        return scene, wanted

    def edit_scene(self, category, before, wanted=NOTHING):
        """The scene afterwards, the edit, and the numbers of its object. What is not `wanted` of an edit is drawn."""
        objects = before.objects
        if category == "add":
            new = self.sample_object(objects, wanted.name)
            return new and (replace(before, objects=(*objects, new)), Edit("add", new.name), (None, len(objects)))
        if category == "background":
            other = self.sample_background()
            same = other["photograph"] == before.photograph
            return None if same else (replace(before, **other), Edit("background"), (None, None))
        if category not in OF_OBJECTS:
            value = {"text": WORDS, "style": tuple(STYLES), "global": tuple(EFFECTS)}.get(category)
            place = wanted.place or (self._one_of(tuple(PLACES)) if category == "text" else None)
            value = wanted.value or (value and self._one_of(value))
            return before, Edit(category, value=value, place=place), (None, None)
        names = [placed.name for placed in objects]
        chosen = names.index(wanted.name) if wanted.name else int(self.rng.integers(len(objects)))
        old, others = objects[chosen], (*objects[:chosen], *objects[chosen + 1 :])
        if category == "remove":
            return replace(before, objects=others), Edit("remove", old.name), (chosen, None)
        new, value = getattr(self, f"_{category}")(old, others, wanted.value)
        if new is None:
            return None
        after = replace(before, objects=(*objects[:chosen], new, *objects[chosen + 1 :]))
        return after, Edit(category, old.name, value), (chosen, chosen)

    def _replace(self, old, others, wanted):
        new = self.sample_object((*others, replace(old, x=-9.0)), wanted)
        new = new and replace(new, x=old.x, y=old.y)
        if new is None or not self._inside(new) or any(self._overlap(new, o) > MOST_OVERLAP for o in others):
            return None, None
        return new, new.name

    def _move(self, old, others, wanted):
        keep = {k: v for k, v in asdict(old).items() if k not in ("x", "y")}
        return self.sample_object(others, away_from=old, **keep), None

    def _color(self, old, others, wanted):
        cutout = self._cutout(old)
        value = wanted or self._one_of(COLORS)
        far = np.linalg.norm(mean_color(recolor(cutout, value)) - mean_color(cutout)) >= MIN_COLOR_DISTANCE
        return (replace(old, color=value) if far else None), value

    def _resize(self, old, others, wanted):
        factor = self.rng.uniform(1.5, 2.0)
        new = replace(old, height=old.height * (factor if wanted == "bigger" else 1 / factor))
        fits = self._inside(new) and all(self._overlap(new, o) < MOST_OVERLAP for o in others)
        return (new if fits and new.height > 0.16 else None), wanted

    def edit_picture(self, edit, image, mask, objects):
        """The picture after an edit of the whole of it, and its mask."""
        if edit.category == "text":
            image, mask = self.write(image, mask, edit.value, edit.place, self.rng, objects)
        elif edit.category in ("style", "global"):
            image = {**STYLES, **EFFECTS}[edit.value](image, self.rng)
        elif edit.category in REFRAMINGS:
            image, mask = REFRAMINGS[edit.category](image, mask, self.rng)
        return image, mask

    def write(self, image, mask, word, place, rng, objects):
        """The picture with a word on it, and its mask."""
        image, (left, top, right, bottom) = draw_word(image, word, place, 2 * self.margin, rng)
        mask = mask.copy()
        mask[top:bottom, left:right] = objects + 1
        return image, mask

    def render(self, scene: Scene):
        """See [`paste_objects`]."""
        return self.place(self.background(scene), scene)

    def place(self, image: Image.Image, scene: Scene):
        """The objects of a scene on an image; see [`paste_objects`]."""
        return paste_objects(image, [self._cutout(o) for o in scene.objects], scene.objects, scene.light)

    def visible(self, scene: Scene) -> bool:
        """Whether no object hides too much of another."""
        return bool((self.place(Image.new("RGB", self.frame), scene)[2] >= MIN_VISIBLE).all())

    def background(self, scene: Scene) -> Image.Image:
        """The part of the photograph that a scene shows."""
        photograph = open_photograph(scene.photograph)
        scale = min(photograph.width / self.frame[0], photograph.height / self.frame[1]) * scene.part[0]
        w, h = self.frame[0] * scale, self.frame[1] * scale
        left, top = scene.part[1] * (photograph.width - w), scene.part[2] * (photograph.height - h)
        box = (left, top, left + w, top + h)
        image = photograph.resize(self.frame, Image.Resampling.BILINEAR, box, reducing_gap=2.0)
        if scene.mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image

    def _cutout(self, placed):
        return open_cutout(self.material.objects[placed.cutout][1])

    def _extent(self, placed):
        """Width and height of a placed object, by the frame's height."""
        cutout, angle = self._cutout(placed), np.deg2rad(placed.angle)
        h, w = placed.height, placed.height * placed.stretch * cutout.width / cutout.height
        sin, cos = abs(np.sin(angle)), abs(np.cos(angle))
        return w * cos + h * sin, w * sin + h * cos

    def _inside(self, placed):
        w, h = self._extent(placed)
        edge = self.margin / self.frame[1] * 2
        return edge + w / 2 <= placed.x <= self.aspect - edge - w / 2 and edge + h / 2 <= placed.y <= 1 - edge - h / 2

    def _overlap(self, one, other):
        (w, h), (v, g) = self._extent(one), self._extent(other)
        across = min(one.x + w / 2, other.x + v / 2) - max(one.x - w / 2, other.x - v / 2)
        down = min(one.y + h / 2, other.y + g / 2) - max(one.y - h / 2, other.y - g / 2)
        return max(0.0, across) * max(0.0, down) / min(w * h, v * g)

    def _one_of(self, values):
        return values[int(self.rng.integers(len(values)))]
