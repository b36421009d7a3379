"""The folder of an evaluation: whose it is, and what an interrupted run left in it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .predictions import read_predictions, write_predictions

FILES = ("predictions.jsonl", "report.json", "report.md", "gallery.html")
SETTINGS = "settings.json"


def find_run(out: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Looks whether a folder is free or a run's own, by what its settings.json says was asked for. Scores of a file of
    `predictions` are made in seconds, and give way to those of another file.

    Args:
        out (`Path`): the folder, which may be missing.
        asked (`Mapping[str, Any]`): what decides which captions there are.

    Returns:
        `dict`: what [`write_settings`] noted as `used`, if the run is continued; empty if it begins, which is to be
        noted by [`write_settings`] before anything else is written.

    Raises:
        ValueError: the folder is that of another run, or has results of something else.
    """
    file = out / SETTINGS
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        earlier = before["asked"]
        wrong = [key for key in {**earlier, **asked} if asked.get(key) != earlier.get(key)]
        if not wrong:
            return before["used"]
        if asked.get("predictions") is None or earlier.get("predictions") is None:
            raise ValueError(
                f"{out}: holds captions of another run, with {wrong[0]} {earlier.get(wrong[0])!r} and not "
                f"{asked.get(wrong[0])!r}; name another folder, or remove this one"
            )
    elif there := [name for name in FILES if (out / name).exists()]:
        raise ValueError(f"{out}: has a {there[0]} of something else; name another folder")
    return {}


def write_settings(out: Path, asked: Mapping[str, Any], used: Mapping[str, Any]) -> None:
    """
    Notes what a run was asked for, and what came of it (`used`: the settings that were not given, the device).
    """
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f"{SETTINGS}.partial"
    text = json.dumps({"asked": asked, "used": used}, indent=1, ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, out / SETTINGS)


def captions_there(path: Path, ids: Sequence[str], batch_size: int) -> list[str]:
    """
    Captions that an interrupted run wrote. A line that was cut off is dropped, and so are captions of a batch that is
    not whole: the next batches are then composed as they would have been, and say the same to the last bit.

    Args:
        path (`Path`): of the file, which is cut behind them; may be missing.
        ids (`Sequence[str]`): of all pairs, in the order of the run.
        batch_size (`int`): of this run.

    Returns:
        `list[str]`: captions of the first pairs.

    Raises:
        ValueError: the file holds other pairs, or broken lines before its last one.
    """
    if not path.exists():
        return []
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    rows = read_predictions(path) if path.stat().st_size else []
    if [row["id"] for row in rows] != list(ids[: len(rows)]):
        raise ValueError(f"{path}: its ids are not those of the first {len(rows)} pairs; name another folder")
    if len(rows) < len(ids):
        rows = rows[: len(rows) // batch_size * batch_size]
        write_predictions(path, rows)
    return [row["caption"] for row in rows]
