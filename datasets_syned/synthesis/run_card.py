"""The card of a run's folder: what was made, of what, by what, and what was left out."""

from collections.abc import Mapping
from typing import Any

from .card_paragraphs import run_paragraphs, sheet_paragraphs
from .tally import Tally

CARD = "README.md"
TITLE = "Synthetic pairs for image difference captioning"
HEADER = """---
pretty_name: {title}
language: en
task_categories:
- image-to-text
tags:
- image-difference-captioning
- synthetic
configs:
- config_name: synthetic
  default: true
  data_files:
{files}
---"""
ABOUT = (
    "Pairs of images and what differs, in words. `provenance` of a row says what made its image after the change, "
    "from which seed and with which settings; it is null where that image is the source's own."
)
USE = """```python
from datasets import load_dataset

load_dataset("<this folder>")

import datasets_syned  # of blip2idc, which checks rows and files

load_dataset("syned", "synthetic", data_dir="<this folder>")
```

`syned push synthetic <someone/name> --data_dir <this folder>` publishes them, with what is said here."""


def run_card(run: Mapping[str, Any], tallies: Mapping[str, Tally], sheet: bool) -> str:
    """
    Args:
        run (`dict`): content of `synthesis.json`.
        tallies (`dict[str, Tally]`): by split.
        sheet (`bool`): whether there is a contact sheet.

    Returns:
        `str`: `README.md`, with the header that lets `load_dataset` and the Hub find the splits.
    """
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in tallies)
    counts = {split: tally.as_dict() for split, tally in tallies.items()}
    parts = [
        HEADER.format(title=TITLE, files=files),
        f"# {TITLE}",
        ABOUT,
        *(sheet_paragraphs("contact_sheet.png") if sheet else []),
        USE,
        *run_paragraphs({**run, "splits": counts}),
    ]
    return "\n\n".join(parts) + "\n"
