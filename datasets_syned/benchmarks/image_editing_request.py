"""Image Editing Request: photographs before and after an edit that somebody asked for on the web."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..common.pairs import Pair
from ..common.splits import SPLITS
from .base import BenchmarkConfig, Plan
from .records import first_folder, read_records


@dataclass
class ImageEditingRequestConfig(BenchmarkConfig):
    """
    Configuration "image_editing_request" (Tan et al., ACL 2019). The official splits, record by record. Many records
    are of the same pair, and 55 pairs of valid and 1 of train are in test.

    Layout: `train.json valid.json test.json` in `data_dir`; images in `data_dir` or `images/`.

    Args:
        dedupe (`bool`, *optional*, defaults to `False`): one row for each pair of a split, with the sentences of all
            of its records: 2,507/357/446 rows. Its id is that of the first record.
        leak_free (`bool`, *optional*, defaults to `False`): leave out of train and validation the pairs that are in
            test.
        data_dir, on_error: see [`BenchmarkConfig`].
    """

    name: str = "image_editing_request"
    dedupe: bool = False
    leak_free: bool = False

    TITLE = "Image Editing Request"
    SOURCES = (
        "https://github.com/airsplay/VisualRelationships (dataset/, with the link to the images)",
        "a copy of the same archive at archive.org",
    )
    HOMEPAGE = "https://github.com/airsplay/VisualRelationships"
    LICENSE = "none stated"
    CITATION = """@inproceedings{tan2019expressing,
  title={Expressing Visual Relationships via Language},
  author={Tan, Hao and Dernoncourt, Franck and Lin, Zhe and Bui, Trung and Bansal, Mohit},
  booktitle={ACL},
  year={2019}
}"""
    COUNTS = {"train": 3061, "validation": 383, "test": 495}

    FILES = ("train.json", "valid.json", "test.json")

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        images = first_folder(root, "images")
        for split, path in zip(SPLITS, files, strict=True):
            for record in read_records(path):
                sides = (images / record.text(side) for side in ("img0", "img1"))
                yield split, Pair(record.text("uid"), *sides, record.texts("sents"), "edit")

    def read(self, root: Path) -> Plan:
        plan = super().read(root)
        tested = {pair.images for pair in plan.pairs.get("test", ())}
        for split, pairs in plan.pairs.items():
            if self.leak_free and split != "test":
                kept = [pair for pair in pairs if pair.images not in tested]
                plan.drop(split, "pair is in test", len(pairs) - len(kept))
                pairs = plan.pairs[split] = kept
            if self.dedupe:
                merged = {}
                for pair in pairs:
                    first = merged.get(pair.images, pair)
                    captions = dict.fromkeys((*first.captions, *pair.captions))
                    merged[pair.images] = replace(first, captions=tuple(captions))
                plan.drop(split, "record merged into another of its pair", len(pairs) - len(merged))
                plan.pairs[split] = list(merged.values())
        return plan
