"""LEVIR-CC: satellite images of the same place, years apart."""

from dataclasses import dataclass
from pathlib import Path

from ..common.caption_text import says_no_change
from ..common.pairs import Pair
from ..common.row import NO_CHANGE
from ..common.splits import SPLITS, split_named
from .base import BenchmarkConfig, Plan
from .records import Record, as_records, first_folder, read_object

FILE = "LevirCCcaptions.json"


@dataclass
class LevirCCConfig(BenchmarkConfig):
    """
    Configuration "levir_cc" (Liu et al., TGRS 2022). 10,077 pairs of 256x256 pixels with five sentences each. A pair
    is "none" if its `changeflag` is 0 (where there is no flag, if all sentences say that nothing changed), and
    "change" otherwise.

    Layout: `LevirCCcaptions.json` and `images/<split>/{A,B}/<filename>` in `data_dir`, as the authors' README and code
    have it. The number of pairs by split is that of the papers; the sum is the README's.

    Args: data_dir, on_error, see [`BenchmarkConfig`].
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

    def read(self, root: Path) -> Plan:
        path = first_folder(root, ("",), [FILE], self) / FILE
        plan = Plan({split: [] for split in SPLITS}, [path])
        for record in as_records(path, read_object(path).items("images")):
            word, name = record.text("split"), record.text("filename")
            split = split_named(word) or record.fail("split", f"must be train, val or test, not {word!r}")
            captions = sentences(record)
            pair = (root / "images" / word / side / name for side in "AB")
            if captions:
                flag = record.values.get("changeflag")
                changed = not all(map(says_no_change, captions)) if flag is None else bool(flag)
                category = "change" if changed else NO_CHANGE
                plan.pairs[split].append(Pair(Path(name).stem, *pair, captions, category, changed))
            else:
                plan.drop(split, "no caption")
        return plan


def sentences(record: Record) -> tuple[str, ...]:
    """The captions of a record: `[{"raw": "a house was built", "tokens": [...]}, ...]`."""
    return tuple(sentence.text("raw") for sentence in as_records(record.where, record.items("sentences"), "sentence"))
