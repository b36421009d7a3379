"""The tables of config "folder": CSV, JSONL, Parquet or a JSON of names, and what may be wrong in a row of them."""

import csv
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from .base import BenchmarkFilesError, read_json

COLUMNS = ("before", "after", "name", "captions", "category", "id", "changed", "split")
SPLITS = {"train": "train", "validation": "validation", "test": "test"}
SPLITS |= dict.fromkeys(("val", "valid", "dev"), "validation")
TABLES = (".csv", ".jsonl", ".parquet")
BOOLEANS = {**dict.fromkeys(("true", "1", "yes"), True), **dict.fromkeys(("false", "0", "no"), False)}
Cells = Iterator[tuple[str, Mapping[str, Any]]]  # of a row: where it is ("line 7"), its values by column


class Table:
    """
    A table or captions file.

    Args:
        path (`Path`): a file that ends in one of [`TABLES`] or in .json.
        named (`dict[str, str]`): names of columns in the file, by their name in [`COLUMNS`].
        folders (`bool`): whether the folders before/ and after/ are there, so that a row may just have a name.

    Raises:
        BenchmarkFilesError: the file is broken, or lacks columns.
    """

    def __init__(self, path: Path, named: Mapping[str, str], folders: bool):
        self.path = path
        self.columns = {column: named.get(column, column) for column in COLUMNS}
        read = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet, ".json": _names}[path.suffix.lower()]
        header, self._rows = read(path, self.columns)
        if "captions" not in {*named, *header} and "caption" in header:
            self.columns["captions"] = "caption"
        there = {column for column, name in self.columns.items() if name in header}
        self.by_name = folders and "name" in there and not {"before", "after"} <= there
        sides = {"before", "after"}
        needed = {"captions", *({"name"} if self.by_name else sides), *(set(named) - sides)}
        if missing := [repr(self.columns[column]) for column in COLUMNS if column in needed - there]:
            told = f"{path} has no column {', '.join(missing)}, but {', '.join(map(repr, header)) or 'none'}."
            commas = " Cells are separated by commas." if len(header) == 1 and re.search("[;\t]", header[0]) else ""
            alone = " There are no folders before/ and after/." if "name" in there and not folders else ""
            raise BenchmarkFilesError(f"{told}{commas}{alone} columns={{...}} takes other names.")
        self.columns = {column: self.columns[column] for column in COLUMNS if column in there}

    def rows(self) -> "Iterator[Row]":
        for place, cells in self._rows:
            values = {column: cells.get(name) for column, name in self.columns.items()}
            yield Row(self, place, {name: None if value == "" else value for name, value in values.items()})


