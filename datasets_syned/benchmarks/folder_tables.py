"""The tables of config "folder": CSV, TSV, JSON, JSON lines or Parquet, and what may be wrong in a row of them."""

import ast
import csv
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.caption_text import says_no_change
from ..common.image_cells import BenchmarkFilesError, parquet_columns
from ..common.pairs import Pair
from ..common.row import FEATURES, NO_CHANGE
from ..common.splits import split_named
from .base import logger
from .levir_cc import sentences
from .records import Record, as_records, read_json, read_lines, short

COLUMNS = ("before", "after", "name", "captions", "category", "id", "changed", "split")
OTHER_NAMES = {"before": ["before_file_name"], "after": ["after_file_name"], "captions": ["caption"]}
BOOLEANS = {**dict.fromkeys(("true", "1", "yes"), True), **dict.fromkeys(("false", "0", "no"), False)}

NO_TEXT = ("nan", "<na>", "null")  # what an empty cell becomes where a table was made text of


@dataclass(frozen=True)
class Row(Record):
    """A row of a table."""

    columns: Mapping[str, str]  # the names of our columns in the file, those that are there
    further: Sequence[str]  # the other columns

    def word(self, column: str) -> str | None:
        """The text in a column, `None` if there is none."""
        return self.text(self.columns[column], needed=False) or None if column in self.columns else None

    @property
    def id(self) -> str:
        """What the column says, or else the number of the line, row or record."""
        return re.sub(r"^(\d+)\.0$", r"\1", self.word("id") or self.where.split()[-1])

    @property
    def others(self) -> dict[str, Any]:
        return {name: self.values.get(name) for name in self.further}

    @property
    def split(self) -> str | None:
        """The split that the row says."""
        word = self.word("split")
        split = split_named(word or "")
        if "split" in self.columns and split is None:
            self.fail(self.columns["split"], f"must be train, validation (or val, valid, dev) or test, not {word!r}")
        return split

    @property
    def captions(self) -> tuple[str, ...]:
        """The captions that are not empty."""
        name = self.columns["captions"]
        value = self.values.get(name)
        if isinstance(value, str) and re.match(r"\s*\[\s*[\"'\]]", value):  # a list in a cell of CSV
            text, value = value, _list(value)
            if value is None:
                self.fail(name, f'is not a list: write ["one", "two"], not {short(text)}')
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list | None):
            value = [text for text in value or () if text is not None and str(text).strip().lower() not in NO_TEXT]
        return Record(self.where, {name: value}).texts(name, "a text or a list of texts")

    @property
    def category(self) -> str | None:
        word = self.word("category")
        return NO_CHANGE if word and says_no_change(word) else word

    @property
    def changed(self) -> bool | None:
        value = self.values.get(self.columns.get("changed"))
        known = BOOLEANS.get(str(value).strip().lower().removesuffix(".0"))
        if known is None and value is not None and str(value).strip():
            self.fail(self.columns["changed"], f"must be true or false, not {short(value)}")
        return known

    def image(self, column: str, beside: Path, root: Path) -> Path:
        """The image at a path that leads into the data's folder and, as it is written, not out of it."""
        name = self.columns[column]
        value = self.word(column) or self.fail(name, "is empty; right is the path of an image in the folder")
        path, top = value.replace("\\", "/"), os.path.abspath(root)
        if re.match(r"[A-Za-z]:/|\w+://", path):
            self.fail(name, f"is {value!r}; right is a path in the folder")
        images = os.path.join(top, "images")
        bases = [os.path.abspath(beside), top] + [images] * os.path.isdir(images)
        ways = dict.fromkeys(os.path.normpath(os.path.join(base, path)) for base in bases)
        inside = [_there(root, way.removeprefix(top + os.sep)) for way in ways if way.startswith(top + os.sep)]
        if not inside:
            self.fail(name, f"is {value!r}, which leads out of the folder; copy or link the image into it")
        return inside[0] if len(inside) == 1 else next(filter(os.path.isfile, inside), inside[0])


def read_table(path: Path, named: Mapping[str, str]) -> list[Row]:
    """The rows of a table or captions file. `named` has the names of columns in the file, by those in [`COLUMNS`]."""
    records = list(READERS[path.suffix.lower()](path))
    header = list(dict.fromkeys(name for record in records for name in record.values))
    if not header:
        raise BenchmarkFilesError(f"{path} has no rows")
    there, columns = {name.lower(): name for name in reversed(header)} | {name: name for name in header}, {}
    for column in COLUMNS:
        wanted = [named[column]] if column in named else [column, *OTHER_NAMES.get(column, ())]
        if found := [there[form] for name in wanted for form in (name, name.lower()) if form in there]:
            columns[column] = found[0]
    sides = {"before", "after"}
    if "name" in columns and sides <= columns.keys():
        del columns["name"]
    needed = {"captions", *(["name"] if "name" in columns else sides), *(set(named) - sides)}
    if missing := [repr(named.get(column, column)) for column in COLUMNS if column in needed - columns.keys()]:
        raise BenchmarkFilesError(
            f"{path} has no column {', '.join(missing)}, but {', '.join(map(repr, header))}. columns={{...}} takes "
            "other names."
        )
    if "provenance" in header:
        logger.warning(f"{path}: the column 'provenance' is left out; it is filled by `syned synthesize` alone")
    further = [name for name in header if name and name not in {*columns.values(), *FEATURES, "__index_level_0__"}]
    rows = []
    for record in records:
        values = {name: None if value == "" or value != value else value for name, value in record.values.items()}
        rows.append(Row(record.where, dict.fromkeys(header) | values, columns, further))
    return rows


