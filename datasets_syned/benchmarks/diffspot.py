"""DiffSpot: screenshots of web pages in which one CSS property was changed, or none."""

import json
from dataclasses import dataclass

from ..common.image_cells import Cell
from ..common.pairs import Pair
from ..common.row import NO_CHANGE
from .base import HubConfig
from .records import Record

NO_DIFFERENCE = "there is no difference"


@dataclass
class DiffSpotConfig(HubConfig):
    """
    Configuration "diffspot" (Tencent, 2026). 4,400 pairs, all of them a test split; 500 are unchanged. The caption is
    the description of the change (`ground_truth_diff`); the category is the kind of change (`color`, `line_height`,
    ...: `type` in `mutation_dicts_json`). An unchanged pair without a description has the caption "there is no
    difference".

    Layout: the Parquet file of the Hub, `test-*.parquet` in `data_dir` or `data/`. Its columns are those that the
    authors' loader reads. The card says MIT; an older file of the repository, LICENSE-DATA.md, says CC BY-NC 4.0.
    """

    name: str = "diffspot"
    repo: str | None = "tencent/DiffSpot"

    TITLE = "DiffSpot"
    SOURCES = ("https://huggingface.co/datasets/tencent/DiffSpot",)
    HOMEPAGE = "https://github.com/Tencent/DiffSpot"
    LICENSE = "mit"
    CITATION = """@article{diffspot2026,
  title={DiffSpot: Can VLMs Spot Fine-Grained Visual Differences in Web Interfaces?},
  journal={arXiv preprint arXiv:2605.29615},
  year={2026}
}"""
    COUNTS = {"test": 4400}
    HUB_FILES = ("test-*.parquet", "data/test-*.parquet")
    SHARDS = {"test": "test"}
    COLUMNS = ("id", "difficulty", "task_type", "mutation_dicts_json", "ground_truth_diff")
    IMAGES = ("image_before", "image_after")

    def pair(self, record: Record, *images: Cell) -> Pair:
        changed = "no_diff" not in (record.values["task_type"], record.values["difficulty"])
        caption = record.text("ground_truth_diff", needed=changed) or NO_DIFFERENCE
        return Pair(record.text("id"), *images, [caption], _kind(record) if changed else NO_CHANGE, changed)


def _kind(record: Record) -> str:
    try:
        return Record(record.where, json.loads(record.texts("mutation_dicts_json")[0])).text("type")
    except (IndexError, TypeError, ValueError) as error:
        record.fail("mutation_dicts_json", f'must be a list of texts like {{"type": "color"}}: {error}')
