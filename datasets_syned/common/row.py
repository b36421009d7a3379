"""The one row that every benchmark of this package yields, and the check that a row is one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, Image, IterableDataset, IterableDatasetDict, List, Value
from PIL import Image as PILImage

NO_CHANGE = "none"  # category of an unchanged pair
NAMED_VALUES = List({"name": Value("string"), "value": Value("float64")})
NAMED_SETTINGS = List({"name": Value("string"), "value": Value("string")})
NAMED_VERSIONS = List({"name": Value("string"), "version": Value("string")})
PROVENANCE = {
    "editor": Value("string"),  # model id
    "revision": Value("string"),  # its commit
    "seed": Value("int64"),
    "steps": Value("int32"),
    "guidance": Value("float64"),
    "image_guidance": Value("float64"),
    "instruction": Value("string"),
    "settings": NAMED_SETTINGS,  # all others that decided the image and the captions
    "scores": NAMED_VALUES,  # of the filters
    "versions": NAMED_VERSIONS,  # of the packages that made the image
}
FEATURES = Features(
    {
        "id": Value("string"),
        "before": Image(),
        "after": Image(),
        "captions": List(Value("string")),
        "category": Value("string"),
        "changed": Value("bool"),
        "provenance": PROVENANCE,
    }
)
SHOWN = 5  # problems that one message names


def validate(data: Mapping | Dataset | IterableDataset | DatasetDict | Iterable[Mapping]) -> int:
    """
    Checks that a row, or every row of a dataset, follows [`FEATURES`] and means something: images are there, at least
    one caption and none empty, `changed` is false exactly for category "none", ids are unique within a split.
    Further columns are allowed. Images are not decoded.

    Args:
        data (`dict`, `Dataset`, `IterableDataset`, `DatasetDict` or an iterable of `dict`):
            One row or many. An iterable is consumed.

    Returns:
        `int`: the number of rows checked.

    Raises:
        ValueError: names the first rows and columns that are wrong, and how many problems there are in all.

    Example:
        >>> validate({"id": "7", "before": a, "after": b, "captions": [], "category": "add", "changed": True,
        ...           "provenance": None})
        ValueError: row 'id=7', column 'captions': is empty; at least one reference is needed
    """
    if isinstance(data, DatasetDict | IterableDatasetDict):
        return sum(_validate_rows(split, f"split {name!r}, ") for name, split in data.items())
    if isinstance(data, Mapping):
        return _validate_rows([data], "", numbered=False)
    return _validate_rows(data, "")


def _validate_rows(rows: Iterable[Mapping], where: str, numbered: bool = True) -> int:
    if isinstance(rows, Dataset | IterableDataset) and rows.features is not None:
        _raise(where, list(_feature_problems(rows.features)))
        for name in ("before", "after"):
            rows = rows.cast_column(name, Image(decode=False))
    problems, seen, number = [], {}, -1
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ValueError(f"{where}row {number} is a {type(row).__name__}, not a dict of columns")
        name = f"row {number} (id={row.get('id')!r})" if numbered else f"row 'id={row.get('id')}'"
        problems += [f"{name}, column {column!r}: {what}" for column, what in _row_problems(row)]
        key = row.get("id")
        if isinstance(key, str) and seen.setdefault(key, number) != number:
            problems.append(f"{name}, column 'id': is also the id of row {seen[key]}")
    _raise(where, problems)
    return number + 1


def _raise(where: str, problems: list[str]) -> None:
    if not problems:
        return
    more = f"\n... {len(problems)} problems in all" if len(problems) > SHOWN else ""
    raise ValueError("\n".join(where + problem for problem in problems[:SHOWN]) + more)


def _feature_problems(features: Features) -> Iterator[str]:
    for column, expected in FEATURES.items():
        if column not in features:
            yield f"column {column!r} is missing; a row has {', '.join(FEATURES)}"
        elif isinstance(expected, Image) and not isinstance(features[column], Image):
            yield f"column {column!r} has type {features[column]}, not Image: cast it with cast_column"
        elif column in ("id", "captions", "category", "changed") and features[column] != expected:
            yield f"column {column!r} has type {features[column]}, not {expected}"


def _row_problems(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for column in FEATURES:
        if column not in row:
            yield column, "is missing" + (" (it may be None)" if column == "provenance" else "")
    there = {name: value for name, value in row.items() if name in FEATURES}
    for column, value in there.items():
        if column in ("id", "category") and not (isinstance(value, str) and value.strip()):
            yield column, f"must be a string that is not empty, not {value!r}"
        elif column in ("before", "after"):
            if isinstance(value, Mapping) and not value.get("bytes") and not value.get("path"):
                yield column, "has neither bytes nor a path"
            elif not value or not isinstance(value, Mapping | PILImage.Image | str):
                yield column, f"must be an image, not {type(value).__name__}"
        elif column == "captions":
            yield from ((column, what) for what in _caption_problems(value))
        elif column == "changed" and not isinstance(value, bool):
            yield column, f"must be true or false, not {value!r}"
        elif column == "changed" and isinstance(said := row.get("category"), str) and value == (said == NO_CHANGE):
            right = "an unchanged pair has category 'none', and only such a pair"
            yield column, f"is {value} but 'category' is {said!r}; {right}"
        elif column == "provenance" and value is not None:
            yield from ((column, what) for what in _provenance_problems(value))


def _caption_problems(captions: Any) -> Iterator[str]:
    if isinstance(captions, str) or not isinstance(captions, Iterable):
        yield f"must be a list of strings, not {type(captions).__name__}"
        return
    captions = list(captions)
    if not captions:
        yield "is empty; at least one reference is needed"
    for i, caption in enumerate(captions):
        if not isinstance(caption, str):
            yield f"item {i} must be a string, not {caption!r}"
        elif not caption.strip():
            yield f"item {i} is empty; drop it, or the row where it is the only one"


def _provenance_problems(provenance: Any) -> Iterator[str]:
    if not isinstance(provenance, Mapping):
        yield f"must be a dict or None, not {type(provenance).__name__}"
        return
    if unknown := sorted(set(provenance) - set(PROVENANCE)):
        yield f"has unknown fields {unknown}; known are {sorted(PROVENANCE)}"
    for field in FEATURES.arrow_schema.field("provenance").type:
        try:
            pa.scalar(provenance.get(field.name), field.type)
        except (pa.ArrowException, TypeError, ValueError) as error:
            yield f"field {field.name!r}: {error}"
