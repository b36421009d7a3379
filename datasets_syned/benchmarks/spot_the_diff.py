"""Spot-the-Diff: pairs of frames of surveillance cameras, minutes apart, and what people say differs."""

from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from .base import BenchmarkConfig, Plan
from .records import first_folder, kind_of, read_records

FILES = {"train": "train.json", "validation": "val.json", "test": "test.json"}


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

    def read(self, root: Path) -> Plan:
        folder = first_folder(root, ("", "annotations", "data/annotations"), FILES.values(), self)
        annotations = [folder / name for name in FILES.values()]
        images = next(
            (root / name for name in ("images", "resized_images", "data/resized_images") if (root / name).is_dir()),
            root,
        )
        before, after = (images / name if (images / name).is_dir() else images for name in ("original", "modified"))
        plan = Plan({}, annotations)
        for split, path in zip(FILES, annotations, strict=True):
            sentences = {}
            for record in read_records(path):
                sentences.setdefault(record.text("img_id"), []).extend(record.texts("sentences"))
            pairs, empty = [], 0
            for name, captions in sentences.items():
                empty += not captions
                if captions or self.keep_empty:
                    pair = before / f"{name}.png", after / f"{name}_2.png"
                    pairs.append(Pair(name, *pair, tuple(captions) or ("",), *kind_of(captions)))
            plan.pairs[split] = pairs
            if empty and not self.keep_empty:
                plan.dropped[split] = {"no caption but an empty one": empty}
        return plan
