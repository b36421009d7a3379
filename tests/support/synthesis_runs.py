"""Small runs, and what came out of them."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from datasets_syned.synthesis import Settings, SplitSettings

SMALL = {"path": "scenes", "width": 48, "height": 32, "jitter": 0.0}  # a few milliseconds an image
FILTERS = {"changed_area": 0.003, "near_duplicates": 0.003}


def settings(sources: int = 6, variants: int = 4, source: dict | None = None, **given: Any) -> Settings:
    """Of a run over `sources` scenes, or another source; two sources in a part, two parts in a file."""
    split = SplitSettings(source or SMALL, variants=variants, limit=sources)
    defaults = {"editor": "procedural", "sources_per_part": 2, "rows_per_shard": 16}
    return Settings({"train": split}, **{**defaults, **given})


def rows(out: Path, split: str = "train", folder: str = "data") -> list[dict]:
    """The rows of a finished run, in order; images as they are stored."""
    return [row for file in sorted((out / folder).glob(f"{split}[-.]*")) for row in pq.read_table(file).to_pylist()]


def content(out: Path) -> dict[str, str]:
    """Hashes of everything that a run leaves, by its path; without locks and the name of its folder."""
    files = (file for file in sorted(out.rglob("*")) if file.is_file() and not file.name.startswith("."))
    return {file.relative_to(out).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}


def left_out(out: Path, split: str = "train") -> list[dict]:
    """What is said of the rows that are not part of the result."""
    return [row for row in rows(out, split, "select") if row["status"] != "kept"]
