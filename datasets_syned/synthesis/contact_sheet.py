"""A picture of a run: sources beside their variants, those that were dropped marked with the reason."""

import io
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ..common.paths_in_text import without_paths
from .folder import RunFolder
from .rows import DROPPED, KEPT
from .shards import rows_of, tally_of

SOURCES, VARIANTS = 10, 8  # shown at most
TILE = 176  # pixels, the longer side of an image
GAP, MARGIN, TEXT = 10, 28, 15
SMALL_LINE = 15  # pixels from line to line, below an image
LINES = 3  # of a reason
INK, SOFT, PAPER, LINE = "#1c2128", "#5d6673", "#ffffff", "#dde1e7"
MARKS = {DROPPED: "#b3261e", "failed": "#8a6100"}


@dataclass(frozen=True)
class Tile:
    """
    A source, or one of its variants.

    Args:
        image (`PIL.Image.Image`, *optional*): in small, if there is one.
        size (`tuple[int, int]`): of it, or of the place where it would be: that of the source's.
        said (`list[str]`): lines below it.
        mark (`str`, *optional*): color of what crosses it out.
    """

    image: Image.Image | None
    size: tuple[int, int]
    said: list[str]
    mark: str | None = None

    @property
    def height(self) -> int:
        return self.size[1] + GAP // 2 + SMALL_LINE * len(self.said)


def contact_sheet(folder: RunFolder) -> bytes:
    """
    Draws up to ten sources of a finished run, evenly spread over its first split with variants; one line for each.

    Returns:
        `bytes`: a PNG file.
    """
    split = next(name for name, one in folder.settings.splits.items() if one.variants)
    lines = [(heading, _tiles(cells)) for heading, cells in _sources(folder, split)]
    heights = [max(tile.height for tile in tiles) + TEXT + 4 * GAP for _, tiles in lines]
    columns = max(len(tiles) for _, tiles in lines)
    width = 2 * MARGIN + columns * TILE + (columns - 1) * GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + 3 * TEXT + sum(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), _title(folder, split), INK, _font(TEXT + 3))
    y = MARGIN + 3 * TEXT
    for (heading, tiles), height in zip(lines, heights, strict=True):
        draw.line((MARGIN, y - GAP, width - MARGIN, y - GAP), LINE)
        draw.text((MARGIN, y), textwrap.shorten(heading, width // 8, placeholder=" …"), INK, _font(TEXT))
        for column, tile in enumerate(tiles):
            _draw(sheet, draw, MARGIN + column * (TILE + GAP), y + TEXT + GAP, tile)
        y += height
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _sources(folder: RunFolder, split: str) -> Iterator[tuple[str, list[tuple]]]:
    """Of each source that is shown: its heading, and what [`_tiles`] takes of it and its variants."""
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
                cells = [(row["after"], row.get("made") or {"status": KEPT}) for row in found]
                heading = f"{some[0]['source_id']}   {some[0]['instruction']}"
                yield heading, [(found[0]["before"], {"status": "source"}), *cells]
                shown += 1
    plan.close()


def _title(folder: RunFolder, split: str) -> str:
    tally = tally_of(folder, split)
    words = [f"{tally.rows:,} edits of {folder.planned[split].sources:,} sources", f"{tally.kept:,} kept"]
    words += [f"{tally.dropped.total():,} dropped"] if tally.dropped else []
    words += [f"{tally.failed.total():,} failed"] if tally.failed else []
    return f"{split}: {', '.join(words)}"


def _tiles(cells: list[tuple[Mapping[str, Any] | None, Mapping[str, Any]]]) -> list[Tile]:
    """Tiles of images and what is said of each; the first is the source."""
    tiles, size = [], (TILE, TILE // 2)
    for cell, made in cells:
        image = None
        if cell and cell["bytes"]:
            with Image.open(io.BytesIO(cell["bytes"])) as file:
                scale = TILE / max(file.size)  # of a very long image a line is left
                image = file.convert("RGB").resize([max(1, round(side * scale)) for side in file.size])
            size = size if tiles else image.size
        said, mark = made["status"], MARKS.get(made["status"])
        if mark:
            reason = without_paths(made["reason"])
            said = reason if reason.startswith(made["by"]) else f"{made['by']}: {reason}"
        lines = textwrap.wrap(said, TILE * 2 // TEXT, max_lines=LINES, placeholder=" …")
        tiles.append(Tile(image, image.size if image else size, lines, mark))
    return tiles


def _draw(sheet: Image.Image, draw: ImageDraw.ImageDraw, x: int, y: int, tile: Tile) -> None:
    width, height = tile.size
    if tile.image is None:
        draw.rectangle((x, y, x + width - 1, y + height - 1), LINE)
        draw.text((x + GAP, y + height // 2 - TEXT), "no image", SOFT, _font(TEXT))
    elif tile.mark:  # paler, so that what stays is seen first
        sheet.paste(Image.blend(tile.image, Image.new("RGB", tile.image.size, PAPER), 0.45), (x, y))
    else:
        sheet.paste(tile.image, (x, y))
    if tile.mark:
        draw.rectangle((x, y, x + width - 1, y + height - 1), outline=tile.mark, width=3)
        draw.line((x, y, x + width - 1, y + height - 1), tile.mark, 2)
    for number, line in enumerate(tile.said):
        draw.text((x, y + height + GAP // 2 + number * SMALL_LINE), line, tile.mark or SOFT, _font(TEXT - 3))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
