"""Pairs of your own: a table of image paths and captions, or two folders and a captions file."""

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path

from ..common.pairs import Pair
from ..common.row import NO_CHANGE
from .base import BenchmarkConfig, BenchmarkFilesError, Plan
from .folder_tables import COLUMNS, SPLITS, TABLES, Row, Table

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass
class FolderConfig(BenchmarkConfig):
    """
    Configuration "folder": anyone's own pairs, in one of two layouts.

    A table, CSV, JSONL or Parquet, with the columns `before` and `after` (paths as seen from `data_dir`) and
    `captions` or `caption` (a text or a list; in CSV a text or a JSON list), and, if you like, `category` ("change"
    where there is none; "none" is an unchanged pair), `changed`, `id` and `split`. Files named `train`, `validation`
    (or `val`, `valid`, `dev`) and `test` are the splits; a single table under another name is split by its `split`
    column, or all of it is train. Rows of the same two images in the same split are one pair with the different
    captions of all of them; its id is that of the first. Without ids, the id is the number of the line.

    Or two folders, `before/` and `after/`, with files of equal names (their extensions may differ), and a captions
    file: `captions.json` with `{name: caption or list}`, or `captions.csv`/`captions.jsonl` with the columns `name`
    and `captions` or `caption`, and the others as above. Pairs of images without a caption are left out and counted.

    Args:
        file (`str`, *optional*): the table or captions file to read, where the folder holds several.
        columns (`dict[str, str]`, *optional*): names of your columns, as in `{"before": "img_a", "captions": "text"}`.
            With two folders, "before" and "after" are the names of the folders.
        holdout (`float`, *optional*, defaults to 0): share of the train pairs, below 0.5, that becomes "validation",
            and as many "test", where the folder has no such split of its own; at least one pair each. Which ones
            depends on `seed` and the name of the first image; pairs with the same first image stay together.
        seed (`int`, *optional*, defaults to 0): of the split.
        data_dir, on_error: see [`BenchmarkConfig`]. `on_error="skip"` also leaves out rows without a caption.

    Example:
        >>> load_dataset("syned", "folder", data_dir="pairs/", columns={"captions": "text"})
    """

    name: str = "folder"
    file: str | None = None
    columns: dict | None = None
    holdout: float = 0.0
    seed: int = 0

    TITLE = "What such a folder looks like"
    SOURCES = ("help(datasets_syned.benchmarks.folder.FolderConfig)",)
    LICENSE = ""
    CITATION = ""

    @property
    def root(self) -> Path:
        if self.data_dir is None and not self.data_files:
            raise ValueError("config 'folder' reads pairs of your own: give data_dir=<the folder that holds them>")
        return super().root

    def read(self, root: Path) -> Plan:
        named = self.columns or {}
        if not isinstance(named, dict) or not all(isinstance(name, str) and name for name in named.values()):
            raise ValueError(f'columns={named!r} must be names by name, as in {{"before": "img_a"}}')
        if unknown := [name for name in named if name not in COLUMNS]:
            raise ValueError(f"columns={named!r}: {', '.join(map(repr, unknown))} is none of {', '.join(COLUMNS)}")
        drafts = {split: {} for split in dict.fromkeys(SPLITS.values())}
        plan = Plan({}, [])
        for split, path in self._files(root):
            plan.annotations.append(path)
            folders = [root / named.get(side, side) for side in ("before", "after")]
            folders = [_Images(folder) for folder in folders] if all(map(Path.is_dir, folders)) else None
            table = Table(path, named, folders is not None)
            for row in table.rows():
                chosen = row.split(split)
                captions = row.captions()
                if not captions and self.on_error == "raise":
                    row.fail("captions", "is empty; a pair needs a description (on_error='skip' leaves such rows out)")
                if table.by_name:
                    name = row.path("name")
                    images = tuple(folder.find(name, row) for folder in folders)
                else:
                    images = tuple(_there(root, row.path(side)) for side in ("before", "after"))
                if captions:
                    drafts[chosen].setdefault(images, _Draft(row)).add(row, captions)
                else:
                    plan.drop(chosen, "no caption")
            if table.by_name:
                unsaid = set(folders[0].files) & set(folders[1].files) - folders[0].asked
                plan.drop("train", "no caption", len(unsaid))
        plan.pairs = {split: _pairs(found) for split, found in drafts.items() if found}
        if not plan.pairs:
            raise BenchmarkFilesError(f"{' and '.join(map(str, plan.annotations))}: no row has a caption")
        self._hold_out(plan.pairs, root)
        return plan

    def _hold_out(self, splits: dict[str, list[Pair]], root: Path) -> None:
        """Moves pairs from train into the splits that are missing."""
        if isinstance(self.holdout, bool) or not isinstance(self.holdout, int | float) or not 0 <= self.holdout < 0.5:
            raise ValueError(f"holdout={self.holdout!r} must be a share of the train pairs, from 0 to below 0.5")

        def draw(pair):
            name = unicodedata.normalize("NFC", pair.before.relative_to(root).as_posix())
            return hashlib.sha256(f"{self.seed} {name}".encode()).digest()

        missing = [split for split in ("validation", "test") if split not in splits and self.holdout]
        if not missing:
            return
        train = splits.get("train", [])
        groups = [list(pairs) for _, pairs in groupby(sorted(train, key=draw), key=draw)]
        for split in missing:
            splits[split] = []
            while groups and len(splits[split]) < max(1, round(self.holdout * len(train))):
                splits[split] += groups.pop()
        if not groups:
            raise BenchmarkFilesError(
                f"{root}: holdout={self.holdout} leaves none of its {len(train)} pairs for train (pairs with the same "
                "first image stay together). Give more pairs, or a column split"
            )
        kept = {pair.id for group in groups for pair in group}
        splits["train"] = [pair for pair in train if pair.id in kept]

    def _files(self, root: Path) -> list[tuple[str | None, Path]]:
        """The files to read, each with its split if its name says one."""
        if self.file is not None:
            path = root / self.file
            if Path(self.file).is_absolute() or ".." in Path(self.file).parts or not path.is_file():
                raise BenchmarkFilesError(f"file={self.file!r} must be a file in {root}, named as seen from there")
            if path.suffix.lower() not in (*TABLES, ".json"):
                raise BenchmarkFilesError(f"file={self.file!r} must end in {', '.join(TABLES)} or .json")
            return [(None, path)]
        found = sorted(path for path in root.iterdir() if path.suffix.lower() in TABLES and path.is_file())
        by_split = {}
        for path in found:
            if split := SPLITS.get(path.stem.lower()):
                if split in by_split:
                    names = f"{by_split[split].name} and {path.name}"
                    raise BenchmarkFilesError(f"{root} holds {names}, both of split {split}: keep one of them")
                by_split[split] = path
        if by_split:
            return list(by_split.items())
        found += [path for path in [root / "captions.json"] if path.is_file()]
        if not found:
            raise BenchmarkFilesError(
                f"{root} holds no pairs that are understood. Right would be a table (.csv, .jsonl or .parquet) with "
                "the columns before, after and captions; or the folders before/ and after/ with captions.json, "
                "captions.csv or captions.jsonl. Parquet files with the images inside are read by config 'syned'."
            )
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise BenchmarkFilesError(f"{root} holds {names}: say which one to read, as in file={found[0].name!r}")
        return [(None, found[0])]


