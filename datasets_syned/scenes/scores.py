"""Scores that only the embedded benchmark can have, because its grammar can be read back."""

import json

import numpy as np

from .captions import captions, read
from .changes import CATEGORIES, Change
from .scene import SceneObject


def of_the_grammar(references, categories):
    """Whether captions can be read back: the first reference of every row says the row's category."""
    return all(read(refs[0])[0] == category for refs, category in zip(references, categories, strict=True))


def score_captions(predictions, references, categories):
    """Reads captions of the grammar back and compares what they say with the truth.

    Args:
        predictions (`Sequence[str]`): captions to score.
        references (`Sequence[Sequence[str]]`): of the same pairs; the first one is read for the truth.
        categories (`Sequence[str]`): of the pairs.

    Returns:
        `dict`: `category_accuracy`, share of pairs whose kind of change is named right; `attributes_accuracy`, share
        of *changed* pairs of which every attribute word of the changed object (size, color, material, shape) and, for
        color and texture, what it became are right; `exact`, share of captions equal to a reference;
        `no_change_precision`, `no_change_recall`, `no_change_f1`; `word_accuracy` by attribute, over the changed pairs
        in which an object was named; and `by_category` with the first three and `count`.

    Raises:
        ValueError: the lengths differ, or a reference is not of the grammar.
    """
    rows = []
    words = {"size": [], "color": [], "material": [], "shape": []}
    for i, (said, refs, category) in enumerate(zip(predictions, references, categories, strict=True)):
        truth, attributes = read(refs[0])
        if truth != category:
            raise ValueError(f"references[{i}]: {refs[0]!r} does not read as category {category!r}")
        kind, named = read(said)
        rows.append((category, kind == category, named == attributes, said.strip() in refs, kind == "none"))
        if attributes and named:
            for (_, right), a, b in zip(words.items(), attributes, named, strict=False):
                right.append(a == b)
    result = _rates(rows)
    true_positives = sum(row[4] and row[0] == "none" for row in rows)
    predicted, actual = sum(row[4] for row in rows), sum(row[0] == "none" for row in rows)
    result["no_change_precision"] = true_positives / max(1, predicted)
    result["no_change_recall"] = true_positives / max(1, actual)
    result["no_change_f1"] = 2 * true_positives / max(1, predicted + actual)
    result["word_accuracy"] = {name: float(np.mean(right)) if right else 0.0 for name, right in words.items()}
    result["by_category"] = {
        category: {**_rates(chosen), "count": len(chosen)}
        for category in CATEGORIES
        if (chosen := [row for row in rows if row[0] == category])
    }
    return result


def _rates(rows):
    changed = [row for row in rows if row[0] != "none"]
    return {
        "category_accuracy": float(np.mean([row[1] for row in rows])),
        "attributes_accuracy": float(np.mean([row[2] for row in changed])) if changed else None,
        "exact": float(np.mean([row[3] for row in rows])),
    }


def oracle_captions(rows, seed=0):
    """
    What a perfect describer says: one caption of the grammar, drawn at random, for each row. `None` for rows (a
    `datasets.Dataset`) that were loaded without the column scene, which `masks=True` adds.
    """
    if "scene" not in rows.column_names:
        return None
    rng = np.random.default_rng(seed)
    said = []
    for scene, category in zip(map(json.loads, rows["scene"]), rows["category"], strict=True):
        sides = [tuple(SceneObject(**o) for o in scene[f"{side}_objects"]) for side in ("before", "after")]
        old, new = (
            None if k is None else objects[k] for k, objects in zip(scene["changed_object"], sides, strict=True)
        )
        choices = captions(Change(category, *sides, old, new))
        said.append(choices[int(rng.integers(len(choices)))])
    return said
