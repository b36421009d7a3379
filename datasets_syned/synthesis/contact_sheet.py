"""A picture of a run: sources beside their variants, those that were dropped marked with the reason."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from .folder import RunFolder
from .rows import DROPPED, KEPT
from .shards import rows_of, tally_of

SOURCES, VARIANTS = 10, 8  # shown at most
TILE = 176  # pixels, the longer side of an image
GAP, MARGIN, TEXT = 10, 28, 15
LINES = 3  # of a reason
INK, SOFT, PAPER, LINE = "#1c2128", "#5d6673", "#ffffff", "#dde1e7"
MARKS = {DROPPED: "#b3261e", "failed": "#8a6100"}


def contact_sheet(folder: RunFolder) -> bytes:
    """
    Draws up to ten sources of a finished run, evenly spread over its first split with variants; one line for each.

    Returns:
        `bytes`: a PNG file.
    """
    split = next(name for name, one in folder.settings.splits.items() if one.variants)
    sources = list(_sources(folder, split))
    columns = 1 + max(len(variants) for _, variants in sources)
    tiles = [(_height([first, *variants]), first, variants) for first, variants in sources]
    lines = [height + TEXT * (LINES + 2) + 3 * GAP for height, *_ in tiles]
    width = 2 * MARGIN + columns * TILE + (columns - 1) * GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + 3 * TEXT + sum(lines)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), _title(folder, split), INK, _font(TEXT + 3))
    y = MARGIN + 3 * TEXT
    for (height, first, variants), line in zip(tiles, lines, strict=True):
        _draw_source(sheet, draw, y, height, first, variants)
        y += line
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _sources(folder: RunFolder, split: str):
    """Of each source that is shown: its first row, and all rows that are shown, `None` for one that was not found."""
    plan, shards = folder.plan(split), folder.shards(split)
    parts = len(plan)
    chosen = sorted({round(i * (parts - 1) / max(1, SOURCES - 1)) for i in range(SOURCES)})
    each = -(-SOURCES // len(chosen))
    shown = 0
    for part in chosen:
        shard = next(one for one in shards if part in one.parts)
        by_source = groupby(plan.read(part), key=lambda row: row["source_id"])
        planned = [list(rows) for _, rows in by_source][:each]
        rows = rows_of(folder, shard, {row["id"] for some in planned for row in some})
        for some in planned:
            if shown < SOURCES:
                found = [rows[row["id"]] for row in some[:VARIANTS]]
                yield found[0] | {"instruction": some[0]["instruction"], "source_id": some[0]["source_id"]}, found
                shown += 1
    plan.close()


def _title(folder: RunFolder, split: str) -> str:
    tally = tally_of(folder, split)
    words = [f"{tally.rows:,} edits of {folder.planned[split].sources:,} sources", f"{tally.kept:,} kept"]
    words += [f"{tally.dropped.total():,} dropped"] if tally.dropped else []
    words += [f"{tally.failed.total():,} failed"] if tally.failed else []
    return f"{split}: {', '.join(words)}"


def _height(rows: Sequence[Mapping[str, Any]]) -> int:
    """Of the tallest thumbnail of a line."""
    images = [_thumbnail(row[side]) for row in rows for side in ("before", "after")]
    return max((image.height for image in images if image), default=TILE // 2)


def _thumbnail(cell: Mapping[str, Any] | None) -> Image.Image | None:
    if not cell or not cell["bytes"]:
        return None
    with Image.open(io.BytesIO(cell["bytes"])) as image:
        return ImageOps.contain(image.convert("RGB"), (TILE, TILE))


def _draw_source(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    y: int,
    height: int,
    first: Mapping[str, Any],
    variants: Sequence[Mapping[str, Any]],
) -> None:
    draw.line((MARGIN, y - GAP, sheet.width - MARGIN, y - GAP), LINE)
    heading = f"{first['source_id']}   {first['instruction']}"
    draw.text((MARGIN, y), textwrap.shorten(heading, sheet.width // 8, placeholder=" …"), INK, _font(TEXT))
    y += TEXT + GAP
    _draw_tile(sheet, draw, MARGIN, y, height, first["before"], "source", SOFT, None)
    for column, row in enumerate(variants, 1):
        made = row.get("made") or {"status": KEPT}
        mark = MARKS.get(made["status"])
        said = f"{made['by']}: {made['reason']}" if mark else "kept"
        if mark and made["reason"].startswith(made["by"]):
            said = made["reason"]
        x = MARGIN + column * (TILE + GAP)
        _draw_tile(sheet, draw, x, y, height, row["after"], said, mark or SOFT, mark)


def _draw_tile(sheet, draw, x: int, y: int, height: int, cell, said: str, color: str, mark: str | None) -> None:
    image = _thumbnail(cell)
    if image is None:
        draw.rectangle((x, y, x + TILE - 1, y + height - 1), LINE)
        draw.text((x + GAP, y + height // 2 - TEXT), "no image", SOFT, _font(TEXT))
    elif mark:  # paler, so that what stays is seen first
        sheet.paste(Image.blend(image, Image.new("RGB", image.size, PAPER), 0.45), (x, y))
        draw.rectangle((x, y, x + image.width - 1, y + image.height - 1), outline=mark, width=3)
        draw.line((x, y, x + image.width - 1, y + image.height - 1), mark, 2)
    else:
        sheet.paste(image, (x, y))
    lines = textwrap.wrap(said, TILE * 2 // TEXT, max_lines=LINES, placeholder=" …")
    draw.multiline_text((x, y + height + 4), "\n".join(lines), color, _font(TEXT - 3), spacing=2)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
