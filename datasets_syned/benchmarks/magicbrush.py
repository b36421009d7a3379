"""MagicBrush: photographs and what a person made of them in an image editor, one instruction after the other."""

from dataclasses import dataclass

from ..common.image_cells import Cell
from ..common.pairs import Pair
from .base import HubConfig
from .records import Record


@dataclass
class MagicBrushConfig(HubConfig):
    """
    Configuration "magicbrush" (Zhang et al., NeurIPS 2023). Every turn is a row: the image before it, the one after
    it, and its instruction as the caption. Its id is `<img_id>-<turn_index>`; all are "edit".

    Layout: the Parquet files of the Hub, `train-*.parquet dev-*.parquet` in `data_dir` or `data/`. The test split is
    given out in an archive with a password, against contamination; `test-*.parquet` with the same columns is read
    where somebody has made it.
    """

    name: str = "magicbrush"
    repo: str | None = "osunlp/MagicBrush"

    TITLE = "MagicBrush"
    SOURCES = (
        "https://huggingface.co/datasets/osunlp/MagicBrush (train and dev)",
        "https://github.com/OSU-NLP-Group/MagicBrush (link to the archive with test)",
    )
    HOMEPAGE = "https://osu-nlp-group.github.io/MagicBrush"
    LICENSE = "cc-by-4.0"
    CITATION = """@inproceedings{zhang2023magicbrush,
  title={MagicBrush: A Manually Annotated Dataset for Instruction-Guided Image Editing},
  author={Zhang, Kai and Mo, Lingbo and Chen, Wenhu and Sun, Huan and Su, Yu},
  booktitle={NeurIPS},
  year={2023}
}"""
    COUNTS = {"train": 8807, "validation": 528}
    WITHHELD = {
        "test": "MagicBrush's test split must not be redistributed: its authors give it out with a password, so "
        "that no model is trained on it"
    }
    HUB_FILES = ("data/train-*.parquet", "data/dev-*.parquet")

    SHARDS = {"train": "train", "validation": "dev", "test": "test"}
    ABSENT = ("test",)
    COLUMNS = ("img_id", "turn_index", "instruction")
    IMAGES = ("source_img", "target_img")

    def pair(self, record: Record, *images: Cell) -> Pair:
        name, caption = (
            f"{record.text('img_id')}-{record.text('turn_index')}",
            record.text("instruction", needed=False),
        )
        return Pair(name, *images, [caption] if caption else [], "edit")
