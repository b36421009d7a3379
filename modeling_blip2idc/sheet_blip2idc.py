"""A picture of image pairs with their captions: what a README or a report shows."""

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .image_utils_blip2idc import load_image

MARGIN, GAP = 24, 10  # pixels
INK, SOFT, PAPER, GOOD = (27, 31, 36), (92, 101, 112), (255, 255, 255), (23, 114, 63)


def contact_sheet(rows: Sequence[dict], columns: int = 2, width: int = 288) -> Image.Image:
    """
    Draws pairs side by side with the caption below each.

    Args:
        rows (`Sequence[dict]`):
            Pairs as from [`~demo_blip2idc.caption_examples`].
        columns (`int`, *optional*, defaults to 2):
            Pairs beside each other.
        width (`int`, *optional*, defaults to 288):
            Of each image, pixels; the height follows from the first image.

    Returns:
        `PIL.Image.Image`: RGB.
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
            sheet.paste(image.resize((width, height), Image.Resampling.LANCZOS), (x + k * (width + GAP), y))
        lines_of_text = textwrap.wrap(row["generated_text"], cell[0] // 10)[:2] or ["(empty)"]
        draw.multiline_text((x, y + height + 8), "\n".join(lines_of_text), INK, caption)
        verdict = "equals a reference" if row["exact_reference"] else "not word for word a reference"
        draw.text(
            (x, y + height + 12 + 24 * len(lines_of_text)),
            f"{row['category']}  ·  confidence {row['score']:.2f}  ·  {verdict}",
            GOOD if row["exact_reference"] else SOFT,
            note,
        )
    return sheet
