"""What a card says of a configuration: what is in its rows, how they came about, what the audit found."""

import base64
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from statistics import mean
from typing import Any

import datasets

from ..audit.audit import audit
from ..audit.pictures import Picture
from ..common.markdown import plain, table
from ..synthesis.card_paragraphs import package_versions, row_paragraphs, run_paragraphs, sheet_paragraphs
from .card import Entry, license_id

LOOKED_AT = 50  # first rows of a split, in search of one to show
SHOWN_CATEGORIES = 12


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
    plan, own = getattr(config, "plan", None), config.name == "folder"
    dropped = {split: dict(reasons) for split, reasons in plan.dropped.items()} if plan else {}
    for split, pairs in plan.pairs.items() if plan else ():
        # what turned out to be broken when the rows were made, perhaps by an earlier process
        if broken := len(pairs) - len(data.get(split, ())):
            dropped.setdefault(split, {})["image broken"] = broken
    notes = plan.notes if plan else {}
    synthesis, images, told = _synthesis(config, data)
    options = _options(config)
    found = audit(
        data, published={} if options else getattr(config, "COUNTS", {}), dropped=dropped, notes=notes, samples=0
    )
    title = "own pairs" if own else getattr(config, "TITLE", config.name)
    about = [] if plan else [info.description.partition(". ")[0] + "."]
    if withheld := why_withheld(config):
        about.append(f"Not to be passed on: {withheld}.")
    example, pictures = _example(config.name, data)
    sources = () if own or synthesis else getattr(config, "SOURCES", ())
    languages = languages or (() if own else ("en",))
    said = {
        "title": title[0].upper() + title[1:],
        "about": " ".join(about),
        "example": example,
        "counts": _counts(data),
        "options": {name: repr(value) for name, value in options.items()},
        "left_out": {
            "Left out when it was built": _reasons(dropped, told),
            "Noted when it was built": _reasons(notes, told),
        },
        "synthesis": synthesis,
        **_audit(found),
        "license": license or info.license,
        "homepage": info.homepage,
        "citation": info.citation,
        "sources": sources,
        "stated": bool(sources) and license is None,
        "changed": all(value for rows in data.values() for value in rows["changed"]),
        "categories": sorted({name for rows in data.values() for name in rows.unique("category")}),
        "single": [
            f"{count:,} of {len(rows):,} in {split}"
            for split, rows in data.items()
            if (count := sum(len(captions) == 1 for captions in rows["captions"]))
        ],
        "english": languages == ("en",),
    }
    return Entry(
        config.name,
        info,
        said,
        license or license_id(info.license),
        languages,
        bool(synthesis),
        {**pictures, **images},
    )


def _synthesis(
    config: datasets.BuilderConfig, data: datasets.DatasetDict
) -> tuple[list[str], dict[str, bytes], dict[str, set[str]]]:
    """Paragraphs on how synthetic pairs were made, the picture in them, and by split the counts that they tell."""
    record = getattr(config, "record", None)
    if record is None:
        return row_paragraphs(data, level=3), {}, {}
    paragraphs, images = run_paragraphs(record.run, package_versions(data), level=3), {}
    if content := record.sheet():
        path = f"assets/{config.name}-contact-sheet.png"
        images[path] = content
        paragraphs += sheet_paragraphs(path)
    told = {split: {*record.left_out(split), *record.notes(split)} for split in record.run["splits"]}
    return paragraphs, images, told


def _reasons(counts: Mapping[str, Mapping[str, int]], told: Mapping[str, set[str]]) -> list[str]:
    """Counts by split, without those that are told elsewhere."""
    return [
        f"{split}: {count:,} × {plain(why)}"
        for split, of_split in counts.items()
        for why, count in of_split.items()
        if why not in told.get(split, ())
    ]


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


def _counts(data: datasets.DatasetDict) -> str:
    lines = []
    for split, rows in data.items():
        references = [len(captions) for captions in rows["captions"]]
        least, most = min(references), max(references)
        said = str(least) if least == most else f"{least} to {most}, mean {mean(references):.2f}"
        categories = Counter(rows["category"]).most_common()
        shown = [f"{plain(name)} {count:,}" for name, count in sorted(categories[:SHOWN_CATEGORIES])]
        if len(categories) > SHOWN_CATEGORIES:
            shown.append(f"and {len(categories) - SHOWN_CATEGORIES} more")
        lines.append([split, len(rows), said, ", ".join(shown)])
    return table("split | pairs: | references per pair | categories", lines)


def _audit(result: Mapping[str, Any]) -> dict[str, Any]:
    lines, absent = [], []
    for name, kind in result["findings"].items():
        if kind["count"]:
            counts = kind["by_split"] if name != "count" else result["published"]
            where = ", ".join(f"{plain(split)} {count:,}" for split, count in counts.items() if count)
            where = f"{where} published" if name == "count" else f"{kind['count']:,} {kind['unit']}: {where}"
            title = kind["title"] if kind["problem"] else f"{kind['title']} (may be meant so)"
            lines.append([title, where, kind["about"]])
        elif name != "count" or result["published"]:
            absent.append(kind["title"].lower())
    findings = table("finding | where | what it means", lines) if lines else ""
    return {"findings": findings, "absent": absent}
