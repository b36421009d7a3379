"""The names of splits, and the other words that people and benchmarks use for them."""

import re
from pathlib import Path

SPLITS = ("train", "validation", "test")  # their order is part of the seed of rendered scenes
WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


def split_named(word: str) -> str | None:
    """The split that a word stands for ("val", "Dev"), `None` if it stands for none."""
    return WORDS.get(word.strip().lower())


def split_of_path(path: Path) -> str | None:
    """
    The split that the name of a file says, or else the nearest of its folders, as the `datasets` library reads them:
    `val/metadata.csv`, `train-00000-of-00002.csv`. `None` if no part names one, or the part that does names several.
    """
    for part in (path.stem, *(folder.name for folder in path.parents)):
        found = {split for word in re.split(r"[^a-zA-Z]+", part) if (split := split_named(word))}
        if found:
            return found.pop() if len(found) == 1 else None
    return None
