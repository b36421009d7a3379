"""Scores that only composed photographs can have, because the grammar of their captions can be read back."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .captions import CATEGORIES, Edit, captions, read


def of_the_grammar(references: Sequence[Sequence[str]], categories: Sequence[str]) -> bool:
    """Whether captions can be read back: the first reference of every row says the row's category."""
    edits = (read(said[0]) for said in references)
    return all(
        edit is not None and edit.category == category for edit, category in zip(edits, categories, strict=True)
    )


def score_captions(
    predictions: Sequence[str], references: Sequence[Sequence[str]], categories: Sequence[str]
) -> dict[str, Any]:
    """
    Reads captions of the grammar back and compares what they say with the truth.

    Args:
        predictions (`Sequence[str]`): captions to score.
        references (`Sequence[Sequence[str]]`): of the same pairs; the first one is read for the truth.
        categories (`Sequence[str]`): of the pairs.

    Returns:
        `dict`: `category_accuracy`, share of pairs whose kind of edit is right; `object_accuracy`, share of the pairs
        of an edited object in which its name is right; `word_accuracy`, share of the texts that were read right;
        `value_accuracy`, share of the edits that lead to something (a color, a size, a text, a style, an effect,
        another object) in which that is right; `exact`, share of captions equal to a reference;
        `no_change_precision`, `no_change_recall`, `no_change_f1`; and `by_category`.

    Raises:
        ValueError: the lengths differ, or a reference is not of the grammar.
    """
    rows = []
    for i, (said, refs, category) in enumerate(zip(predictions, references, categories, strict=True)):
        truth, told = read(refs[0]), read(said) or Edit("")
        if truth is None or truth.category != category:
            raise ValueError(f"references[{i}]: {refs[0]!r} does not read as category {category!r}")
        kind = told.category == category
        named, valued = truth.name is not None, truth.value is not None
        rows.append(
            {
                "category": category,
                "said": told.category,
                "category_accuracy": kind,
                "object_accuracy": told.name == truth.name if named else None,
                "value_accuracy": kind and told.value == truth.value if valued else None,
                "exact": said.strip() in refs,
            }
        )
    texts = [row["value_accuracy"] for row in rows if row["category"] == "text"]
    right = sum(row["category"] == row["said"] == "none" for row in rows)
    said_none, none = (sum(row[name] == "none" for row in rows) for name in ("said", "category"))
    return {
        **_rates(rows),
        "word_accuracy": float(np.mean(texts)) if texts else None,
        "no_change_precision": right / max(1, said_none),
        "no_change_recall": right / max(1, none),
        "no_change_f1": 2 * right / max(1, said_none + none),
        "by_category": {
            category: {**_rates(chosen), "count": len(chosen)}
            for category in CATEGORIES
            if (chosen := [row for row in rows if row["category"] == category])
        },
    }


def _rates(rows):
    found = {}
    for name in ("category_accuracy", "object_accuracy", "value_accuracy", "exact"):
        values = [row[name] for row in rows if row[name] is not None]
        found[name] = float(np.mean(values)) if values else None
    return found


def oracle_captions(rows: Any, seed: int = 0) -> list[str]:
    """What a perfect describer says of rows (a `datasets.Dataset`): one caption of the grammar, drawn, for each."""
    rng = np.random.default_rng(seed)
    said = (captions(read(references[0])) for references in rows["captions"])
    return [choices[int(rng.integers(len(choices)))] for choices in said]
