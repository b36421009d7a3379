"""The card of what is published: the run's, a person's, or else one that says what is known from the files alone."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from .card import PHOTOGRAPHS, write_card
from .card_text import THIS, WITH, is_sealed, is_unedited, loading, seal
from .read_folder import named, read_object

TEXT = """
# {title}

Two images in, the difference in a sentence out.

{loading}

## What it is

{what}

It was not scored. Who trained it, and on what, its files do not say.

## Limits

{limits}
"""
ADAPTER = (
    "A LoRA of rank {rank} (alpha {lora_alpha:g}) on {base}: {parameters:,} parameters, in {dtype}. Names and shapes "
    "were checked against the base's architecture."
)
MODEL = "A {model} with {parameters:,} parameters, in {dtype}.{merged}"
ROUNDED = "\n\nThe weights were rounded to {dtype} when they were published; the scores are those from before that."


def write_push_card(source: Path, out: Path, name: str, facts: Mapping[str, Any]) -> None:
    """
    Writes the card of a staged folder. A card that a person edited stays, but for the name of the repository; one that
    a program wrote is written anew from `report.json`, or from the facts.

    Args:
        source (`pathlib.Path`):
            The folder that is published.
        out (`pathlib.Path`):
            Where it is put together, pictures included.
        name (`str`):
            Of the repository.
        facts (`dict`):
            As [`stage_adapter`] and [`stage_model`] return them.

    Raises:
        `ValueError`: the header of a person's card cannot be read.
    """
    old, file = source / "README.md", out / "README.md"
    text = old.read_text(encoding="utf-8") if old.is_file() else ""
    if is_unedited(text):
        report, merged = _report(source), facts.get("merged", False)
        if report is not None:
            with named(source / "report.json"):
                write_card(out, report, merged=merged)
            text = file.read_text(encoding="utf-8")
            text = text.replace(WITH.format(argument=""), loading(False))  # the embedded model has a name there
        elif not is_sealed(text) or merged or not facts.get("ours", True):  # else it is of what is published
            text = _plain(name, facts)
        if facts["rounded"] and report is not None and "scores" in report:
            text = text.replace("\n\n## Limits\n", ROUNDED.format(dtype=facts["dtype"]) + "\n\n## Limits\n", 1)
        text = seal(text.replace(THIS, name))
    file.write_text(text.replace(THIS, name), encoding="utf-8")
    try:
        ModelCard.load(file)
    except Exception as error:  # whatever a damaged header provokes in the reader of YAML
        raise ValueError(f"{old}: the header cannot be read: {' '.join(str(error).split())[:300]}") from error


def _report(source: Path) -> dict[str, Any] | None:
    """What the run noted of itself, if it did."""
    file = source / "report.json"
    if not file.is_file():
        return None
    report = read_object(file)
    about = report.get("about")
    with named(file):
        if not isinstance(about, dict | None):
            raise TypeError(f"about is {about!r}")
    return report if about and "train_data" in about else None


def _plain(name: str, facts: Mapping[str, Any]) -> str:
    adapter = facts["adapter"]
    if adapter:
        base = "the embedded model" if facts["base"] is None else facts["base"]
        base += f" (revision {facts['revision']})" if facts["revision"] else ""
        what = ADAPTER.format(**{**facts, "base": base})
    else:
        what = MODEL.format(**{**facts, "merged": " An adapter was merged into it." if facts["merged"] else ""})
    data = ModelCardData(
        language="en",
        library_name="peft" if adapter else "transformers",
        pipeline_tag="image-to-text",
        tags=["image-difference-captioning", "change-captioning", "blip-2", *(["lora"] if adapter else [])],
        base_model=facts["base"] if adapter else None,
    )
    body = TEXT.format(
        title=re.sub(r"[^\w.-]", " ", name.rpartition("/")[2]),
        loading=loading(adapter, adapter and facts["base"] is None),
        what=what,
        limits=PHOTOGRAPHS,
    )
    return f"---\n{data.to_yaml()}\n---\n{body}"


__all__ = ["write_push_card"]