class _Images:
    """The image files of a folder, by their path without extension."""

    def __init__(self, folder: Path):
        self.folder, self.asked = folder, set()

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        files = {}
        for path in sorted(self.folder.rglob("*")):
            if path.suffix.lower() in IMAGES:
                files.setdefault(_stem(path.relative_to(self.folder).as_posix()), []).append(path)
        return files

    def find(self, name: str, row: Row) -> Path:
        """The file of that name, with this extension or another; where it should be, if there is none."""
        exact, stem = _there(self.folder, name), _stem(name)
        self.asked.add(stem)
        found = [exact] if exact.is_file() else self.files.get(stem, [exact])
        if len(found) > 1:
            names = " or ".join(path.name for path in found)
            row.fail("name", f"{name!r} may be {names} in {self.folder}; write the extension, or keep one of them")
        return found[0]


@dataclass
class _Draft:
    """A pair while its rows are read."""

    first: Row
    captions: dict[str, None] = field(default_factory=dict)
    category: str | None = None
    changed: bool | None = None

    def add(self, row: Row, captions: Iterable[str]) -> None:
        self.captions |= dict.fromkeys(captions)
        for column, value in (("category", row.word("category")), ("changed", row.changed())):
            mine = getattr(self, column)
            if value is not None and mine not in (None, value):
                row.fail(column, f"is {value!r}, but {mine!r} for the same two images at {self.first.place}")
            setattr(self, column, mine if value is None else value)
        if None not in (self.category, self.changed) and self.changed == (self.category == NO_CHANGE):
            both = f"changed is {self.changed} and category {self.category!r}"
            row.fail("changed", f"{both}; an unchanged pair has category 'none', and only such a pair")

    def pair(self, images: tuple[Path, Path]) -> Pair:
        changed = self.category != NO_CHANGE if self.changed is None else self.changed
        category = self.category or ("change" if changed else NO_CHANGE)
        row = self.first
        name = row.word("id") or (_stem(row.path("name")) if row.table.by_name else row.place.split()[-1])
        return Pair(name, *images, tuple(self.captions), category, changed)


def _pairs(drafts: dict[tuple[Path, Path], _Draft]) -> list[Pair]:
    pairs, places = [], {}
    for images, draft in drafts.items():
        pair = draft.pair(images)
        if pair.id in places:
            draft.first.fail("id", f"{pair.id!r} is also the id of other images, at {places[pair.id]}")
        places[pair.id] = draft.first.place
        pairs.append(pair)
    return pairs


def _stem(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    return name[: name.rindex(".")] if name.lower().endswith(IMAGES) else name


def _there(root: Path, name: str) -> Path:
    """The file of a name, whichever way its accents are encoded."""
    forms = [name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]
    return next((root / form for form in forms if (root / form).is_file()), root / name)
