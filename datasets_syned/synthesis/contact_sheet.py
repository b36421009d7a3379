"""A picture of a run: sources beside their variants, those that were dropped marked with the reason."""

import io
import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from ..common.paths_in_text import without_paths
from .folder import EDIT, SELECT, RunFolder
from .images import opened
from .tally import DROPPED, FAILED, Tally

SOURCES, VARIANTS = 10, 8  # shown at most
TILE = 176  # pixels, the longer side of an image
GAP, MARGIN, TEXT = 10, 28, 15
LINES = 3  # of a reason
INK, SOFT, PAPER, LINE = "#1c2128", "#5d6673", "#ffffff", "#dde1e7"
MARKS = {DROPPED: "#b3261e", FAILED: "#8a6100"}
TOP = TEXT + GAP  # from a heading to the images below it


def contact_sheet(run: RunFolder, split: str, tally: Tally) -> bytes:
    """
    Draws up to ten sources of a split that is selected, evenly spread over it; one line for each.
    """
    lines = [
        (heading, [_tile(*cell, before=cells[0][0]) for cell in cells]) for heading, cells in _sources(run, split)
    ]
    heights = [TOP + max(tile.height for tile in tiles) + 2 * GAP for _, tiles in lines]
    width = 2 * MARGIN - GAP + max(len(tiles) for _, tiles in lines) * (TILE + GAP)
    y = MARGIN + 3 * TEXT
    sheet = Image.new("RGB", (width, y + sum(heights) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    counts = {"kept": tally.kept, "dropped": sum(tally.dropped.values()), "failed": sum(tally.failed.values())}
    said = [f"{count:,} {what}" for what, count in counts.items() if count or what == "kept"]
    made = f"{split}: {tally.rows:,} edits of {run.record['planned'][split]['sources']:,} sources"
    draw.text((MARGIN, MARGIN), ", ".join([made, *said]), INK, ImageFont.load_default(TEXT + 3))
    for (heading, tiles), height in zip(lines, heights, strict=True):
        draw.line((MARGIN, y - GAP, width - MARGIN, y - GAP), LINE)
        heading = textwrap.shorten(heading, width // 8, placeholder=" …")
        draw.text((MARGIN, y), heading, INK, ImageFont.load_default(TEXT))
        for column, tile in enumerate(tiles):
            sheet.paste(tile, (MARGIN + column * (TILE + GAP), y + TOP))
        y += height
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _sources(run: RunFolder, split: str) -> Iterator[tuple[str, list[tuple]]]:
    """Of each source that is shown: its heading, and what [`_tile`] takes of it and its variants."""
    parts = run.record["planned"][split]["parts"]
    chosen = sorted({round(i * (parts - 1) / max(1, SOURCES - 1)) for i in range(SOURCES)})
    planned = [
        (part, rows[:VARIANTS]) for part in chosen for rows in run.sources(split, part)[: -(-SOURCES // len(chosen))]
    ][:SOURCES]
    ids = {row["id"] for _, rows in planned for row in rows}
    with run.store.files.open(run.store.path(f"{SELECT}/{split}.parquet"), "rb") as file:
        verdicts = {row["id"]: row for row in pq.read_table(file, filters=[("id", "in", ids)]).to_pylist()}
    for part, some in groupby(planned, key=itemgetter(0)):
        edited = run.results(EDIT, split, part, columns=["id", "before", "after"])
        for _, rows in some:
            cells = [(edited[row["id"]]["after"], verdicts[row["id"]]) for row in rows]
            before = edited[rows[0]["id"]]["before"], {"status": "source"}
            yield f"{rows[0]['source_id']}   {rows[0]['instruction']}", [before, *cells]


def _tile(content: bytes | None, verdict: Mapping[str, Any], before: bytes | None) -> Image.Image:
    """An image in small, or an empty one of its size, and below it what became of it."""
    said, mark = verdict["status"], MARKS.get(verdict["status"])
    image = opened(content or before)[0] if content or before else Image.new("RGB", (2, 1), LINE)
    scale = TILE / max(image.size)  # of a very long image a line is left
    image = image.resize([max(1, round(side * scale)) for side in image.size])
    if not content:
        image.paste(LINE, (0, 0, *image.size))
    width, height = image.size
    if mark:
        reason = without_paths(verdict["reason"])
        said = reason if reason.startswith(verdict["by"]) else f"{verdict['by']}: {reason}"
        image = Image.blend(image, Image.new("RGB", image.size, PAPER), 0.45)  # so that what stays is seen first
    tile = Image.new("RGB", (TILE, height + GAP // 2 + LINES * TEXT), PAPER)
    draw = ImageDraw.Draw(tile)
    tile.paste(image)
    if mark:
        draw.rectangle((0, 0, width - 1, height - 1), outline=mark, width=3)
        draw.line((0, 0, width - 1, height - 1), mark, 2)
    said = "\n".join(textwrap.wrap(said, TILE * 2 // TEXT, max_lines=LINES, placeholder=" …"))
    draw.text((0, height + GAP // 2), said, mark or SOFT, ImageFont.load_default(TEXT - 3))
    return tile
