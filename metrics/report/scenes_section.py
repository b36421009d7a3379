"""The section of the embedded scenes, whose captions can be read back."""

from collections.abc import Mapping
from typing import Any

from .figures import ABSENT, name_of, table, times_100

COLUMNS = {"category_accuracy": "kind", "attributes_accuracy": "words", "exact": "exact"}


def scenes_markdown(scenes: Mapping[str, Any], oracle_cider: float | None = None) -> str:
    """
    Args:
        scenes (`dict`): of `datasets_syned.scenes.scores.score_scene_captions`.
        oracle_cider (`float`, *optional*): CIDEr of a perfect describer.

    Returns:
        `str`: Markdown, with its heading.
    """
    rows = [["all", *_cells(scenes)]]
    rows += [[name_of(name), *_cells(part)] for name, part in scenes["by_category"].items()]
    words = ", ".join(f"{name} {times_100(value)}" for name, value in scenes["word_accuracy"].items())
    sentences = [
        "These captions are of a grammar and can be read back. *Kind*: the kind of change is named right. *Words*: "
        "every attribute word of the changed object, and what it became, is right. *Exact*: the caption equals a "
        f"reference. By attribute, of the objects that were named: {words}.",
    ]
    if oracle_cider is not None:
        sentences.append(f"A perfect describer has a CIDEr of {times_100(oracle_cider)}.")
    return f"## Scenes\n\n{' '.join(sentences)}\n\n{table(['%', *COLUMNS.values()], rows)}"


def _cells(part):
    return [ABSENT if part[key] is None else times_100(part[key]) for key in COLUMNS]
