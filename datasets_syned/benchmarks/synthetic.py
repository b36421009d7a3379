"""Pairs that a synthesis pipeline made, with Emu Edit's test split to measure what they are good for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from ..common.image_cells import parquet_columns
from ..common.pairs import Pair
from ..common.row import PROVENANCE, validate
from ..common.run_record import RUN, SHEET, SUMMARY, UNFINISHED, RunRecord, read_record
from ..common.splits import SPLITS
from .base import BenchmarkFilesError, HubConfig, Plan, logger
from .emu_edit import EmuEditConfig
from .records import read_parquet, shards
from .references import PARAPHRASES


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
    SHARDS = {split: split for split in SPLITS}
    ABSENT = SPLITS
    COLUMNS = ("id", "captions", "category", "changed", "provenance")
    IMAGES = ("before", "after")
    PLACES = HubConfig.PLACES | {"emu_edit"}

    @cached_property
    def record(self) -> RunRecord | None:
        """What the run that made the rows says of them, `None` if the folder is of none."""
        return read_record(self.root)

    def read(self, root: Path) -> Plan:
        if self.references not in ("clean", "raw"):
            raise ValueError(f"references={self.references!r} must be 'clean' or 'raw'")
        plan = super().read(root)
        if self.record is not None:
            self.record.check(plan.pairs)
            for split in self.record.run["splits"]:
                for why, count in self.record.left_out(split).items():
                    plan.drop(split, why, count)
                plan.notes[split] = self.record.notes(split)
        if (folder := self._emu_edit(root)) is not None:
            if "test" in plan.pairs:
                raise BenchmarkFilesError(
                    f"config {self.name!r}: both {self.by_split(plan.parquet)['test'][0]} and Emu Edit's files in "
                    f"{folder} are a test split; put one of them elsewhere"
                )
            raw = self.references == "raw"
            theirs = _TestSplit(self.name, references=str(folder / PARAPHRASES), raw_references=raw).read(folder)
            for name in ("annotations", "parquet"):
                getattr(plan, name).extend(getattr(theirs, name))
            for name in ("pairs", "dropped", "notes"):
                getattr(plan, name)["test"] = getattr(theirs, name).get("test", {})
        return self._with_rows(plan, root)

    def find(self, root: Path) -> Plan:
        record = self.record  # one that is not finished is refused
        try:
            plan = super().find(root)
        except BenchmarkFilesError as error:
            raise BenchmarkFilesError(f"{error}; {UNFINISHED}" if record else str(error)) from error
        plan.parquet = [file for file in plan.parquet if not _is_emu_edit(file)]
        plan.pairs = {split: [] for split, files in self.by_split(plan.parquet).items() if files}
        return plan

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        for file in files:
            _check_provenance(file)
        for split, some in self.by_split(files).items():
            rows = [
                {**record.values, **dict(zip(self.IMAGES, images, strict=True))}
                for record, images in read_parquet(some, self.COLUMNS, self.IMAGES)
            ]
            try:
                validate({**row, "before": "not read yet", "after": "not read yet"} for row in rows)
            except ValueError as error:
                raise BenchmarkFilesError(f"{some[0].parent}, split {split!r}: {error}") from error
            yield from ((split, Pair(**row)) for row in rows)

    def _emu_edit(self, root: Path) -> Path | None:
        """The folder of the test split's files, if there is one."""
        if self.emu_edit is not None:
            folder = Path(self.emu_edit).expanduser()
            if not folder.is_dir():
                raise ValueError(f"emu_edit={self.emu_edit!r} is not a folder; {EmuEditConfig.SOURCES[0]} fills it")
            return folder
        return next((it for it in (root / "emu_edit", root) if any(map(_is_emu_edit, shards(it, "test")))), None)

    def _with_rows(self, plan: Plan, root: Path) -> Plan:
        """Says which splits have no rows, and refuses if none has."""

        def why(*splits: str) -> str:
            left_out = [f"{count:,} × {why}" for name in splits for why, count in plan.dropped.get(name, {}).items()]
            return f": left out were {', '.join(left_out)}" if left_out else ""

        if not plan.pairs:
            names = ", ".join(f"{split}-*.parquet" for split in SPLITS)
            raise BenchmarkFilesError(f"config {self.name!r}: no {names} in {root} or {root / 'data'}")
        if not any(plan.pairs.values()):
            raise BenchmarkFilesError(f"config {self.name!r}: the files in {root} have no rows{why(*SPLITS)}")
        for split in [split for split, pairs in plan.pairs.items() if not pairs]:
            logger.warning(f"config {self.name!r}: no split {split!r}, its files have no rows{why(split)}")
        return plan


@dataclass
class SynedConfig(SyntheticConfig):
    """Configuration "syned": "synthetic" by the name that the paper gives its data."""

    name: str = "syned"


@dataclass
class _TestSplit(EmuEditConfig):
    """The test split of Emu Edit alone."""

    SHARDS = {"test": "test"}


def _is_emu_edit(file: Path) -> bool:
    return EmuEditConfig.IMAGES[1] in parquet_columns(file).names


def _check_provenance(file: Path) -> None:
    """Refuses fields that a row has no place for: Arrow would leave them out without a word."""
    columns = parquet_columns(file)
    kind = columns.field("provenance").type if "provenance" in columns.names else pa.null()
    if unknown := sorted({field.name for field in kind} - set(PROVENANCE)) if pa.types.is_struct(kind) else []:
        raise BenchmarkFilesError(f"{file}: 'provenance' has unknown fields {unknown}; known are {sorted(PROVENANCE)}")