@dataclass
class Row:
    """A row of a table, read with an eye to what may be wrong in it."""

    table: Table
    place: str
    values: dict[str, Any]

    def fail(self, column: str, what: str) -> NoReturn:
        name = self.table.columns.get(column, column)
        raise BenchmarkFilesError(f"{self.table.path}, {self.place}, column {name!r}: {what}")

    def word(self, column: str) -> str | None:
        """The text in a column, `None` if there is none."""
        value = self.values.get(column)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            self.fail(column, f"must be a text, not {_short(value)}")
        return (value or "").strip() or None

    def split(self, of_file: str | None) -> str:
        """The split of the row; `of_file` is the one that the file's name says, if it says one."""
        word = self.word("split")
        if "split" not in self.table.columns or (of_file and word is None):
            return of_file or "train"
        split = SPLITS.get((word or "").lower())
        if split is None:
            self.fail("split", f"must be train, validation (or val, valid, dev) or test, not {word!r}")
        if of_file not in (None, split):
            self.fail("split", f"is {word!r} in the file of split {of_file}")
        return split

    def captions(self) -> list[str]:
        """The captions that are not empty."""
        value = self.values["captions"]
        if self.table.path.suffix.lower() == ".csv" and value and re.match(r"\s*\[\s*[\"'\]]", value):
            try:
                value = json.loads(value)
            except json.JSONDecodeError:
                self.fail("captions", f'is no JSON list: write ["one", "two"], not {_short(value)}')
        value = [value] if value is None or isinstance(value, str) else value
        if not isinstance(value, list) or not all(text is None or isinstance(text, str) for text in value):
            self.fail("captions", f"must be a text or a list of texts, not {_short(value)}")
        if any(re.search("[\ud800-\udfff]", text or "") for text in value):
            self.fail("captions", "has half of a character (a lone surrogate)")
        return [text.strip() for text in value if text and text.strip()]

    def changed(self) -> bool | None:
        value = self.values.get("changed")
        known = BOOLEANS.get(str(value).strip().lower())
        if known is None and value is not None and str(value).strip():
            self.fail("changed", f"must be true or false, not {_short(value)}")
        return known

    def path(self, column: str) -> str:
        """The path in a column, which leads into the folder and not out of it."""
        value = self.word(column)
        if value is None:
            self.fail(column, "is empty; right is the path of an image as seen from the folder")
        path = value.replace("\\", "/")
        if path.startswith("/") or re.match(r"[A-Za-z]:/|\w+://", path):
            self.fail(column, f"{value!r} is an absolute path; right is a path as seen from the folder")
        path = posixpath.normpath(path)
        if path.split("/")[0] == "..":
            self.fail(column, f"{value!r} climbs out of the folder; copy or link the image into it")
        return path


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _csv(path: Path, columns: Mapping[str, str]) -> tuple[list[str], Cells]:
    header, rows, line = None, [], 1
    try:
        # utf-8-sig: with or without a byte order mark; newline="": the newlines inside cells are the reader's
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                place, line = f"line {line}", reader.line_num + 1
                if not any(map(str.strip, cells)):
                    continue
                if header is None:
                    header = [cell.strip() for cell in cells]
                    if twice := [name for name in columns.values() if header.count(name) > 1]:
                        raise BenchmarkFilesError(f"{path}, {place}: column {twice[0]!r} is there twice")
                elif len(cells) == len(header):
                    rows.append((place, dict(zip(header, cells, strict=True))))
                else:
                    raise BenchmarkFilesError(
                        f"{path}, {place}: {len(cells)} cells under {len(header)} columns; a cell with a comma or a "
                        'quote in it is written "in quotes", and a quote within as ""'
                    )
    except UnicodeDecodeError as error:
        raise BenchmarkFilesError(f"{path} is no UTF-8 text: {error}") from None
    except csv.Error as error:
        what = f'{error}; a quote within a quoted cell is written as ""'
        raise BenchmarkFilesError(f"{path}, line {line}: is no CSV: {what}") from None
    return header or [], iter(rows)


def _jsonl(path: Path, columns: Mapping[str, str]) -> tuple[list[str], Cells]:
    header, rows = {}, []
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    cells = json.loads(line)
                except json.JSONDecodeError as error:
                    raise BenchmarkFilesError(f"{path}, line {number}: is no JSON: {error}") from None
                if not isinstance(cells, dict):
                    what = f'must be an object, {{"before": ...}}, not {_short(cells)}'
                    raise BenchmarkFilesError(f"{path}, line {number}: {what}")
                header |= dict.fromkeys(cells)
                rows.append((f"line {number}", cells))
    except UnicodeDecodeError as error:
        raise BenchmarkFilesError(f"{path} is no UTF-8 text: {error}") from None
    return list(header), iter(rows)


def _parquet(path: Path, columns: Mapping[str, str]) -> tuple[list[str], Cells]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BenchmarkFilesError(f"{path} is no Parquet file: {error}") from None
    schema = file.schema_arrow
    for side in ("before", "after"):
        kind = schema.field(columns[side]).type if columns[side] in schema.names else pa.string()
        if pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise BenchmarkFilesError(
                f"{path}, column {columns[side]!r} holds images ({kind}), where config 'folder' takes paths of image "
                "files: such tables are read by config 'syned', or by load_dataset(<their folder>)"
            )
    wanted = [name for name in schema.names if name in {*columns.values(), "caption"}]

    def rows() -> Cells:
        number = 0
        for batch in file.iter_batches(columns=wanted):
            for cells in batch.to_pylist():
                number += 1
                yield f"row {number}", cells

    return list(schema.names), rows()


def _names(path: Path, columns: Mapping[str, str]) -> tuple[list[str], Cells]:
    said = read_json(path)
    if not isinstance(said, dict):
        raise BenchmarkFilesError(f'{path} must be an object, {{"name": "caption"}}, not {_short(said)}')
    name, captions = columns["name"], columns["captions"]
    return [name, captions], ((f"name {key!r}", {name: key, captions: value}) for key, value in said.items())
