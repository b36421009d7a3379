"""Img-Diff: generated images in which one object was replaced, described by a language model."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..common.pairs import Pair
from .base import BenchmarkConfig, Plan
from .records import as_records, first_folder, read_records

FILE = "img_diff_object_replacement.json"


@dataclass
class ImgDiffConfig(BenchmarkConfig):
    """
    Configuration "img_diff" (Jiao et al., 2024). 12,688 pairs, by the paper, all to train on. The caption is the
    answer of the language model, as it is: it speaks of "the left image" and of a red box, which no image shows.

    Layout: `img_diff_object_replacement.json` in `data_dir`, and the folder of the archive `object_replacement.zip`,
    in `data_dir` or in `object_replacement/`: the images are `<path>_0.jpg` and `<path>_1.jpg` of a record's `path`.
    Fields and names of images are those of the paper's examples and of code that reads them; the archive itself was
    not seen. The second part, "object removal", is not read: its answers are the letters of a multiple choice.

    Args: data_dir, on_error, see [`BenchmarkConfig`].
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

    def read(self, root: Path) -> Plan:
        path = first_folder(root, ("",), [FILE], self) / FILE
        records = read_records(path)
        places = [PurePosixPath(record.text("path")) for record in records]
        below = root / "object_replacement"
        folder = below if places and (below / places[0].parent).is_dir() else root
        plan = Plan({"train": []}, [path])
        for record, place in zip(records, places, strict=True):
            turns = as_records(record.where, record.items("conversations"), "turn")
            answers = tuple(turn.text("value") for turn in turns if turn.text("from") == "gpt")
            if not answers:
                record.fail("conversations", "has no answer from 'gpt'")
            images = (folder / f"{place}_{side}.jpg" for side in (0, 1))
            plan.pairs["train"].append(Pair(place.name, *images, answers, "object replacement"))
        return plan
