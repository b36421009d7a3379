"""Writes rendered scenes as a folder of Parquet files that `load_dataset(folder)` reads without this package."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL
from filelock import FileLock
from jinja2 import StrictUndefined, Template

from ..common.chunks import chunk_path, render_chunks, spans_of
from ..scenes.settings import SceneSettings
from .builder import fingerprint
from .rendered import check_sizes

ROWS_PER_FILE = 250
SETTINGS_FILE = "scenes.json"


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
        there = _splits_there(data)
        for split, rows in sizes.items():
            if there.get(split, 0) > rows:
                least = f"{there[split]} or more"
                raise ValueError(f"{folder} holds {there[split]} {split} rows, more than {rows}: ask for {least}")
        for split, rows in sizes.items():
            spans = spans_of(rows, ROWS_PER_FILE)
            render_chunks(data, settings, split, spans, ".parquet", num_proc)
            wanted = {chunk_path(data, split, span, ".parquet") for span in spans}
            for path in set(data.glob(f"{split}-*.parquet")) - wanted:  # the short last file of a smaller split
                path.unlink()
        sizes = {**there, **sizes}
        template = Path(__file__).with_name("scenes.md").read_text(encoding="utf-8")
        versions = {"code": fingerprint(), "numpy": np.__version__, "pillow": PIL.__version__}
        card = Template(template, undefined=StrictUndefined).render(sizes=sizes, **asdict(settings), **versions)
        (folder / "README.md").write_text(card, encoding="utf-8")
    return sizes


def _claim(folder: Path, settings: SceneSettings) -> None:
    """Notes the settings in a new folder; refuses a folder that has others."""
    mine = {**asdict(settings), "code": fingerprint()}
    path = folder / SETTINGS_FILE
    if path.exists():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        if differing := [name for name in mine if theirs.get(name) != mine[name]]:
            shown = "; ".join(f"{name} {theirs.get(name)!r}, not {mine[name]!r}" for name in differing)
            raise ValueError(f"{folder} was rendered with {shown}: use another folder, or remove it")
    elif any(entry.name != ".lock" for entry in folder.iterdir()):
        raise ValueError(f"{folder} holds other files (and no {SETTINGS_FILE}): use a new or an empty folder")
    else:
        path.write_text(json.dumps(mine, indent=2) + "\n", encoding="utf-8")


def _splits_there(data: Path) -> dict[str, int]:
    """Rows by split, by the names of the files: the last number says where one ends."""
    rows = {}
    for path in sorted(data.glob("*-*.parquet")):
        split, _, end = path.stem.split("-")
        rows[split] = int(end)
    return rows
