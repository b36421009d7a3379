"""What the renderer knows about every patch, as labels for training a small model from nothing.

A row of `load_dataset("syned", "scenes", masks=True)` is prepared: the canvas that the model will see and the
labels of its patches. [`DenseSupervision`] then deals them out, mirrored, swapped and with one caption each.
"""

import json
from collections.abc import Sequence

import numpy as np
from datasets import concatenate_datasets
from PIL import Image

from ..scenes.captions import PHRASINGS
from ..scenes.changes import CATEGORIES
from ..scenes.scene import COLORS, MATERIALS, SHAPES, SIZES

IGNORE = -100
MIN_COVER = 0.12  # part of a patch that an object must cover to be its content
ATTRIBUTES = {"shape": list(SHAPES), "color": list(COLORS), "material": list(MATERIALS), "size": list(SIZES)}
CHANGE_AT_PATCH = {"none": 0, "color": 1, "texture": 2, "move": 3, "add": 4, "drop": 4}  # 4: in this image only
PATCH_CLASSES = {"present": 2, **{name: len(values) for name, values in ATTRIBUTES.items()}, "change": 5}
PAIR_CLASSES = {
    "category": len(CATEGORIES),
    **{f"{name}_{side}": len(values) for side in ("before", "after") for name, values in ATTRIBUTES.items()},
}
CLASS_WEIGHTS = {"change": [0.15, 1.0, 1.0, 1.0, 1.0]}  # most patches show no change
CLASSES = (PATCH_CLASSES, PAIR_CLASSES, CLASS_WEIGHTS)  # what `add_auxiliary` takes


