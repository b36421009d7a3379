"""A picture of a run: sources beside their variants, those that were dropped marked with the reason."""

import io
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from ..common.paths_in_text import without_paths
from .folder import EDIT, SELECT, RunFolder
from .tally import DROPPED, FAILED, Tally

SOURCES, VARIANTS = 10, 8  # shown at most
TILE = 176  # pixels, the longer side of an image
GAP, MARGIN, TEXT = 10, 28, 15
SMALL_LINE = 15  # pixels from line to line, below an image
LINES = 3  # of a reason
INK, SOFT, PAPER, LINE = "#1c2128", "#5d6673", "#ffffff", "#dde1e7"
MARKS = {DROPPED: "#b3261e", FAILED: "#8a6100"}


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


def contact_sheet(run: RunFolder, split: str, tally: Tally) -> bytes:
    """
    Draws up to ten sources of a split that is selected, evenly spread over it; one line for each.

    Args:
        run ([`RunFolder`]): of the run.
        split (`str`): one with variants.
        tally ([`Tally`]): what became of its rows.

    Returns:
        `bytes`: a PNG file.
    """
    lines = [(heading, _tiles(cells)) for heading, cells in _sources(run, split)]
    heights = [max(tile.height for tile in tiles) + TEXT + 4 * GAP for _, tiles in lines]
    columns = max(len(tiles) for _, tiles in lines)
    width = 2 * MARGIN + columns * TILE + (columns - 1) * GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + 3 * TEXT + sum(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), _title(run, split, tally), INK, _font(TEXT + 3))
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


def _sources(run: RunFolder, split: str) -> Iterator[tuple[str, list[tuple]]]:
    """Of each source that is shown: its heading, and what [`_tiles`] takes of it and its variants."""
    parts = run.record["planned"][split]["parts"]
    chosen = sorted({round(i * (parts - 1) / max(1, SOURCES - 1)) for i in range(SOURCES)})
    each, planned = -(-SOURCES // len(chosen)), []
    for part in chosen:
        by_source = groupby(run.plan(split, part), key=itemgetter("source_id"))
        planned += [(part, list(rows)) for _, rows in islice(by_source, each)]
    planned = planned[:SOURCES]
    ids = {row["id"] for _, rows in planned for row in rows}
    with run.store.files.open(run.store.path(f"{SELECT}/{split}.parquet"), "rb") as file:
        verdicts = {row["id"]: row for row in pq.read_table(file, filters=[("id", "in", ids)]).to_pylist()}
    for part, some in groupby(planned, key=itemgetter(0)):
        edited = run.results(EDIT, split, part, columns=["id", "before", "after"])
        for _, rows in some:
            cells = [(edited[row["id"]]["after"], verdicts[row["id"]]) for row in rows[:VARIANTS]]
            heading = f"{rows[0]['source_id']}   {rows[0]['instruction']}"
            yield heading, [(edited[rows[0]["id"]]["before"], {"status": "source"}), *cells]


def _title(run: RunFolder, split: str, tally: Tally) -> str:
    dropped, failed = sum(tally.dropped.values()), sum(tally.failed.values())
    words = [f"{tally.rows:,} edits of {run.record['planned'][split]['sources']:,} sources", f"{tally.kept:,} kept"]
    words += [f"{dropped:,} dropped"] if dropped else []
    words += [f"{failed:,} failed"] if failed else []
    return f"{split}: {', '.join(words)}"


def _tiles(cells: list[tuple[bytes | None, Mapping[str, Any]]]) -> list[Tile]:
    """Tiles of images and what is said of each; the first is the source."""
    tiles, size = [], (TILE, TILE // 2)
    for content, made in cells:
        image = None
        if content:
            with Image.open(io.BytesIO(content)) as file:
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
