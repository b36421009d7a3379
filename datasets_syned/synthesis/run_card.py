"""The card of a run's folder: what was made, of what, by what, and what was left out."""

from collections.abc import Mapping
from typing import Any

from .tally import Tally

HEADER = """---
pretty_name: {name}
language: en
task_categories:
- image-to-text
tags:
- image-difference-captioning
- synthetic
configs:
- config_name: syned
  default: true
  data_files:
{files}
---
"""
USE = """```python
from datasets import load_dataset

load_dataset("<this folder>")

import datasets_syned  # of blip2idc, which checks rows and files

load_dataset("syned", "syned", data_dir="<this folder>")
```"""


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
    parts = [
        HEADER.format(name="Synthetic pairs for image difference captioning", files=files),
        "# Synthetic pairs for image difference captioning",
        "Pairs of images and what differs, in words. The images after the change were made by a program; each row's "
        "`provenance` says by which, from which seed and with which settings.",
        *(["![Sources and their variants, dropped ones crossed out](contact_sheet.png)"] if sheet else []),
        USE,
        *provenance(run, tallies),
    ]
    return "\n\n".join(parts) + "\n"


def provenance(run: Mapping[str, Any], tallies: Mapping[str, Tally]) -> list[str]:
    """Paragraphs in Markdown: where the pairs are from, what made them, how many were left out and why."""
    lines = ["| split | sources | made | kept | dropped | failed |", "|---|---:|---:|---:|---:|---:|"]
    for split, tally in tallies.items():
        left_out = tally.dropped.total(), tally.failed.total()
        counts = (run["planned"][split]["sources"], tally.rows, tally.kept, *left_out)
        lines.append(f"| {split} | {' | '.join(f'{count:,}' for count in counts)} |")
    parts = ["\n".join(lines), *_left_out(tallies), "## How they were made", _makers(run)]
    rejected = Tally()
    for tally in tallies.values():
        rejected += tally
    if rejected.paraphrases:
        said = rejected.paraphrases
        why = ", ".join(f"{rule} {count:,}" for rule, count in rejected.rules.most_common())
        parts.append(
            f"Of {said['asked']:,} paraphrases that were asked for, {said['kept']:,} were kept; "
            f"{rejected.rules.total():,} answers were rejected{f' ({why})' if why else ''}."
        )
    return parts


def _left_out(tallies: Mapping[str, Tally]) -> list[str]:
    lines = [
        f"| {split} | {kind} | {_cell(why)} | {count:,} |"
        for split, tally in tallies.items()
        for kind, counts in (("dropped by", tally.dropped), ("failed", tally.failed))
        for why, count in counts.most_common(20)
    ]
    if not lines:
        return ["Nothing was left out: no filter was on, or none found anything."]
    return ["\n".join(["| split | left out | | rows |", "|---|---|---|---:|", *lines])]


def _makers(run: Mapping[str, Any]) -> str:
    lines = []
    for split, wanted in run["settings"]["splits"].items():
        source = {name: value for name, value in wanted["source"].items() if name not in ("data_dir", "cache_dir")}
        said = ", ".join(f"{name} `{_cell(value)}`" for name, value in source.items())
        variants = wanted["variants"]
        what = f"{variants} edited variants of each image" if variants else "the source's own pairs"
        lines.append(f"- {split}: source {said}; {what}; {wanted['paraphrases']} paraphrases asked for")
    for name in ("editor", "paraphraser"):
        if model := run["made_by"].get(name):
            lines.append(f"- {name}: `{_cell(model['id'])}`, revision `{_cell(model['revision'])}`{_said(model)}")
    for name, options in run["made_by"]["filters"].items():
        lines.append(f"- filter `{name}`: {', '.join(f'{key} `{_cell(value)}`' for key, value in options.items())}")
    lines.append(f"- seed {run['settings']['seed']}; a row's own is a hash of it, the source's id and the variant")
    return "\n".join(lines)


def _said(model: Mapping[str, Any]) -> str:
    chosen = {name: value for name, value in model["parameters"].items() if value is not None}
    return "".join(f", {name} `{_cell(value)}`" for name, value in chosen.items())


def _cell(value: Any) -> str:
    """A value in which a table sees no column of its own."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("`", "'")
