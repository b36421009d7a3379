"""VisMin: photographs and generated images, each with copies in which one thing was changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from .base import HubConfig, Plan
from .records import read_parquet

COLUMNS = ("image_id", "source_image_id", "category")


@dataclass
class VisMinConfig(HubConfig):
    """
    Configuration "vismin" (Awal et al., NeurIPS 2024). Every edited image is a row, behind the image that it was made
    from; all are to train on. The category is the benchmark's: object, attribute, counting, relation.

    Layout: the Arrow files of the Hub, `data/train/*.arrow` as `save_to_disk` writes them, in `data_dir`. The card
    names the columns `image_id`, `image`, `caption`, `source_image_id` (empty for an original) and `category`. It says
    that edit instructions were added, and not under which name; that the files hold the bytes of the images was not
    verified either. The card counts 65,000 samples; the README of the code 64,392.

    Args:
        caption (`str`, *optional*, defaults to `"edit_instruction"`): the column that says what changed. `"caption"`
            takes the description of the edited image.
        repo, data_dir, on_error: see [`HubConfig`].
    """

    name: str = "vismin"
    repo: str | None = "mair-lab/vismin"
    caption: str = "edit_instruction"

    TITLE = "VisMin"
    SOURCES = ("https://huggingface.co/datasets/mair-lab/vismin",)
    HOMEPAGE = "https://github.com/rabiulcste/vismin"
    LICENSE = "cc-by-sa-4.0"
    CITATION = """@inproceedings{awal2024vismin,
  title={VisMin: Visual Minimal-Change Understanding},
  author={Awal, Rabiul and Ahmadi, Saba and Zhang, Le and Agrawal, Aishwarya},
  booktitle={NeurIPS},
  year={2024}
}"""
    HUB_FILES = ("data/train/*.arrow",)

    def find(self, root: Path) -> Plan:
        files = sorted((root / "data" / "train").glob("*.arrow")) or sorted((root / "train").glob("*.arrow"))
        if not files:
            raise self.missing("data/train/*.arrow", root)
        return Plan(parquet=files)

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        rows = list(read_parquet(files, (*COLUMNS, self.caption), ("image",)))
        originals = {record.text("image_id"): cell for record, (cell,) in rows if not record.values["source_image_id"]}
        for record, (after,) in rows:
            if source := record.text("source_image_id", needed=False):
                before = originals.get(source) or record.fail("source_image_id", f"is {source!r}, which no row has")
                captions = [record.text(self.caption)]
                yield "train", Pair(record.text("image_id"), before, after, captions, record.text("category"))
