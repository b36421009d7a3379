"""A picture of image pairs with their captions: what a README or a report shows."""

import textwrap
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..image_utils_blip2idc import load_image

MARGIN, GAP = 24, 10  # pixels
INK, SOFT, PAPER, GOOD = (27, 31, 36), (92, 101, 112), (255, 255, 255), (23, 114, 63)


def contact_sheet(rows: Sequence[dict], columns: int = 2, width: int = 288) -> Image.Image:
    """
    Draws pairs as of [`~loading.examples.caption_examples`], `columns` beside each other, with the caption below each.
    Images are `width` pixels wide, and as high as the first one; others get margins. Returns a `PIL.Image.Image`.
    """
    images = [[load_image(row[side], side) for side in ("before", "after")] for row in rows]
    height = round(width * images[0][0].height / images[0][0].width)
    caption, note = ImageFont.load_default(19), ImageFont.load_default(14)
    cell = (2 * width + GAP, height + 80)
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * (cell[0] + MARGIN) + MARGIN, lines * (cell[1] + MARGIN) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (row, pair) in enumerate(zip(rows, images, strict=True)):
        x = MARGIN + i % columns * (cell[0] + MARGIN)
        y = MARGIN + i // columns * (cell[1] + MARGIN)
        for k, image in enumerate(pair):
            image = ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, PAPER)
            sheet.paste(image, (x + k * (width + GAP), y))
        lines_of_text = textwrap.wrap(row["generated_text"], cell[0] // 10)[:2] or ["(empty)"]
        draw.multiline_text((x, y + height + 8), "\n".join(lines_of_text), INK, caption)
        verdict = "equals a reference" if row["exact_reference"] else "not word for word a reference"
        confidence = f"confidence {row['score']:.2f}" if "score" in row else None
        draw.text(
            (x, y + height + 12 + 24 * len(lines_of_text)),
            "  ·  ".join(filter(None, (row.get("category"), confidence, verdict))),
            GOOD if row["exact_reference"] else SOFT,
            note,
        )
    return sheet


def first_of_each(rows: Any, captions: Sequence[str], most: int = 8) -> list[dict]:
    """
    Rows (at most `most`, of a `datasets.Dataset`) for [`contact_sheet`] that nobody picked, with their captions: the
    first of each category, in the order of the data; without categories, or where these are fewer than three, the
    first ones.
    """
    from ..pipeline_blip2idc import normalize_caption

    kinds = rows["category"] if "category" in rows.column_names else [None] * len(rows)
    firsts = {kind: place for place, kind in reversed(list(enumerate(kinds)))}
    places = sorted(firsts.values()) if len(firsts) > 2 else range(len(rows))
    chosen = []
    for place in list(places)[:most]:
        row, said = dict(rows[place]), normalize_caption(captions[place])
        exact = next((text for text in row["captions"] if normalize_caption(text) == said), None)
        chosen.append({**row, "generated_text": captions[place], "exact_reference": exact})
    return chosen
