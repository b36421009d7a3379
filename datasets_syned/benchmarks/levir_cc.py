"""LEVIR-CC: satellite images of the same place, years apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from ..common.row import NO_CHANGE
from .base import BenchmarkConfig
from .records import Record, kind_of, read_object


@dataclass
class LevirCCConfig(BenchmarkConfig):
    """
    Configuration "levir_cc" (Liu et al., TGRS 2022). 10,077 pairs of 256x256 pixels with five sentences each. A pair
    is "none" if its `changeflag` is 0 (where there is no flag, if all sentences say that nothing changed), and
    "change" otherwise.

    Layout: `LevirCCcaptions.json` and `images/<split>/{A,B}/<filename>` in `data_dir`, as the authors' README and code
    have it. The number of pairs by split is that of the papers; the sum is the README's.
    """

    name: str = "levir_cc"

    TITLE = "LEVIR-CC"
    SOURCES = (
        "https://github.com/Chen-Yang-Liu/RSICC (link to the archive in its README)",
        "https://huggingface.co/datasets/lcybuaa/LEVIR-CC",
    )
    HOMEPAGE = "https://github.com/Chen-Yang-Liu/RSICC"
    LICENSE = "none stated"
    CITATION = """@article{liu2022remote,
  title={Remote Sensing Image Change Captioning With Dual-Branch Transformers: A New Method and a Large Scale Dataset},
  author={Liu, Chenyang and Zhao, Rui and Chen, Hao and Zou, Zhengxia and Shi, Zhenwei},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={60},
  year={2022}
}"""
    COUNTS = {"train": 6815, "validation": 1333, "test": 1929}

    FILES = ("LevirCCcaptions.json",)

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        for record in read_object(files[0]).records("images", "record"):
            name, flag, captions = record.text("filename"), record.values.get("changeflag"), sentences(record)
            kind = kind_of(captions) if flag is None else ("change", True) if flag else (NO_CHANGE, False)
            sides = (root / "images" / record.text("split") / side / name for side in "AB")
            yield record.split(), Pair(Path(name).stem, *sides, captions, *kind)


def sentences(record: Record) -> list[str]:
    """The captions of a record: `[{"raw": "a house was built", "tokens": [...]}, ...]`."""
    return [sentence.text("raw") for sentence in record.records("sentences", "sentence")]
