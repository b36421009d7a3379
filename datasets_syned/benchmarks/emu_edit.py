"""Emu Edit's test set with the images that its authors generated: "EE" in the papers."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..common.pairs import Pair
from .base import BenchmarkFilesError, HubConfig, Plan, logger, shards
from .records import lists_by_split, read_object, read_parquet
from .references import PARAPHRASES, PARAPHRASES_SOURCE, clean, read_paraphrases

IMAGES = ("image", "edited_image")
SPLITS_FILE = "splits.json"
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
        splits (`str`, *optional*): a file that cuts the validation split in another way: lists of `idx` as "train" and
            "validation". A relative path is looked up in `data_dir`, then in the working folder. By default
            `splits.json` in `data_dir`, if it is there, or else [`authors_splits`], which says the same.
        uncut (`bool`, *optional*, defaults to `False`): take the whole validation split as "train", 3,589 pairs.
        references (`str`, *optional*): BLIP2IDC's file of paraphrases of the test instructions
            (`gt_augmented_test_clean.json`), looked up likewise. With it, the captions of a test pair are its
            instruction and the paraphrases, cleaned by the rules of `references.py`. By default there is the
            instruction alone.
        raw_references (`bool`, *optional*, defaults to `False`): take the paraphrases as they are, as the published
            numbers do: with quotes, refusals, and two that are empty.
        repo, data_dir, on_error: see [`HubConfig`].
    """

    name: str = "emu_edit"
    repo: str | None = "facebook/emu_edit_test_set_generations"
    splits: str | None = None
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
    HUB_FILES = ("data/validation-*.parquet", "data/test-*.parquet", SPLITS_FILE, PARAPHRASES)
    PLACES = HubConfig.PLACES | {"splits", "references"}

    def read(self, root: Path) -> Plan:
        if self.raw_references and self.references is None:
            raise ValueError("raw_references=True needs references=<the file of paraphrases>")
        plan = Plan({}, [])
        pairs = read_pairs(self, plan, root, "validation")
        if self.uncut:
            self.add(plan, "train", pairs)
        else:
            self._cut(plan, pairs, locate(self.splits or SPLITS_FILE, root))
        self.add(plan, "test", read_pairs(self, plan, root, "test"))
        if self.references is not None:
            add_references(plan, locate(self.references, root), self.raw_references)
        return plan

    def _cut(self, plan: Plan, pairs: list[Pair], file: Path) -> None:
        if file.is_file():
            names = self._listed(plan, pairs, file)
        elif self.splits is not None:
            raise BenchmarkFilesError(f"{file} is missing; without splits= the pairs are cut as BLIP2IDC did")
        else:
            names = authors_splits()
        for split, chosen in names.items():
            self.add(plan, split, [pair for pair in pairs if pair.id in chosen])
        unknown = sum(pair.id not in names["train"] | names["validation"] for pair in pairs)
        plan.drop("train", "idx is in neither split", unknown)

    def _listed(self, plan: Plan, pairs: list[Pair], file: Path) -> dict[str, set[str]]:
        listed = lists_by_split(read_object(file))
        plan.annotations.append(file)
        if missing := {"train", "validation"} - listed.keys():
            raise BenchmarkFilesError(f"{file} has no list of idx {' nor '.join(map(repr, sorted(missing)))}")
        names = {split: set(map(str, listed[split])) for split in ("train", "validation")}
        wrong = {
            "in both lists": names["train"] & names["validation"],
            "in no row of the validation split": set().union(*names.values()) - {pair.id for pair in pairs},
        }
        for what, found in wrong.items():
            if found:
                shown = ", ".join(sorted(found, key=lambda name: (len(name), name))[:5])
                raise BenchmarkFilesError(f"{file}: {len(found)} idx are {what}: {shown}")
        return names


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


def locate(name: str, root: Path) -> Path:
    """A file that was named as an argument: in the data's folder, or else as the path says."""
    path = Path(name).expanduser()
    return root / path if (root / path).is_file() or not path.is_file() else path


def read_pairs(config: HubConfig, plan: Plan, root: Path, split: str) -> list[Pair]:
    """Pairs of one of Emu Edit's own splits."""
    files = shards(root, split)
    if not files:
        raise EmuEditConfig(name=config.name).missing(f"{split}-*.parquet", root, root / "data")
    plan.parquet += files
    pairs = []
    for record, images in read_parquet(files, ("idx", "instruction", "task"), IMAGES):
        name, task = record.text("idx"), record.text("task").lower()
        if caption := record.text("instruction", needed=False):
            pairs.append(Pair(name, *images, (caption,), task))
        else:
            plan.drop(split, "no instruction")
    return pairs


def add_references(plan: Plan, file: Path, raw: bool) -> None:
    """Adds paraphrases to the captions of the test pairs, behind the instruction, and notes what was done to them."""
    if not file.is_file():
        raise BenchmarkFilesError(f"{file} is missing. It can be had from {PARAPHRASES_SOURCE}.")
    paraphrases = read_paraphrases(file)
    if not any(pair.id in paraphrases for pair in plan.pairs["test"]):
        raise BenchmarkFilesError(f"{file} has none of the idx of the test split")
    plan.annotations.append(file)
    notes = {}
    if not raw:
        paraphrases, notes = clean(paraphrases)
    notes |= {"dropped: is the instruction": 0, "pairs with the instruction alone": 0}
    pairs = []
    for pair in plan.pairs["test"]:
        others = paraphrases.get(pair.id, [])
        if not raw:
            kept = [text for text in others if text not in pair.captions]
            notes["dropped: is the instruction"] += len(others) - len(kept)
            others = kept
        notes["pairs with the instruction alone"] += not others
        pairs.append(replace(pair, captions=(*pair.captions, *others)))
    plan.pairs["test"] = pairs
    plan.notes["test"] = {what: count for what, count in notes.items() if count}
    logger.info(f"{file}: " + "; ".join(f"{what}: {count}" for what, count in plan.notes["test"].items()))
