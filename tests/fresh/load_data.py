"""
Loads the configurations of a data set by its name on a Hub. Runs where `datasets` is; with pillow, which `datasets`
does not require, it looks at the pictures as well.

Its arguments: the repository, and the configurations.
"""

import hashlib
import importlib.util
import sys

import datasets

SIDES = ("before", "after")
pillow = importlib.util.find_spec("PIL") is not None
repo, *configs = sys.argv[1:]


def plain(row):
    """A row, with a digest in place of each picture's file."""
    return {**row, **{side: hashlib.sha256(row[side]["bytes"]).hexdigest() for side in SIDES}}


def rows(*name, **how):
    loaded = datasets.load_dataset(repo, *name, **how)
    for side in SIDES:
        loaded = loaded.cast_column(side, datasets.Image(decode=False))
    return {split: [plain(row) for row in data] for split, data in loaded.items()}


def pictures(name):
    """Digests of the pixels, and the sizes."""
    loaded = datasets.load_dataset(repo, name)
    images = [row[side] for data in loaded.values() for row in data for side in SIDES]
    return [[image.size, image.mode, hashlib.sha256(image.tobytes()).hexdigest()] for image in images]


datasets.disable_progress_bars()
found = {
    "rows": {name: rows(name) for name in configs},
    "streamed": {name: rows(name, streaming=True) for name in configs},
    "default": rows(),
    "pictures": {name: pictures(name) for name in configs} if pillow else None,
}
