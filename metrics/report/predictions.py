"""Files of predicted captions: JSON lines as the scripts of this project write them, and the field's result files."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ID_KEYS = ("id", "image_id")
CAPTION_KEYS = ("caption", "prediction", "generated_text")
SHOWN = 5  # ids that one message names


def read_predictions(path: str | os.PathLike) -> list[dict[str, Any]]:
    """
    Reads predicted captions. Two forms are taken: one JSON object on each line, or one JSON array of objects, as the
    field's result files are.

    An object has `id` or `image_id` (a text or a whole number) and one of `caption`, `prediction`, `generated_text`.
    It may have `category` (a text), `changed` (true or false) and `references` (a list of texts); other keys are left
    out. An entry that repeats another one exactly is dropped: files with an entry for each record of Spot-the-Diff
    have such entries.

    Args:
        path (`str` or `os.PathLike`): of the file, in UTF-8.

    Returns:
        `list[dict]`: in the order of the file, with the keys `id` (`str`), `caption` (`str`) and, as far as the file
        has them, `category`, `changed`, `references`.

    Raises:
        ValueError: names the file and the line or entry that is no JSON, lacks a key, has a value of another kind, or
            gives an id a second caption; or the file has no entries.
        OSError: the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no UTF-8 text: {error}") from None
    rows = {}
    for where, record in _entries(text, path):
        row = _row(record, where)
        if (before := rows.setdefault(row["id"], row)) != row:
            raise ValueError(
                f"{where}: id {row['id']!r} is there a second time, first with the caption {before['caption']!r} and "
                f"now with {row['caption']!r}; give each pair one entry"
            )
    if not rows:
        raise ValueError(f"{path}: has no predictions")
    return list(rows.values())


def _entries(text: str, path: str | os.PathLike) -> Iterator[tuple[str, Any]]:
    """Each object of a file, and where it stands."""
    if text.lstrip().startswith("["):
        try:
            array = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: is no JSON: {error}") from None
        yield from ((f"{path}, entry {number}", record) for number, record in enumerate(array, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: a caption may hold U+2028
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                what = f"{error.msg} at character {error.pos + 1}" if hasattr(error, "msg") else str(error)
                raise ValueError(f"{path}, line {number}: is no JSON: {what}") from None
            yield f"{path}, line {number}", record


def _row(record: Any, where: str) -> dict[str, Any]:
    if not isinstance(record, Mapping):
        raise ValueError(f"{where}: {record!r:.80} is no JSON object with an id and a caption")
    name = record[_only(record, ID_KEYS, where)]
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise ValueError(f"{where}: the id {name!r:.80} is neither a text nor a whole number")
    key = _only(record, CAPTION_KEYS, where)
    row = {"id": str(name), "caption": record[key]}
    kinds = {key: ("caption", str), "category": ("category", str), "changed": ("changed", bool)}
    for key, (column, kind) in kinds.items():
        if record.get(key) is None and column != "caption":
            continue
        if not isinstance(record[key], kind):
            raise ValueError(
                f"{where}: {key} is {record[key]!r:.80}, not {'a text' if kind is str else 'true or false'}"
            )
        row[column] = record[key]
    if (references := record.get("references")) is not None:
        right = isinstance(references, list) and references and all(isinstance(one, str) for one in references)
        if not right:
            raise ValueError(f"{where}: references is {references!r:.80}, not a list of at least one text")
        row["references"] = references
    return row


def _only(record: Mapping[str, Any], keys: Sequence[str], where: str) -> str:
    """The one of some keys that a record has."""
    found = [key for key in keys if key in record]
    if len(found) != 1:
        what = f"has {' and '.join(found)}" if found else f"has none of {', '.join(keys)}, but {', '.join(record)}"
        raise ValueError(f"{where}: {what}; give one of {', '.join(keys)}")
    return found[0]


def match_predictions(rows: Iterable[Mapping[str, Any]], ids: Sequence[str], name: str = "predictions") -> list[str]:
    """
    Captions in the order of the pairs that they belong to. Nothing is guessed: every pair has one caption, and every
    caption a pair.

    Args:
        rows (`Iterable[dict]`): with `id` and `caption`, as [`read_predictions`] returns them.
        ids (`Sequence[str]`): of the pairs.
        name (`str`, *optional*, defaults to `"predictions"`): what the rows come from, for the message.

    Returns:
        `list[str]`: a caption for each of `ids`.

    Raises:
        ValueError: names ids without a pair, or pairs without a prediction.
    """
    captions = {row["id"]: row["caption"] for row in rows}
    known = set(ids)
    for wrong, what in (
        ([one for one in captions if one not in known], "ids that no pair has"),
        ([one for one in ids if one not in captions], "pairs without a prediction"),
    ):
        if wrong:
            shown = ", ".join(map(repr, wrong[:SHOWN])) + (", ..." if len(wrong) > SHOWN else "")
            raise ValueError(
                f"{name}: {len(wrong)} {what}: {shown}. There are {len(captions)} predictions and {len(ids)} pairs; "
                f"ids of pairs look like {ids[0]!r}. Is it the same benchmark, split and options?"
            )
    return [captions[one] for one in ids]


def write_predictions(path: str | os.PathLike, rows: Iterable[Mapping[str, Any]]) -> None:
    """
    Writes one JSON object a line. The file is there as a whole or not at all.

    Args:
        path (`str` or `os.PathLike`): of the file, which is replaced.
        rows (`Iterable[dict]`): with `id`, `caption` and whatever else is to be kept, such as `pairs` of a report.
    """
    partial = Path(f"{path}.partial")
    with open(partial, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    os.replace(partial, path)
