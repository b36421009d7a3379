"""Pairs that a synthesis pipeline made, with Emu Edit's test split to measure what they are good for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from ..common.image_cells import parquet_columns
from ..common.pairs import Pair
from ..common.row import FEATURES, PROVENANCE, validate
from ..common.run_record import RUN, SHEET, SUMMARY, UNFINISHED, RunRecord, read_record
from ..common.splits import SPLITS
from .base import BenchmarkFilesError, HubConfig, Plan, logger, shards
from .emu_edit import IMAGES as EMU_EDIT_IMAGES
from .emu_edit import EmuEditConfig, add_references, read_pairs
from .records import read_parquet
from .references import PARAPHRASES

IMAGES = ("before", "after")
COLUMNS = [name for name in FEATURES if name not in IMAGES]


@dataclass
class SyntheticConfig(HubConfig):
    """
    Configuration "synthetic", or "syned" as the paper calls its own (Evennou et al., WACV 2025): the rows that a
    synthesis pipeline wrote, as they are, with their provenance; and as the test split, where there are the files for
    it, the test pairs of Emu Edit with five references: the instruction and its paraphrases.

    Layout: `<split>-*.parquet` in `data_dir` or `data/`, with the columns of a row of this package. In the folder of
    a run of `syned synthesize`, also what the run says of itself; one that is not finished is refused. For the test
    split, Emu Edit's `test-*.parquet` and BLIP2IDC's `gt_augmented_test_clean.json`, in `emu_edit/` or in another
    folder.

    Args:
        emu_edit (`str`, *optional*): the folder with the files of the test split. By default it is the folder
            `emu_edit/` of `data_dir`, or else `data_dir` itself, and there is no such test split where they are not.
        references (`str`, *optional*, defaults to `"clean"`): `"clean"` mends the paraphrases by the rules of
            `references.py`; `"raw"` takes them as they are, as the published numbers do.
        repo, data_dir, on_error: see [`HubConfig`].
    """

    name: str = "synthetic"
    emu_edit: str | None = None
    references: str = "clean"

    TITLE = "a synthetic data set"
    SOURCES = (
        "the pipeline that synthesized it (data_dir=<the folder that it wrote>)",
        "a repository on the Hub (repo=<its name>)",
    )
    LICENSE = "that of the images and of the editor that it was made with"
    CITATION = ""
    HUB_FILES = tuple(f"{folder}{split}-*.parquet" for folder in ("", "data/", "emu_edit/") for split in SPLITS) + (
        PARAPHRASES,
        f"emu_edit/{PARAPHRASES}",
        *(RUN, SUMMARY, SHEET),
    )
    PLACES = HubConfig.PLACES | {"emu_edit"}

    @cached_property
    def record(self) -> RunRecord | None:
        """What the run that made the rows says of them, `None` if the folder is of none."""
        return read_record(self.root)

    def read(self, root: Path) -> Plan:
        if self.references not in ("clean", "raw"):
            raise ValueError(f"references={self.references!r} must be 'clean' or 'raw'")
        plan, record = Plan({}, []), self.record
        try:
            own = {split: shards(root, split) for split in SPLITS}
        except BenchmarkFilesError as error:
            if record is None:
                raise
            raise BenchmarkFilesError(f"{error}; {UNFINISHED}") from error
        own = {split: [file for file in files if not is_emu_edit(file)] for split, files in own.items()}
        for split, files in own.items():
            if files:
                self._read_rows(plan, split, files)
        if record is not None:
            record.check({split: len(pairs) for split, pairs in plan.pairs.items()})
            self._tell(plan, record)
        emu_edit = self._emu_edit(root)
        if emu_edit is not None:
            if own["test"]:
                raise BenchmarkFilesError(
                    f"config {self.name!r}: both {own['test'][0]} and Emu Edit's files in {emu_edit} are a test "
                    "split; put one of them elsewhere"
                )
            self.add(plan, "test", read_pairs(self, plan, emu_edit, "test"))
            add_references(plan, emu_edit / PARAPHRASES, self.references == "raw")
        if not plan.pairs:
            raise BenchmarkFilesError(
                f"config {self.name!r}: no {', '.join(f'{split}-*.parquet' for split in SPLITS)} in {root} or "
                f"{root / 'data'}"
            )
        if not any(plan.pairs.values()):
            raise BenchmarkFilesError(f"config {self.name!r}: the files in {root} have no rows{_why(plan)}")
        for split in [split for split, pairs in plan.pairs.items() if not pairs]:
            logger.warning(f"config {self.name!r}: no split {split!r}, its files have no rows{_why(plan, split)}")
        return plan

    def _tell(self, plan: Plan, record: RunRecord) -> None:
        """Takes in what a run counted."""
        for split in record.run["splits"]:
            for why, count in record.left_out(split).items():
                plan.drop(split, why, count)
            if notes := record.notes(split):
                plan.notes.setdefault(split, {}).update(notes)

    def _emu_edit(self, root: Path) -> Path | None:
        """The folder of the test split's files, if there is one."""
        if self.emu_edit is not None:
            folder = Path(self.emu_edit).expanduser()
            if not folder.is_dir():
                raise ValueError(f"emu_edit={self.emu_edit!r} is not a folder; {EmuEditConfig.SOURCES[0]} fills it")
            return folder
        for folder in (root / "emu_edit", root):
            if any(map(is_emu_edit, shards(folder, "test"))):
                return folder
        return None

    def _read_rows(self, plan: Plan, split: str, files: list[Path]) -> None:
        for file in files:
            check_provenance(file)
        rows = [(record.values, images) for record, images in read_parquet(files, COLUMNS, IMAGES)]
        try:
            validate({**row, "before": "not read yet", "after": "not read yet"} for row, _ in rows)
        except ValueError as error:
            raise BenchmarkFilesError(f"{files[0].parent}, split {split!r}: {error}") from error
        names = ("category", "changed", "provenance")
        pairs = [
            Pair(row["id"], *images, tuple(row["captions"]), *(row[name] for name in names)) for row, images in rows
        ]
        self.add(plan, split, pairs)
        plan.parquet += files


@dataclass
class SynedConfig(SyntheticConfig):
    """Configuration "syned": "synthetic" by the name that the paper gives its data."""

    name: str = "syned"


def _why(plan: Plan, split: str | None = None) -> str:
    """What a run left out, for a message."""
    said = [
        f"{count:,} × {why}"
        for name, reasons in plan.dropped.items()
        for why, count in reasons.items()
        if split in (None, name)
    ]
    return f": left out were {', '.join(said)}" if said else ""


def is_emu_edit(file: Path) -> bool:
    return EMU_EDIT_IMAGES[1] in parquet_columns(file).names


def check_provenance(file: Path) -> None:
    """Refuses fields that a row has no place for: Arrow would leave them out without a word."""
    columns = parquet_columns(file)
    kind = columns.field("provenance").type if "provenance" in columns.names else pa.null()
    if unknown := sorted({field.name for field in kind} - set(PROVENANCE)) if pa.types.is_struct(kind) else []:
        raise BenchmarkFilesError(f"{file}: 'provenance' has unknown fields {unknown}; known are {sorted(PROVENANCE)}")
