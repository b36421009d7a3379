"""Pairs as somebody may draw and describe them, in words that the embedded model does not know."""

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

COLORS = ("orange", "pink", "teal", "red", "blue", "gold", "black", "lime")
SHAPES = ("circle", "triangle", "square", "diamond")
SPOTS = [(x, y) for y in (50, 110) for x in (50, 120, 190)]


def write_pairs(folder: Path, count: int = 40, seed: int = 0) -> Path:
    """Draws pairs of 240x160 pixels into a folder, with the table pairs.jsonl."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        size = rng.randint(2, 4)
        looks = rng.sample([(shape, color) for shape in SHAPES for color in COLORS], size + 1)
        *before, extra = [(*look, spot) for look, spot in zip(looks, rng.sample(SPOTS, size + 1), strict=True)]
        shape, color, spot = before[0]
        new = rng.choice([other for other in COLORS if other != color])
        after, caption = (
            ([*before, extra], f"A {extra[1]} {extra[0]} has been added to the picture."),
            (before[1:], f"The {color} {shape} isn't there anymore!"),
            ([(shape, new, spot), *before[1:]], f"Somebody painted the {color} {shape} {new}."),
            ([(shape, color, extra[2]), *before[1:]], f"The {color} {shape} moved to another spot."),
            (before, "Both pictures look the same; nothing is different."),
        )[i % 5]
        for name, shapes in (("before", before), ("after", after)):
            _picture(shapes).save(folder / f"{i}_{name}.png")
        rows.append({"before": f"{i}_before.png", "after": f"{i}_after.png", "captions": [caption]})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def _picture(shapes) -> Image.Image:
    picture = Image.new("RGB", (240, 160), "beige")
    draw = ImageDraw.Draw(picture)
    for shape, color, (x, y) in shapes:
        corners = {
            "triangle": [(x, y - 26), (x - 26, y + 26), (x + 26, y + 26)],
            "square": [(x - 26, y - 26), (x + 26, y - 26), (x + 26, y + 26), (x - 26, y + 26)],
            "diamond": [(x, y - 26), (x + 26, y), (x, y + 26), (x - 26, y)],
        }
        if shape == "circle":
            draw.ellipse((x - 26, y - 26, x + 26, y + 26), fill=color)
        else:
            draw.polygon(corners[shape], fill=color)
    return picture
