"""Writes rendered scenes as a folder of Parquet files that `load_dataset(folder)` reads without this package."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL
from filelock import FileLock

from ..scenes.chunks import SceneSettings, chunk_path, render_chunks, spans_of
from .builder import check_sizes, fingerprint

ROWS_PER_FILE = 250
SETTINGS_FILE = "scenes.json"
README = """---
license: apache-2.0
language: en
pretty_name: Scenes
tags:
- image-difference-captioning
- synthetic
configs:
- config_name: scenes
  default: true
  data_files:
{data_files}
---

# Scenes

Pairs of rendered scenes in the style of CLEVR-Change and what differs between them, in words. {rows}.
Every pair has one change (color, texture, move, add, drop) or none, under a camera and a light that move with
strength {jitter:g}. Seed {seed}, {width}x{height} pixels, {references} references per pair.

```python
from datasets import load_dataset
load_dataset("<this folder>")
```

Written by `syned scenes` of the blip2idc project, code {code}, with numpy {numpy} and Pillow {pillow}.
"""


def write_scenes(
    folder: str | Path, sizes: dict[str, int], settings: SceneSettings, num_proc: int | None = None
) -> dict[str, int]:
    """
    Renders scenes into `folder`, or continues to: files that are there are kept, and asking for more rows later adds
    to them. Row `i` of a split is the row `i` of `load_dataset("syned", "scenes")` with the same settings.

    Args:
        folder (`str` or `Path`): new, empty, or written by an earlier call with the same settings.
        sizes (`dict[str, int]`): rows by split, of "train", "validation", "test".
        settings ([`SceneSettings`]): what to render.
        num_proc (`int`, *optional*): processes that render.

    Returns:
        `dict[str, int]`: rows by split, without empty splits.

    Raises:
        ValueError: the folder holds something else, other settings, or more rows than asked for; or the sizes are
            wrong.
        TimeoutError: another process writes into the folder now.
    """
    check_sizes(sizes)
    sizes = {split: rows for split, rows in sizes.items() if rows}
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder / ".lock"), timeout=0):
        _claim(folder, settings)
        data = folder / "data"
        spans = {split: spans_of(rows, ROWS_PER_FILE) for split, rows in sizes.items()}
        for split, rows in sizes.items():
            there = max((_stop(path) for path in data.glob(f"{split}-*.parquet")), default=0)
            if there > rows:
                raise ValueError(f"{folder} holds {there} {split} rows, more than {rows}: ask for {there} or more")
        for split in sizes:
            render_chunks(data, settings, split, spans[split], ".parquet", num_proc)
            wanted = {chunk_path(data, split, span, ".parquet") for span in spans[split]}
            for path in set(data.glob(f"{split}-*.parquet")) - wanted:  # the short last file of a smaller split
                path.unlink()
        sizes = {**_splits_there(data), **sizes}
        (folder / "README.md").write_text(_readme(sizes, settings), encoding="utf-8")
    return sizes


def _claim(folder: Path, settings: SceneSettings) -> None:
    """Notes the settings in a new folder; refuses a folder that has others."""
    mine = {**asdict(settings), "code": fingerprint()}
    path = folder / SETTINGS_FILE
    if path.exists():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name in mine if theirs.get(name) != mine[name]]
        if differing:
            shown = "; ".join(f"{name} {theirs.get(name)!r}, not {mine[name]!r}" for name in differing)
            raise ValueError(f"{folder} was rendered with {shown}: use another folder, or remove it")
    elif any(entry.name != ".lock" for entry in folder.iterdir()):
        raise ValueError(f"{folder} holds other files (and no {SETTINGS_FILE}): use a new or an empty folder")
    else:
        path.write_text(json.dumps(mine, indent=2) + "\n", encoding="utf-8")


def _stop(path: Path) -> int:
    return int(path.stem.rsplit("-", 1)[1])


def _splits_there(data: Path) -> dict[str, int]:
    rows = {}
    for path in data.glob("*-*.parquet"):
        split = path.name.split("-")[0]
        rows[split] = max(rows.get(split, 0), _stop(path))
    return rows


def _readme(sizes: dict[str, int], settings: SceneSettings) -> str:
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in sizes)
    rows = ", ".join(f"{rows:,} {split}" for split, rows in sizes.items())
    versions = {"code": fingerprint(), "numpy": np.__version__, "pillow": PIL.__version__}
    return README.format(data_files=files, rows=rows, **asdict(settings), **versions)
