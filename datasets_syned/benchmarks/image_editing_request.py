"""Image Editing Request: photographs before and after an edit that somebody asked for on the web."""

from dataclasses import dataclass, replace
from pathlib import Path

from ..common.pairs import Pair
from .base import BenchmarkConfig, Plan
from .records import first_folder, read_records

FILES = {"train": "train.json", "validation": "valid.json", "test": "test.json"}


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

    def read(self, root: Path) -> Plan:
        folder = first_folder(root, ("",), FILES.values(), self)
        images = root / "images" if (root / "images").is_dir() else root
        annotations = [folder / name for name in FILES.values()]
        plan = Plan({}, annotations)
        for split, path in zip(FILES, annotations, strict=True):
            pairs = []
            for record in read_records(path):
                pair = images / record.text("img0"), images / record.text("img1")
                if captions := record.texts("sents"):
                    pairs.append(Pair(record.text("uid"), *pair, captions, "edit"))
                else:
                    plan.drop(split, "no caption but an empty one")
            plan.pairs[split] = pairs
        if self.leak_free:
            tested = {pair.images for pair in plan.pairs["test"]}
            for split in ("train", "validation"):
                kept = [pair for pair in plan.pairs[split] if pair.images not in tested]
                plan.drop(split, "pair is in test", len(plan.pairs[split]) - len(kept))
                plan.pairs[split] = kept
        if self.dedupe:
            for split, pairs in plan.pairs.items():
                plan.pairs[split] = merged = merge(pairs)
                plan.drop(split, "record merged into another of its pair", len(pairs) - len(merged))
        return plan


def merge(pairs: list[Pair]) -> list[Pair]:
    """One pair for each two images, with the different captions of all, in order."""
    found = {}
    for pair in pairs:
        first = found.get(pair.images, pair)
        found[pair.images] = replace(first, captions=tuple(dict.fromkeys(first.captions + pair.captions)))
    return list(found.values())
