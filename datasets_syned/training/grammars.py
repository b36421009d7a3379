"""The embedded benchmarks, whose captions can be read back."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ..photos import scores as photos
from ..scenes import scores as scenes

GRAMMARS: dict[str, ModuleType] = {"scenes": scenes, "photos": photos}


def grammar_of(references: Sequence[Sequence[str]], categories: Sequence[str] | None) -> str | None:
    """The embedded benchmark of whose grammar the references of all rows are: "scenes", "photos" or `None`."""
    if categories is None:
        return None
    return next((name for name, module in GRAMMARS.items() if module.of_the_grammar(references, categories)), None)


def score_captions(
    predictions: Sequence[str], references: Sequence[Sequence[str]], categories: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    """
    What only an embedded benchmark has: its name and, read from the captions, which parts of them are right. Empty for
    other rows. See `score_captions` of `datasets_syned.scenes.scores` and `datasets_syned.photos.scores`.
    """
    name = grammar_of(references, categories)
    return {} if name is None else {name: GRAMMARS[name].score_captions(predictions, references, categories)}
