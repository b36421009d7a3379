"""What is known of every patch of a composed pair, as labels for training a small model from nothing."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..photos.captions import CATEGORIES, SIZES, captions
from ..photos.lettering import PLACES, WORDS
from ..photos.looks import EFFECTS, STYLES
from ..photos.objects import COLORS
from ..photos.settings import PhotoSettings
from .dense_supervision import check_curriculum

IGNORE = -100
MIN_COVER = 0.12  # part of a patch that an object must cover to be its content
WHOLE = ("none", *STYLES, *EFFECTS, "crop", "mirror", "rotation")
# What happened at a patch. An object that is in one image only: "add" there.
CHANGES = ("none", "add", "replace", "move", "color", "resize", "background", "text")


class PhotoSupervision:
    """
    A training run on composed photographs, in order: item `i` is composed when it is asked for, from `(seed, i)`, so
    that no pair is seen twice and a resumed run sees the same.

    Args:
        parts (`Sequence[PhotoSettings]`): of the pairs, which are those of the split "train".
        curriculum (`Sequence[tuple[float, Sequence[int]]]`): see [`DenseSupervision`]; the parts are of one material.
        canvas_size (`int`), patch_size (`int`): of the model, in pixels; each image is half of the canvas.
        length (`int`): items in the run.
        seed (`int`, *optional*, defaults to 0): of the captions that are drawn.

    Raises:
        ValueError: a curriculum that does not fit the parts.
    """

    def __init__(
        self,
        parts: Sequence[PhotoSettings],
        curriculum: Sequence[tuple[float, Sequence[int]]],
        canvas_size: int,
        patch_size: int,
        length: int,
        seed: int = 0,
    ):
        check_curriculum(curriculum, len(parts))
        self.phases = [(until * length, [parts[k] for k in numbers]) for until, numbers in curriculum]
        self.length, self.seed = length, seed
        self.names = names_of(parts[0])
        self.rows, self.columns = canvas_size // 2 // patch_size, canvas_size // patch_size

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        rng = np.random.default_rng([self.seed, i])
        parts = next(parts for end, parts in self.phases if i < end)
        pair = parts[int(rng.integers(len(parts)))].pair("train", i)
        said = captions(pair.edit)
        return {
            "id": f"item-{i}",
            "pair": tuple(Image.open(io.BytesIO(side)) for side in (pair.before, pair.after)),
            "caption": said[int(rng.integers(len(said)))],
            "patch_labels": self.patch_labels(pair),
            "pair_labels": self.pair_labels(pair),
        }

    def patch_labels(self, pair):
        """`(2 * rows * columns, 5)` int64: the labels of the patches of both images."""
        edit, labels = pair.edit, []
        for side, (mask, scene) in enumerate(zip((pair.before_mask, pair.after_mask), pair.scenes, strict=True)):
            cover = _cover(mask, len(scene.objects) + 2, self.rows, self.columns)
            here = np.full((self.rows, self.columns, 5), IGNORE, np.int64)
            objects = cover[1 : len(scene.objects) + 1]
            present = np.zeros((self.rows, self.columns), bool)
            if len(objects):
                present = objects.max(0) > MIN_COVER
                named = np.array([self.names.index(o.name) for o in scene.objects])
                here[..., 1] = np.where(present, named[objects.argmax(0)], IGNORE)
            here[..., 0] = present
            here[..., 2] = CHANGES.index("background") * ~present if edit.category == "background" else 0
            changed = pair.changed_object[side]
            if changed is not None:
                kind = "add" if edit.category == "remove" else edit.category
                here[cover[changed + 1] > MIN_COVER, 2] = CHANGES.index(kind)
            written = cover[len(scene.objects) + 1] > MIN_COVER
            if pair.words[side] is not None and not (edit.category == "mirror" and side == 1):
                here[written, 4] = WORDS.index(pair.words[side])
            if edit.category == "text":
                here[written, 2] = CHANGES.index("text")
            here[..., 3] = self._whole(edit)
            labels.append(here.reshape(-1, 5))
        return np.concatenate(labels)

    def pair_labels(self, pair):
        """`(8,)` int64."""
        edit = pair.edit
        before, after = (
            None if k is None else scene.objects[k].name
            for k, scene in zip(pair.changed_object, pair.scenes, strict=True)
        )
        found = [
            (CATEGORIES, edit.category),
            (self.names, before),
            (self.names, after),
            (WHOLE, WHOLE[self._whole(edit)]),
            (COLORS, edit.value if edit.category == "color" else None),
            (SIZES, edit.value if edit.category == "resize" else None),
            (WORDS, edit.value if edit.category == "text" else None),
            (tuple(PLACES), edit.place),
        ]
        return np.array([IGNORE if value is None else values.index(value) for values, value in found])

    @staticmethod
    def _whole(edit):
        found = edit.value if edit.category in ("style", "global") else edit.category
        return WHOLE.index(found) if found in WHOLE else 0


def names_of(settings: PhotoSettings) -> tuple[str, ...]:
    """Names of the objects that a model is trained on, sorted."""
    return tuple(settings.material.objects_of("train"))


def classes(names: Sequence[str]) -> tuple[dict[str, int], dict[str, int], dict[str, list[float]]]:
    """What `add_auxiliary` takes for objects of these names: classes of patches and of pairs, and their weights."""
    patch = {"present": 2, "name": len(names), "change": len(CHANGES), "whole": len(WHOLE), "word": len(WORDS)}
    pair = {"category": len(CATEGORIES), "name_before": len(names), "name_after": len(names), "whole": len(WHOLE)}
    pair |= {"color": len(COLORS), "size": len(SIZES), "word": len(WORDS), "place": len(PLACES)}
    return patch, pair, {"change": [0.2] + [1.0] * (len(CHANGES) - 1)}  # most patches show no change


def _cover(mask, numbers, rows, columns):
    """Which part of each patch has each number, `(numbers, rows, columns)`."""
    height, width = mask.shape
    cell = (np.arange(height) * rows // height)[:, None] * columns + np.arange(width) * columns // width
    flat = mask.ravel().astype(np.int64) * (rows * columns) + cell.ravel()
    pixels = np.bincount(flat, minlength=numbers * rows * columns).reshape(numbers, rows, columns)
    return pixels / pixels.sum(0)
