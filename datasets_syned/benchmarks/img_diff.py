"""Img-Diff: generated images in which one object was replaced, described by a language model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..common.pairs import Pair
from .base import BenchmarkConfig
from .records import first_folder, read_records


@dataclass
class ImgDiffConfig(BenchmarkConfig):
    """
    Configuration "img_diff" (Jiao et al., 2024). 12,688 pairs, by the paper, all to train on. The caption is the
    answer of the language model, as it is: it speaks of "the left image" and of a red box, which no image shows.

    Layout: `img_diff_object_replacement.json` in `data_dir`, and the folder of the archive `object_replacement.zip`,
    in `data_dir` or in `object_replacement/`: the images are `<path>_0.jpg` and `<path>_1.jpg` of a record's `path`.
    Fields and names of images are those of the paper's examples and of code that reads them; the archive itself was
    not seen. The second part, "object removal", is not read: its answers are the letters of a multiple choice.
    """

    name: str = "img_diff"

    TITLE = "Img-Diff"
    SOURCES = ("https://huggingface.co/datasets/datajuicer/Img-Diff",)
    HOMEPAGE = "https://github.com/modelscope/data-juicer/tree/ImgDiff"
    LICENSE = "apache-2.0"
    CITATION = """@article{jiao2024imgdiff,
  title={Img-Diff: Contrastive Data Synthesis for Multimodal Large Language Models},
  author={Jiao, Qirui and Chen, Daoyuan and Huang, Yilun and Li, Yaliang and Shen, Ying},
  journal={arXiv preprint arXiv:2408.04594},
  year={2024}
}"""
    COUNTS = {"train": 12688}

    FILES = ("img_diff_object_replacement.json",)

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        for record in read_records(files[0]):
            place = PurePosixPath(record.text("path"))
            turns = record.records("conversations", "turn")
            answers = [turn.text("value") for turn in turns if turn.text("from") == "gpt"]
            answers = answers or record.fail("conversations", "has no answer from 'gpt'")
            folder = first_folder(root, "object_replacement", holds=str(place.parent))
            sides = (folder / f"{place}_{side}.jpg" for side in (0, 1))
            yield "train", Pair(place.name, *sides, answers, "object replacement")
