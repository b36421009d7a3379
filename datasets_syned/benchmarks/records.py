"""Annotation files: where they lie, and their records, read with an eye to what may be wrong in them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..common.caption_text import says_no_change
from ..common.image_cells import BenchmarkFilesError, Cell, read_columns
from ..common.row import NO_CHANGE
from ..common.splits import SPLITS, split_named


@dataclass(frozen=True)
class Record:
    """Values by key. Every method raises one [`BenchmarkFilesError`] that names file, record and key."""

    where: str  # the file and the place in it
    values: Mapping[str, Any]

    def fail(self, key: str, what: str) -> NoReturn:
        raise BenchmarkFilesError(f"{self.where}: {key!r} {what}")

    def value(self, key: str, kind: type = object, right: str = "") -> Any:
        if key not in self.values:
            some = ", ".join(map(repr, list(self.values)[:8])) or "nothing"
            self.fail(key, f"is missing; the record has {some}")
        if not isinstance(self.values[key], kind):
            self.fail(key, f"must be {right}, not {short(self.values[key])}")
        return self.values[key]

    def text(self, key: str, needed: bool = True) -> str:
        """A text or a whole number; one that is not `needed` may be empty or `None`, which gives ""."""
        value = self.value(key)
        if not needed and (value is None or isinstance(value, str) and not value.strip()):
            return ""
        value = int(value) if isinstance(value, float) and value.is_integer() else value  # as pandas writes numbers
        if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
            self.fail(key, f"must be a text, not {short(value)}")
        return self._whole(key, str(value))

    def texts(self, key: str, right: str = "a list of texts") -> tuple[str, ...]:
        """The texts of a list that are not empty."""
        value = self.value(key, list, right)
        if not all(isinstance(text, str) for text in value):
            self.fail(key, f"must be {right}, not {short(value)}")
        return tuple(text for text in (self._whole(key, text) for text in value) if text)

    def split(self, key: str = "split") -> str:
        """The split that a text names."""
        return split_named(self.text(key)) or self.fail(key, f"must be train, val or test, not {self.text(key)!r}")

    def records(self, key: str, one: str) -> list["Record"]:
        """The objects of a list; `one` says what an object of it is."""
        return as_records(self.where, self.value(key, list, "a list"), one)

    def lists_by_split(self) -> dict[str, list]:
        """The lists of a record whose keys are splits ("val" is "validation"), in the usual order."""
        found = {}
        for key in self.values:
            split = split_named(key)
            if split is None or split in found:
                self.fail(key, "is not a split, or is there twice; right are train, validation (or val) and test")
            found[split] = self.value(key, list, "a list")
        return {split: found[split] for split in SPLITS if split in found}

    def _whole(self, key: str, text: str) -> str:
        if re.search("[\ud800-\udfff]", text):
            self.fail(key, "has half of a character (a lone surrogate)")
        return text.strip()


def first_folder(root: Path, *names: str, holds: str = "") -> Path:
    """The first of some folders of `root` that is there, and holds some file; `root` itself if none does."""
    return next((root / name for name in names if (root / name / holds).exists()), root)


def shards(root: Path, prefix: str) -> list[Path]:
    """`<prefix>-*.parquet` of a folder, or else of its `data/`, in order: as many as their names say."""
    files = sorted(root.glob(f"{prefix}-*.parquet")) or sorted((root / "data").glob(f"{prefix}-*.parquet"))
    counted = [re.match(rf"{re.escape(prefix)}-(\d+)-of-(\d+)", file.name) for file in files]
    numbers = {(int(match[1]), int(match[2])) for match in counted if match}
    totals = sorted({total for _, total in numbers})
    wanted = {(number, total) for total in totals for number in range(total)}
    if numbers and (numbers != wanted or len(numbers) != len(files)):
        raise BenchmarkFilesError(
            f"{files[0].parent}: {prefix}-*.parquet are not the files of one split: {len(files)} are there, their "
            f"names count {', '.join(map(str, totals))}"
        )
    return files


def read_json(path: Path) -> Any:
    """Reads a JSON file, with or without a byte order mark."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BenchmarkFilesError(f"{path} is not UTF-8 text: {error}") from error
    except json.JSONDecodeError as error:
        raise BenchmarkFilesError(f"{path} is not JSON: {error}") from error


def read_object(path: Path) -> Record:
    """The one object that a JSON file holds."""
    return _record(str(path), read_json(path))


def read_records(path: Path) -> list[Record]:
    """The objects of the list that a JSON file holds."""
    return as_records(path, read_json(path))


def as_records(where: str | Path, said: Any, one: str = "record") -> list[Record]:
    """The objects of a list; `where` says where the list is."""
    if not isinstance(said, list):
        raise BenchmarkFilesError(f"{where} must be a list of records, [{{...}}, ...], not {short(said)}")
    return [_record(f"{where}, {one} {number}", values) for number, values in enumerate(said, 1)]


def _record(where: str, values: Any) -> Record:
    if not isinstance(values, dict):
        raise BenchmarkFilesError(f"{where}: must be an object, {{...}}, not {short(values)}")
    return Record(where, values)


def read_lines(path: Path) -> Iterator[Record]:
    """The objects of a file of JSON lines."""
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                values = json.loads(line.decode("utf-8-sig"))
            except ValueError as error:
                raise BenchmarkFilesError(f"{path}, line {number}: is not JSON: {error}") from error
            yield _record(f"{path}, line {number}", values)


def read_parquet(
    files: Iterable[Path], columns: Sequence[str], images: Sequence[str]
) -> Iterator[tuple[Record, list[Cell]]]:
    """The rows of Parquet files: some of their columns, and where the images are."""
    for file in files:
        for number, row in enumerate(read_columns(file, columns, images)):
            yield Record(f"{file}, row {number}", row), [Cell(file, number, column) for column in images]


def kind_of(captions: Iterable[str], kind: str = "change") -> tuple[str, bool]:
    """Category and `changed` of a pair: unchanged if there are captions and all of them say so."""
    changed = not captions or not all(map(says_no_change, captions))
    return kind if changed else NO_CHANGE, changed


def short(value: Any) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
