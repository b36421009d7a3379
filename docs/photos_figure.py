"""Draws a pair of each kind of `load_dataset("syned", "photos")`, from pictures that are CC0 or in the public domain.

    python docs/photos_figure.py --debian FOLDER [--out docs/photos.jpg]

FOLDER holds the unpacked Debian packages `plasma-workspace-data`, `palapeli-data` and `tuxpaint-stamps-default`.
docs/photos.md names the authors.
"""

import argparse
import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from datasets_syned.photos import CATEGORIES, Material, make_pair
from datasets_syned.photos.captions import captions

OF_PLASMA = "Books Brushes Bulb Car Cat Cocktail Dog Fish Owl Pancakes Parrot Pencils Shuttle Soccer Sunflower".split()
OF_PALAPELI = ("cincinnati-bridge", "citrus-fruits", "european-honey-bee")
FREE_OBJECTS = {
    "candy cane": "seasonal/christmas/Candy_cane_photo_1.png",
    "christmas tree": "seasonal/christmas/Christmas_Tree_photo.png",
    "lobster": "animals/fish/lobster.png",
    "seahorse": "animals/fish/seahorse.png",
    "stethoscope": "medical/stethoscope.png",
    "syringe": "medical/syringe.png",
}
WIDTH, HEIGHT, GAP, LINE = 210, 140, 6, 26  # pixels


class Shown(Material):
    """All pictures, in one split."""

    def photographs_of(self, split):
        return list(self.photographs)

    def objects_of(self, split):
        return {name: [number] for number, (name, _) in enumerate(self.objects)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debian", type=Path, required=True, help="where the packages are unpacked")
    parser.add_argument("--out", default="docs/photos.jpg", help="the picture")
    parser.add_argument("--seed", type=int, default=6, help="of the pairs")
    args = parser.parse_args()
    share = args.debian / "usr/share"
    material = Shown(
        tuple(str(share / "plasma/avatars/photos" / f"{name}.png") for name in OF_PLASMA)
        + tuple(str(share / "palapeli/collection" / f"{name}.jpg") for name in OF_PALAPELI),
        tuple((name, str(share / "tuxpaint/stamps" / path)) for name, path in FREE_OBJECTS.items()),
    )
    font = ImageFont.load_default(14)
    cell = (2 * WIDTH + GAP + 18, HEIGHT + LINE + 12)
    sheet = Image.new("RGB", (2 * cell[0] + 6, 7 * cell[1] + 6), "white")
    draw = ImageDraw.Draw(sheet)
    for i, category in enumerate(CATEGORIES):
        pair = make_pair(material, "test", i, args.seed, width=WIDTH, height=HEIGHT)
        x, y = 12 + i // 7 * cell[0], 12 + i % 7 * cell[1]
        for k, side in enumerate((pair.before, pair.after)):
            sheet.paste(Image.open(io.BytesIO(side)), (x + k * (WIDTH + GAP), y))
        draw.text((x, y + HEIGHT + 4), f"{category}: {captions(pair.edit)[i % 6]}", "black", font)
    sheet.save(args.out, quality=88)
    print(args.out)


if __name__ == "__main__":
    main()
