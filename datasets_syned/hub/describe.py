"""What a card says of a configuration: what is in its rows, how they came about, what the audit found."""

import base64
import re
from collections import Counter
from dataclasses import fields
from statistics import mean
from typing import Any

import datasets

from ..audit.audit import audit
from ..audit.pictures import Picture
from ..synthesis.cards import synthesis_section
from .card import Entry, license_id

LOOKED_AT = 50  # first rows of a split, in search of one to show


def why_withheld(config: datasets.BuilderConfig) -> str:
    """Why a configuration must not be published, empty if it may be."""
    withheld = getattr(config, "WITHHELD", {})
    return "; ".join(reason for split, reason in withheld.items() if config.plan.pairs.get(split))


def describe(
    builder: datasets.DatasetBuilder,
    data: datasets.DatasetDict,
    license: str | None = None,
    languages: tuple[str, ...] = (),
) -> Entry:
    """
    What the card says of a configuration.

    Args:
        builder (`DatasetBuilder`), data (`DatasetDict`): the configuration, built.
        license (`str`, *optional*): in place of that of the source.
        languages (`tuple[str, ...]`, *optional*): codes of those of the captions; English but for pairs of one's own.
    """
    config, info = builder.config, builder.info
    plan, own, record = getattr(config, "plan", None), config.name == "folder", getattr(config, "record", None)
    dropped = {split: dict(reasons) for split, reasons in plan.dropped.items()} if plan else {}
    for split, pairs in plan.pairs.items() if plan else ():
        # what turned out to be broken when the rows were made, perhaps by an earlier process
        if broken := len(pairs) - len(data.get(split, ())):
            dropped.setdefault(split, {})["image broken"] = broken
    notes, options = plan.notes if plan else {}, _options(config)
    title = "own pairs" if own else getattr(config, "TITLE", config.name)
    about = [] if plan else [info.description.partition(". ")[0] + "."]
    if withheld := why_withheld(config):
        about.append(f"Not to be passed on: {withheld}.")
    example, images = _example(config.name, data)
    sheet = f"assets/{config.name}-contact-sheet.png" if record and record.sheet() else None
    images |= {sheet: record.sheet()} if sheet else {}
    synthesis = synthesis_section(record and record.run, data, sheet)
    told = record.run["splits"] if record else ()
    told = {split: {*record.left_out(split), *record.notes(split)} for split in told}
    published = {} if options else getattr(config, "COUNTS", {})
    sources = () if own or synthesis else getattr(config, "SOURCES", ())
    languages = languages or (() if own else ("en",))
    said = {
        "title": title[0].upper() + title[1:],
        "about": " ".join(about),
        "example": example,
        "counts": [_counts(split, rows) for split, rows in data.items()],
        "options": {name: repr(value) for name, value in options.items()},
        "left_out": {
            f"{what} when it was built": [
                (split, why, count)
                for split, reasons in counts.items()
                for why, count in reasons.items()
                if why not in told.get(split, ())
            ]
            for what, counts in {"Left out": dropped, "Noted": notes}.items()
        },
        "synthesis": synthesis,
        "published": published,
        "findings": audit(data, published=published, dropped=dropped, notes=notes, samples=0)["findings"],
        "license": license or info.license,
        "homepage": info.homepage,
        "citation": info.citation,
        "sources": sources,
        "stated": bool(sources) and license is None,
        "changed": all(value for rows in data.values() for value in rows["changed"]),
        "categories": sorted({name for rows in data.values() for name in rows.unique("category")}),
        "english": languages == ("en",),
    }
    return Entry(config.name, info, said, license or license_id(info.license), languages, images)


def _options(config: datasets.BuilderConfig) -> dict[str, Any]:
    """Arguments that decide what the rows are and differ from their defaults; no places on this machine."""
    base = {field.name for field in fields(datasets.BuilderConfig)} | getattr(config, "PLACES", frozenset())
    base.add("on_error")  # what it left out is told of
    own = {field.name: field.default for field in fields(config) if field.name not in base}
    chosen = {name: getattr(config, name) for name, default in own.items() if getattr(config, name) != default}
    return {name: value for name, value in sorted(chosen.items()) if not re.search(r"[/\\]", str(value))}


def _example(name: str, data: datasets.DatasetDict) -> tuple[dict[str, Any] | None, dict[str, bytes]]:
    """The first pair with a change whose images can be shown, and these by their paths in the repository."""
    for split, rows in data.items():
        for side in ("before", "after"):
            rows = rows.cast_column(side, datasets.Image(decode=False))
        for row in rows.select(range(min(LOOKED_AT, len(rows)))):
            if row["changed"]:
                small = {f"assets/{name}-{side}.jpg": Picture(row[side]).thumbnail() for side in ("before", "after")}
                if all(small.values()):
                    said = {"id": str(row["id"]), "captions": row["captions"], "category": row["category"]}
                    jpeg = {path: base64.b64decode(image["uri"].partition(",")[2]) for path, image in small.items()}
                    return {**said, "split": split, "paths": list(jpeg)}, jpeg
    return None, {}


def _counts(split: str, rows: datasets.Dataset) -> dict[str, Any]:
    references = [len(captions) for captions in rows["captions"]]
    counts = {"least": min(references), "most": max(references), "mean": mean(references)}
    categories = Counter(rows["category"]).most_common()
    return {"name": split, "rows": len(rows), "single": references.count(1), "categories": categories, **counts}
