"""Makes forty pairs of photographs from pictures of Debian packages, in a folder for the configuration "folder".

    python -m benchmarks.handmade handmade/ --packages debian/
    blip2idc-evaluate --benchmark folder --data_dir handmade/ --model M

It needs ImageMagick. What is missing is one message with the command that brings it. Equal versions of the packages,
ImageMagick and Pillow give equal files.
"""

import argparse
import hashlib
import inspect
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from . import pairs_inside, pairs_outside
from .packages import Pictures
from .tools import SIZE, program

CAPTIONS = Path(__file__).parent / "captions.jsonl"


def pairs() -> dict:
    """The function that makes each pair, by its id: its name with hyphens."""
    return {
        name.replace("_", "-"): make
        for module in (pairs_inside, pairs_outside)
        for name, make in vars(module).items()
        if inspect.isfunction(make) and make.__module__ == module.__name__ and not name.startswith("_")
    }


def read_captions() -> list[dict]:
    """The lines of the captions file: `id`, `category`, `in_grammar`, `captions` and `made`."""
    return [json.loads(line) for line in CAPTIONS.read_text(encoding="utf-8").splitlines()]


def shoot(image: Image.Image, key: str, path: Path) -> None:
    """Saves a picture as JPEG, moved by up to 3 pixels and a little lighter or darker, as if taken again."""
    rng = np.random.default_rng(list(hashlib.sha256(key.encode()).digest()[:8]))
    x, y = (int(d) for d in rng.integers(0, 7, 2))
    shot = image.resize((SIZE[0] + 6, SIZE[1] + 6), Image.Resampling.BICUBIC).crop((x, y, x + SIZE[0], y + SIZE[1]))
    ImageEnhance.Brightness(shot).enhance(rng.uniform(0.97, 1.03)).save(path, quality=int(rng.integers(80, 93)))


def main(argv=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="is made, or must be empty")
    parser.add_argument(
        "--packages", type=Path, default=Path("/"), metavar="FOLDER",
        help="in which the packages are unpacked; default: they are installed",
    )  # fmt: skip
    args = parser.parse_args(argv)
    try:
        pictures = Pictures(args.packages)
        program()
    except FileNotFoundError as error:
        parser.exit(1, f"{error}\n")
    if args.folder.is_dir() and any(args.folder.iterdir()):
        parser.error(f"{args.folder} is not empty")
    makers = pairs()
    for side in ("before", "after"):
        (args.folder / side).mkdir(parents=True, exist_ok=True)
    with open(args.folder / "test.jsonl", "w", encoding="utf-8") as table:
        for row in read_captions():
            paths = {side: f"{side}/{row['id']}.jpg" for side in ("before", "after")}
            for (side, path), image in zip(paths.items(), makers[row["id"]](pictures), strict=True):
                shoot(image, f"{row['id']} {side}", args.folder / path)
            table.write(json.dumps(row | paths) + "\n")
    print(f"{len(makers)} pairs are in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
