"""Pairs of your own: tables of image paths and captions, or two folders and a captions file."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import datasets
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

from ..common.image_cells import BenchmarkFilesError
from ..common.pairs import Pair
from ..common.row import FEATURES, NO_CHANGE
from ..common.splits import SPLITS, split_of_path
from .base import BenchmarkConfig, Plan
from .folder_tables import COLUMNS, READERS, Row, further_columns, read_table

IMAGES = (*ImageFolder.EXTENSIONS, ".avif", ".heic", ".heif")
FOLDERS = (("before", "after"), ("A", "B"))  # of two folders with files of equal names


@dataclass
class FolderConfig(BenchmarkConfig):
    """
    Configuration "folder": anyone's own pairs, wherever they lie in `data_dir`.

    Tables (CSV, TSV, JSON, JSON lines, Parquet) with the columns `before` and `after`, or `before_file_name` and
    `after_file_name` as "imagefolder" wants them: paths as seen from the table's folder, `data_dir` or its `images/`;
    and `captions` or `caption`, a text or a list. If you like, also `category` ("change" where there is none; "none",
    "no change" and the like are an unchanged pair), `changed`, `id` and `split`. Further columns are kept, those of
    CSV as texts. Rows of the same two images in a split are one pair with the captions of all and the rest of the
    first.

    Or folders `before/` and `after/`, or `A/` and `B/`, with files of equal names (their extensions may differ), and a
    table with a column `name`, a `captions.json` with `{name: caption or list}`, or LEVIR-CC's captions file. The
    folders lie in `data_dir`, beside the table, or in `images/` or `images/<split>/`. Pairs of images without a
    caption are left out and counted.

    The split is that of the column `split`, or else of the table's name ("val-00000-of-00002.csv"), of its folder, or
    of the images' folder ("train/a.png"), or else train. Tables are read together if their names differ in numbers or
    folders only. Without ids, the id is the number of the line, behind the table's name if its split has several.

    Args:
        file (`str`, *optional*): the table to read, where there are several; or a pattern, as in `"part-*.csv"`.
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

    @cached_property
    def features(self) -> datasets.Features:
        pairs = [pair for pairs in self.plan.pairs.values() for pair in pairs]
        return datasets.Features({**FEATURES, **further_columns(pairs)})

    def read(self, root: Path) -> Plan:
        named = self.columns or {}
        if not isinstance(named, dict) or not all(isinstance(name, str) and name for name in named.values()):
            raise ValueError(f'columns={named!r} must be names by name, as in {{"before": "img_a"}}')
        if unknown := [name for name in named if name not in COLUMNS]:
            raise ValueError(f"columns={named!r}: {', '.join(map(repr, unknown))} is none of {', '.join(COLUMNS)}")
        plan, folders, groups = Plan(), _Folders(root, named), {split: {} for split in SPLITS}
        files = self._files(root)
        tables = Counter(split for split, _ in files)
        for of_file, path in files:
            plan.annotations.append(path)
            label = f"{path.relative_to(root).with_suffix('').as_posix()}:" if tables[of_file] > 1 else ""
            for row in read_table(path, named):
                captions = row.captions
                if not captions and self.on_error == "raise":
                    what = "is empty; a pair needs a description (on_error='skip' leaves such rows out)"
                    row.fail(row.columns["captions"], what)
                if "name" in row.columns:
                    images = folders.find(row, path)
                else:
                    images = tuple(row.image(side, path.parent, root) for side in ("before", "after"))
                if row.split and of_file and row.split != of_file:
                    row.fail(row.columns["split"], f"is {row.word('split')!r} in the file of split {of_file}")
                split = row.split or of_file or split_of_path(images[0].relative_to(root).parent) or "train"
                if captions:
                    groups[split].setdefault(images, (label, []))[1].append(row)
                else:
                    plan.drop(split, "no caption")
        plan.drop("train", "no caption", folders.unsaid())
        for split, pairs in groups.items():
            places = {}
            for images, (label, rows) in pairs.items():
                pair = _pair(images, label, rows)
                if places.setdefault(pair.id, rows[0]) is not rows[0]:
                    what = f"{pair.id!r} is also the id of other images, in {places[pair.id].where}"
                    rows[0].fail(rows[0].columns.get("id", "id"), what)
                plan.add(split, pair)
        if not plan.pairs:
            raise BenchmarkFilesError(f"{' and '.join(map(str, plan.annotations))}: no row has a caption")
        self._hold_out(plan.pairs, root)
        return plan

    def _hold_out(self, splits: dict[str, list[Pair]], root: Path) -> None:
        """Moves pairs from train into the splits that are missing."""
        if isinstance(self.holdout, bool) or not isinstance(self.holdout, int | float) or not 0 <= self.holdout < 0.5:
            raise ValueError(f"holdout={self.holdout!r} must be a share of the train pairs, from 0 to below 0.5")
        missing = [split for split in ("validation", "test") if split not in splits and self.holdout]
        train, groups = splits.get("train", []), {}
        for pair in train if missing else ():
            name = unicodedata.normalize("NFC", pair.before.relative_to(root).as_posix())
            groups.setdefault(hashlib.sha256(f"{self.seed} {name}".encode()).digest(), []).append(pair)
        drawn = sorted(groups)
        for split in missing:
            splits[split] = []
            while drawn and len(splits[split]) < max(1, round(self.holdout * len(train))):
                splits[split] += groups.pop(drawn.pop())
            if not drawn:
                raise BenchmarkFilesError(
                    f"{root}: holdout={self.holdout} leaves none of its {len(train)} pairs for train (pairs with the "
                    "same first image stay together). Give more pairs, or a column split"
                )
        if missing:
            kept = {pair.id for pairs in groups.values() for pair in pairs}
            splits["train"] = [pair for pair in train if pair.id in kept]

    def _files(self, root: Path) -> list[tuple[str | None, Path]]:
        """The tables to read, each with its split if its name or its folder says one."""
        if self.file is not None:
            outside = Path(self.file).is_absolute() or ".." in Path(self.file).parts
            found = [] if outside else sorted(path for path in root.glob(self.file) if path.is_file())
            if not found:
                raise BenchmarkFilesError(f"file={self.file!r} must be a file in {root}, named as seen from there")
            if any(path.suffix.lower() not in READERS for path in found):
                raise BenchmarkFilesError(f"file={self.file!r} must end in {', '.join(READERS)}")
            return [(None, path) for path in found]
        found = [path for path in visible_files(root) if path.suffix.lower() in READERS]
        found = [path for path in found if path.parent == root] or found
        # other files in JSON are there for many reasons
        found = [path for path in found if path.suffix.lower() != ".json" or path.stem.lower() == "captions"] or found
        if not found:
            raise BenchmarkFilesError(
                f"{root} holds no pairs that are understood. Right would be a table ({', '.join(READERS)}) with the "
                "columns before, after and captions; or the folders before/ and after/ with captions.json, or a table "
                "with the columns name and captions. Parquet files with the images inside are read by config "
                "'synthetic'."
            )
        by_split = {}
        for path in found:
            by_split.setdefault(split_of_path(path.relative_to(root)), []).append(path)
        unnamed = by_split.pop(None, [])
        by_split = by_split or {None: [path for path in unnamed if path.stem.lower() == "metadata"] or unnamed}
        for split, paths in by_split.items():
            kinds = {re.sub(r"\d+", "#", path.name.lower()): path for path in paths}
            if len(kinds) > 1:
                names = [path.relative_to(root).as_posix() for path in kinds.values()]
                of_split = f", all of split {split}" if split else ""
                raise BenchmarkFilesError(
                    f"{root} holds {', '.join(names)}{of_split}: say which one to read, as in file={names[0]!r}"
                )
        return [(split, path) for split in (*SPLITS, None) for path in by_split.get(split, [])]


