"""VLM-SubtleBench: pairs of nearly equal images of many domains, some of them with a description of the difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from ..common.splits import split_named
from .base import HubConfig, Plan
from .records import read_lines

FILES = ("data/val.jsonl", "data/test.jsonl")


@dataclass
class VLMSubtleBenchConfig(HubConfig):
    """
    Configuration "vlm_subtlebench" (Kim et al., 2026). A benchmark of multiple choice; the pairs that have a caption
    (`has_caption`) are read, the others are counted as left out. The category is the benchmark's: action, attribute,
    emotion, existence, quality, quantity, spatial, state, temporal, viewpoint.

    Layout: `data/test.jsonl data/val.jsonl` and the images that they name, as the authors' loader reads them: a path
    in `data_dir`, or the address of the file on the Hub, of which the part behind "/resolve/main/" is that path. The
    number of pairs with a caption was not verified.
    """

    name: str = "vlm_subtlebench"
    repo: str | None = "KRAFTON/VLM-SubtleBench"

    TITLE = "VLM-SubtleBench"
    SOURCES = ("https://huggingface.co/datasets/KRAFTON/VLM-SubtleBench",)
    HOMEPAGE = "https://github.com/krafton-ai/VLM-SubtleBench"
    LICENSE = "cc-by-nc-4.0"
    CITATION = """@article{kim2026vlmsubtlebench,
  title={VLM-SubtleBench: How Far Are VLMs from Human-Level Subtle Comparative Reasoning?},
  author={Kim, Minkyu and Lee, Sangheon and Park, Dongmin},
  journal={arXiv preprint arXiv:2603.07888},
  year={2026}
}"""
    HUB_FILES = ("data/*.jsonl", "images/**")

    def find(self, root: Path) -> Plan:
        plan = Plan([root / name for name in FILES if (root / name).is_file()])
        if not plan.annotations:
            raise self.missing(", ".join(FILES), root)
        return plan

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        for path in files:
            for record in read_lines(path):
                captions = [record.text("caption")] if record.value("has_caption") else []
                name = "_".join(record.text(key) for key in ("category", "source", "source_id"))
                sides = (root / record.text(key).split("/resolve/main/")[-1] for key in ("image_1", "image_2"))
                yield split_named(path.stem), Pair(name, *sides, captions, record.text("category"))