def _list(text: str) -> list | None:
    """The list that a cell holds, as JSON or as pandas writes lists; `None` if it holds none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    if re.search(r"['\"]\s+['\"]", text):  # ['one' 'two'], as numpy writes lists: Python would join the two
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return None


def _csv(path: Path) -> Iterable[Record]:
    header, line = None, 1
    try:
        # utf-8-sig: with or without a byte order mark; newline="": the newlines inside cells are the reader's
        with open(path, encoding="utf-8-sig", newline="") as file:
            separator = max(",\t;", key=file.readline().count)
            file.seek(0)
            reader = csv.reader(file, strict=True, skipinitialspace=True, delimiter=separator)
            for cells in reader:
                where, line = f"{path}, line {line}", reader.line_num + 1
                if not any(map(str.strip, cells)):
                    continue
                if header is None:
                    header = [cell.strip() for cell in cells]
                    if twice := [name for name in header if name and header.count(name) > 1]:
                        raise BenchmarkFilesError(f"{where}: column {twice[0]!r} is there twice")
                elif len(cells) == len(header):
                    yield Record(where, dict(zip(header, cells, strict=True)))
                else:
                    raise BenchmarkFilesError(
                        f"{where}: {len(cells)} cells under {len(header)} columns; a cell with a {separator!r} or a "
                        'quote in it is written "in quotes", and a quote within as ""'
                    )
    except UnicodeDecodeError as error:
        raise BenchmarkFilesError(f"{path} is not UTF-8 text: {error}") from error
    except csv.Error as error:
        what = f'{error}; a quote within a quoted cell is written as ""'
        raise BenchmarkFilesError(f"{path}, line {line}: is not CSV: {what}") from error


def _json(path: Path) -> Iterable[Record]:
    try:
        said = read_json(path)
    except BenchmarkFilesError as error:
        if "Extra data" in str(error):  # JSON lines under another name
            return read_lines(path)
        raise
    if isinstance(said, dict) and isinstance(said.get("images"), list):  # as LEVIR-CC has it
        return map(_of_levir, as_records(path, said["images"]))
    if isinstance(said, dict):
        return [Record(f"{path}, name {key!r}", {"name": key, "captions": value}) for key, value in said.items()]
    return as_records(path, said)


def _of_levir(record: Record) -> Record:
    values = {"name": record.text("filename"), "split": record.text("split"), "captions": sentences(record)}
    return Record(record.where, {**values, "changed": record.values.get("changeflag")})


def _parquet(path: Path) -> Iterable[Record]:
    for column in parquet_columns(path):
        if column.name.lower() in ("before", "after") and (
            pa.types.is_struct(column.type) or "binary" in str(column.type)
        ):
            raise BenchmarkFilesError(
                f"{path}, column {column.name!r} holds images, where config 'folder' takes paths of image files: such "
                "tables are read by config 'synthetic', or by load_dataset(<their folder>)"
            )
    table = pq.read_table(path)
    return (Record(f"{path}, row {number}", values) for number, values in enumerate(table.to_pylist(), 1))


READERS: dict[str, Callable[[Path], Iterable[Record]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".json": _json,
    ".jsonl": read_lines,
    ".parquet": _parquet,
}


def further_columns(pairs: list[Pair]) -> dict[str, datasets.Value]:
    """The types of the further columns. Where their values are of several types, each becomes its text in JSON."""
    features = {}
    for name in dict.fromkeys(name for pair in pairs for name in pair.others):
        try:
            kind = pa.array([pair.others.get(name) for pair in pairs]).type
        except (pa.ArrowException, OverflowError):
            for pair in pairs:
                pair.others[name] = json.dumps(pair.others.get(name), default=str)
            kind = pa.string()
        kind = pa.string() if pa.types.is_null(kind) else kind
        features |= datasets.Features.from_arrow_schema(pa.schema([(name, kind)]))
    return features


def _there(root: Path, name: str) -> Path:
    """The file of a name, whichever way its accents are encoded."""
    forms = () if name.isascii() else (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    found = (root / form for form in (name, *forms) if name.isascii() or os.path.isfile(root / form))
    return next(found, root / name)
