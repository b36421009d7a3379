"""The section of an embedded benchmark, whose captions can be read back."""

from collections.abc import Mapping
from typing import Any

from .figures import ABSENT, name_of, table, times_100

COLUMNS = {
    "category_accuracy": ("kind", "the kind of change is named right"),
    "attributes_accuracy": ("words", "every attribute word of the changed object, and what it became, is right"),
    "object_accuracy": ("object", "the name of the edited object is right"),
    "value_accuracy": ("value", "what the edit led to (a color, a text, a style, another object) is right"),
    "exact": ("exact", "the caption equals a reference"),
}


def grammar_markdown(title: str, scores: Mapping[str, Any], oracle_cider: float | None = None) -> str:
    """
    Args:
        title (`str`): of the section.
        scores (`dict`): of `score_captions` in `datasets_syned.scenes.scores` or `datasets_syned.photos.scores`.
        oracle_cider (`float`, *optional*): CIDEr of a perfect describer.

    Returns:
        `str`: Markdown, with its heading.
    """
    columns = [key for key in COLUMNS if key in scores]
    rows = [
        [name, *(ABSENT if part[key] is None else times_100(part[key]) for key in columns)]
        for name, part in [("all", scores), *((name_of(name), part) for name, part in scores["by_category"].items())]
    ]
    said = "; ".join(f"*{COLUMNS[key][0]}*: {COLUMNS[key][1]}" for key in columns)
    sentences = [f"These captions are of a grammar and can be read back. {said}."]
    if isinstance(scores.get("word_accuracy"), Mapping):
        words = ", ".join(f"{name} {times_100(value)}" for name, value in scores["word_accuracy"].items())
        sentences.append(f"By attribute, of the objects that were named: {words}.")
    if oracle_cider is not None:
        sentences.append(f"A perfect describer has a CIDEr of {times_100(oracle_cider)}.")
    return f"## {title}\n\n{' '.join(sentences)}\n\n{table(['%', *(COLUMNS[key][0] for key in columns)], rows)}"