def visible_files(root: Path) -> Iterable[Path]:
    """The files below a folder in order, without hidden ones and what macOS leaves in archives. Links are followed."""
    for folder, folders, files in os.walk(root, followlinks=True):
        if os.path.islink(folder) and any(os.path.samefile(folder, above) for above in Path(folder).parents):
            folders.clear()  # it leads back
            continue
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


class _Folders:
    """Pairs of folders with files of equal names, as they are asked for."""

    def __init__(self, root: Path, named: dict[str, str]):
        self.root, self.names = root, (tuple(named.get(side, side) for side in FOLDERS[0]), FOLDERS[1])
        self.listed, self.asked = {}, {}  # by folder: its files by their path without extension; what was asked for

    def find(self, row: Row, table: Path) -> tuple[Path, Path]:
        """The two images of a row that has a name."""
        images, split = self.root / "images", row.word("split")
        places = [table.parent, self.root, images, *([images / split, self.root / split] if split else [])]
        for sides in (tuple(place / name for name in names) for place in places for names in self.names):
            if all(map(os.path.isdir, sides)):
                self.asked.setdefault(sides, set()).add(_stem(os.path.normpath(row.word("name") or "")))
                return tuple(self._file(row, side) for side in sides)
        where = " and ".join(self.names[0])
        row.fail(row.columns["name"], f"has no images: there are no folders {where}, nor A and B")

    def _file(self, row: Row, folder: Path) -> Path:
        """The file of a row's name, with this extension or another; where it should be, if there is none."""
        exact = row.image("name", folder, folder)
        found = self._files(folder).get(_stem(exact.relative_to(folder).as_posix()), [exact])
        if len(found) > 1 and exact not in found:
            names = " or ".join(path.name for path in found)
            row.fail(row.columns["name"], f"may be {names} in {folder}; write the extension, or keep one of them")
        return exact if exact in found else found[0]

    def _files(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self.listed:
            files = self.listed[folder] = {}
            for path in visible_files(folder):
                if path.name.lower().endswith(IMAGES):
                    files.setdefault(_stem(path.relative_to(folder).as_posix()), []).append(path)
        return self.listed[folder]

    def unsaid(self) -> int:
        """How many pairs of images there are that no row asked for."""
        return sum(len((set(self._files(a)) & set(self._files(b))) - said) for (a, b), said in self.asked.items())


def _pair(images: tuple[Path, Path], label: str, rows: Sequence[Row]) -> Pair:
    """The pair of all rows of two images; what the first one says counts where they need not agree."""
    said = {"category": None, "changed": None}
    for row, column in product(rows, said):
        if (value := getattr(row, column)) is None:
            continue
        if said[column] not in (None, value):
            what = f"is {value!r}, but {said[column]!r} for the same two images in {rows[0].where}"
            row.fail(row.columns[column], what)
        said[column] = value
        if None not in said.values() and said["changed"] == (said["category"] == NO_CHANGE):
            row.fail(
                row.columns.get("changed", "changed"),
                f"is {said['changed']} and the category {said['category']!r}; an unchanged pair has category 'none', "
                "and only such a pair",
            )
    changed = said["category"] != NO_CHANGE if said["changed"] is None else said["changed"]
    category, first = said["category"] or ("change" if changed else NO_CHANGE), rows[0]
    name = first.id if first.word("id") else _stem(first.word("name") or "") or f"{label}{first.id}"
    captions = tuple(dict.fromkeys(caption for row in rows for caption in row.captions))
    return Pair(name, *images, captions, category, changed, others=first.others)


def _stem(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    return name[: name.rindex(".")] if name.lower().endswith(IMAGES) else name
