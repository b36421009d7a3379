"""Spot-the-Diff: pairs of frames of surveillance cameras, minutes apart, and what people say differs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from ..common.splits import SPLITS
from .base import BenchmarkConfig
from .records import first_folder, kind_of, read_records


@dataclass
class SpotTheDiffConfig(BenchmarkConfig):
    """
    Configuration "spot_the_diff" (Jhamtani and Berg-Kirkpatrick, EMNLP 2018). A pair is one row with all sentences of
    all records of its `img_id`: the test split has 1,404 records of 1,270 pairs. A pair is "none" if
    all of its sentences say that there is no difference (149/8/55 pairs), and "change" otherwise.

    Layout: `train.json val.json test.json` in `data_dir`, `annotations/` or `data/annotations/`; the images
    `<img_id>.png` and `<img_id>_2.png` in `data_dir`, `images/`, `resized_images/` or `data/resized_images/`, or in
    `original/` and `modified/` below one of these.

    Args:
        keep_empty (`bool`, *optional*, defaults to `False`): keep the 37/4/7 pairs that have no sentence but an empty
            one, with an empty caption, as published predictions have them.
        data_dir, on_error: see [`BenchmarkConfig`].
    """

    name: str = "spot_the_diff"
    keep_empty: bool = False

    TITLE = "Spot-the-Diff"
    SOURCES = (
        "https://github.com/harsh19/spot-the-diff (annotations, and the link to the images)",
        "https://huggingface.co/datasets/HuggingFaceM4/the_cauldron (images, config spot_the_diff)",
    )
    HOMEPAGE = "https://github.com/harsh19/spot-the-diff"
    LICENSE = "none stated"
    CITATION = """@inproceedings{jhamtani2018spotthediff,
  title={Learning to Describe Differences Between Pairs of Similar Images},
  author={Jhamtani, Harsh and Berg-Kirkpatrick, Taylor},
  booktitle={EMNLP},
  year={2018}
}"""
    COUNTS = {"train": 8529, "validation": 1489, "test": 1263}

    FILES = ("train.json", "val.json", "test.json")
    FOLDERS = ("", "annotations", "data/annotations")

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        images = first_folder(root, "images", "resized_images", "data/resized_images")
        before, after = (first_folder(images, name) for name in ("original", "modified"))
        for split, path in zip(SPLITS, files, strict=True):
            said = {}
            for record in read_records(path):
                said.setdefault(record.text("img_id"), []).extend(record.texts("sentences"))
            if self.keep_empty:
                said = {name: captions or [""] for name, captions in said.items()}
            for name, captions in said.items():
                yield split, Pair(name, before / f"{name}.png", after / f"{name}_2.png", captions, *kind_of(captions))
