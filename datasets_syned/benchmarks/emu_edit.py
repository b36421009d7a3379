"""Emu Edit's test set with the images that its authors generated: "EE" in the papers."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..common.image_cells import Cell
from ..common.pairs import Pair
from .base import BenchmarkFilesError, HubConfig, Plan, logger
from .records import Record
from .references import PARAPHRASES, PARAPHRASES_SOURCE, clean, read_paraphrases

VALIDATION_PAIRS, HELD_OUT = 3589, 539  # 15 % of them
SHARDS, SHARD_SIZE = 20, 180


@dataclass
class EmuEditConfig(HubConfig):
    """
    Configuration "emu_edit" (Sheynin et al., CVPR 2024). The instruction is the caption; the category is Emu Edit's
    task: add, background, color, global, local, remove, style, text. An id is the `idx` of the row, in its file.

    The validation split is cut into 3,050 pairs to train on and 539 to choose a model by, as BLIP2IDC did.

    Layout: the Parquet files of the Hub, `validation-*.parquet test-*.parquet` in `data_dir` or `data/`.

    Args:
        uncut (`bool`, *optional*, defaults to `False`): take the whole validation split as "train", 3,589 pairs.
        references (`str`, *optional*): BLIP2IDC's file of paraphrases of the test instructions
            (`gt_augmented_test_clean.json`), looked up in `data_dir`, then in the working folder. With it, the
            captions of a test pair are its instruction and the paraphrases, cleaned by the rules of `references.py`.
            By default there is the instruction alone.
        raw_references (`bool`, *optional*, defaults to `False`): take the paraphrases as they are, as the published
            numbers do: with quotes, refusals, and two that are empty.
        repo, data_dir, on_error: see [`HubConfig`].
    """

    name: str = "emu_edit"
    repo: str | None = "facebook/emu_edit_test_set_generations"
    uncut: bool = False
    references: str | None = None
    raw_references: bool = False

    TITLE = "Emu Edit"
    SOURCES = ("https://huggingface.co/datasets/facebook/emu_edit_test_set_generations",)
    HOMEPAGE = "https://huggingface.co/datasets/facebook/emu_edit_test_set_generations"
    LICENSE = "cc-by-nc-4.0"
    CITATION = """@inproceedings{sheynin2024emu,
  title={Emu Edit: Precise Image Editing via Recognition and Generation Tasks},
  author={Sheynin, Shelly and Polyak, Adam and Singer, Uriel and Kirstain, Yuval and Zohar, Amit and Ashual, Oron and
    Parikh, Devi and Taigman, Yaniv},
  booktitle={CVPR},
  year={2024}
}"""
    COUNTS = {"train": 3050, "validation": 539, "test": 2022}
    HUB_FILES = ("data/validation-*.parquet", "data/test-*.parquet", PARAPHRASES)
    SHARDS = {"validation": "validation", "test": "test"}
    COLUMNS = ("idx", "instruction", "task")
    IMAGES = ("image", "edited_image")
    PLACES = HubConfig.PLACES | {"references"}

    def read(self, root: Path) -> Plan:
        if self.raw_references and self.references is None:
            raise ValueError("raw_references=True needs references=<the file of paraphrases>")
        plan = super().read(root)
        if self.references is not None:
            path = Path(self.references).expanduser()
            self._add_references(plan, root / path if (root / path).is_file() else path)
        theirs, test = plan.pairs.get("validation", []), plan.pairs.get("test", [])
        cut = {"train": {pair.id for pair in theirs}} if self.uncut else authors_splits()
        mine = {split: [pair for pair in theirs if pair.id in names] for split, names in cut.items()}
        plan.pairs = {**mine, "test": test}
        plan.drop("train", "idx is in neither split", len(theirs) - sum(map(len, mine.values())))
        return plan

    def pair(self, record: Record, *images: Cell) -> Pair:
        caption = record.text("instruction", needed=False)
        return Pair(record.text("idx"), *images, [caption] if caption else [], record.text("task").lower())

    def _add_references(self, plan: Plan, file: Path) -> None:
        """Adds paraphrases to the captions of the test pairs, behind the instruction; notes what was done to them."""
        if not file.is_file():
            raise BenchmarkFilesError(f"{file} is missing. It can be had from {PARAPHRASES_SOURCE}.")
        paraphrases, notes = read_paraphrases(file), {}
        if not any(pair.id in paraphrases for pair in plan.pairs["test"]):
            raise BenchmarkFilesError(f"{file} has none of the idx of the test split")
        plan.annotations.append(file)
        if not self.raw_references:
            paraphrases, notes = clean(paraphrases)
        notes |= {"dropped: is the instruction": 0, "pairs with the instruction alone": 0}
        for number, pair in enumerate(plan.pairs["test"]):
            others = paraphrases.get(pair.id, [])
            kept = [text for text in others if self.raw_references or text not in pair.captions]
            notes["dropped: is the instruction"] += len(others) - len(kept)
            notes["pairs with the instruction alone"] += not kept
            plan.pairs["test"][number] = replace(pair, captions=[*pair.captions, *kept])
        plan.notes["test"] = {what: count for what, count in notes.items() if count}
        logger.info(f"{file}: " + "; ".join(f"{what}: {count}" for what, count in plan.notes["test"].items()))


def authors_splits() -> dict[str, set[str]]:
    """
    The idx of BLIP2IDC's train and validation split, exactly those of its `splits.json`: what scikit-learn's
    `train_test_split(idx, test_size=0.15, random_state=42)` gives for the order in which its files have them, one of
    each of 20 shards after the other. That is a legacy permutation of numpy, which stays as it is (NEP 19).
    """
    order = [first + SHARD_SIZE * shard for first in range(SHARD_SIZE) for shard in range(SHARDS)]
    order = [str(index) for index in order if index < VALIDATION_PAIRS]
    shuffled = [order[place] for place in np.random.RandomState(42).permutation(VALIDATION_PAIRS)]
    return {"train": set(shuffled[HELD_OUT:]), "validation": set(shuffled[:HELD_OUT])}