def patch_labels(mask, objects, changed, category, rows, columns):
    """
    Labels of the patches of one image, `(rows, columns, len(PATCH_CLASSES))` int16: the largest object in the patch
    (-100 where there is none), and what happened. In `mask`, 0 is the ground and `i + 1` is `objects[i]`.
    """
    height, width = mask.shape
    cell = (np.arange(height) * rows // height)[:, None] * columns + np.arange(width) * columns // width
    pixels = np.bincount(
        mask.ravel().astype(np.int64) * (rows * columns) + cell.ravel(), minlength=(len(objects) + 1) * rows * columns
    ).reshape(len(objects) + 1, rows, columns)
    cover = pixels / pixels.sum(0)
    largest = cover[1:].argmax(0)
    present = cover[1:].max(0) > MIN_COVER
    labels = np.full((rows, columns, len(PATCH_CLASSES)), IGNORE, np.int16)
    labels[..., 0] = present
    for i, (name, values) in enumerate(ATTRIBUTES.items(), start=1):
        of_object = np.array([values.index(o[name]) for o in objects], np.int16)
        labels[..., i] = np.where(present, of_object[largest], IGNORE)
    labels[..., -1] = 0
    if changed is not None:
        labels[cover[changed + 1] > MIN_COVER, -1] = CHANGE_AT_PATCH[category]
    return labels


def prepare_row(row, make_canvas, patch_size):
    """Canvas (uint8) and patch labels (int16), both as bytes, of a row with masks; for `Dataset.map`."""
    canvas = np.asarray(make_canvas(row["before"], row["after"]))
    height, width = canvas.shape[:2]
    rows, columns = height // 2 // patch_size, width // patch_size
    scene = json.loads(row["scene"])
    patches, pair = [], [CATEGORIES.index(row["category"])]
    for side, changed in zip(("before", "after"), scene["changed_object"], strict=True):
        objects, mask = scene[f"{side}_objects"], np.asarray(row[f"{side}_mask"])
        patches.append(patch_labels(mask, objects, changed, row["category"], rows, columns))
        one = None if changed is None else objects[changed]
        pair += [IGNORE if one is None else values.index(one[name]) for name, values in ATTRIBUTES.items()]
    return {
        "canvas": canvas.tobytes(),
        "height": height,
        "width": width,
        "columns": columns,
        "patch_labels": np.stack(patches).tobytes(),
        "pair_labels": pair,
        "captions": row["captions"],
        "captions_reversed": scene["captions_reversed"],
    }


def check_curriculum(curriculum, parts):
    """Raises a `ValueError` unless a curriculum (see [`DenseSupervision`]) fits a number of parts."""
    try:
        ends = [float(until) for until, _ in curriculum]
    except (TypeError, ValueError) as error:
        raise ValueError(f"curriculum {curriculum!r} must be a list of [until, [numbers of parts]]") from error
    if ends != sorted(ends) or not ends or ends[0] <= 0 or ends[-1] != 1:
        raise ValueError(f"curriculum {curriculum}: phases end in rising order, the last one at 1.0")
    for until, numbers in curriculum:
        if not isinstance(numbers, Sequence) or not numbers or not set(numbers) <= set(range(parts)):
            raise ValueError(f"curriculum, phase until {until}: {numbers} must name parts from 0 to {parts - 1}")


class DenseSupervision:
    """A whole training run, in order: item `i` is a function of `(seed, i)`, so that a resumed run sees the same.

    Each item draws a row, swaps before and after in half of the cases (with the captions of the reversed change),
    mirrors half of them, and takes one of the captions.

    Args:
        parts (`Sequence[datasets.Dataset]`): rows of [`prepare_row`].
        curriculum (`Sequence[tuple[float, Sequence[int]]]`): `(until, numbers of parts)` for each phase of the run, in
            order: rows are drawn from those parts together while less than `until` of the run is over. The last one
            ends at 1.0.
        length (`int`): items in the run.
        seed (`int`, *optional*, defaults to 0): of every draw.

    Raises:
        ValueError: phases that are not in order, do not end at 1.0, or name a part that there is not.
    """

    def __init__(self, parts, curriculum, length, seed=0):
        check_curriculum(curriculum, len(parts))
        self.length, self.seed = length, seed
        self.phases = [
            (until * length, concatenate_datasets([parts[k] for k in numbers]).with_format("python"))
            for until, numbers in curriculum
        ]

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        rng = np.random.default_rng([self.seed, i])
        rows = next(rows for end, rows in self.phases if i < end)
        row = rows[int(rng.integers(len(rows)))]
        halves = np.frombuffer(row["canvas"], np.uint8).reshape(2, row["height"] // 2, row["width"], 3)
        patches = np.frombuffer(row["patch_labels"], np.int16)
        pair, said = row["pair_labels"], row["captions"]
        patches = patches.reshape(2, -1, row["columns"], len(PATCH_CLASSES))
        swap, mirror = rng.random(2) < 0.5
        if swap:
            halves, patches, said = halves[::-1], patches[::-1], row["captions_reversed"]
            pair = [_reversed_category(pair[0]), *pair[5:], *pair[1:5]]
        if mirror:  # no caption speaks of left and right
            halves, patches = halves[:, :, ::-1], patches[:, :, ::-1]
        return {
            "id": f"item-{i}",
            "pair": tuple(Image.fromarray(np.ascontiguousarray(half)) for half in halves),
            "caption": said[int(rng.integers(len(said)))],
            "patch_labels": patches.reshape(-1, len(PATCH_CLASSES)).astype(np.int64),
            "pair_labels": np.array(pair),
        }


def _reversed_category(index):
    swapped = {"add": "drop", "drop": "add"}.get(CATEGORIES[index], CATEGORIES[index])
    return CATEGORIES.index(swapped)


class DenseSupervisionCollator:
    """Batches of [`DenseSupervision`]: the inputs of the processor, and the labels of patches and pairs."""

    def __init__(self, processor):
        self.processor = processor

    def __call__(self, items):
        batch = dict(self.processor(images=[x["pair"] for x in items], captions=[x["caption"] for x in items]))
        for name in ("patch_labels", "pair_labels"):
            batch[name] = batch["input_ids"].new_tensor(np.stack([x[name] for x in items]))
        return batch


def vocabulary():
    """Every word of the grammar, sorted: the tokenizer of a model that speaks nothing else needs no more."""
    words = {word for patterns in PHRASINGS.values() for pattern in patterns for word in pattern.split()}
    words |= {value for values in ATTRIBUTES.values() for value in values}
    return sorted(words - {"{object}", "{value}"} | set("closest to behind in front of the".split()))
