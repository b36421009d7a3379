"""
One rendered pair of each category as files: `python -m datasets_syned.scenes.export_examples OUT`.

Writes `<category>_before.png`, `<category>_after.png` and `references.jsonl`, a line per pair with the keys `id`,
`category`, `changed`, `before` and `after` (file names) and `captions`. The same arguments give the same files.
"""

import argparse
import json
from pathlib import Path

from PIL import Image

from ..common.splits import SPLITS
from .changes import CATEGORIES
from .pair import HEIGHT, WIDTH, make_pair


def export_examples(
    folder: str | Path, seed: int = 0, split: str = "test", turn: int = 0, width: int = WIDTH, height: int = HEIGHT
) -> list[Path]:
    """
    Render and write one pair of each category.

    Args:
        folder (`str` or `Path`):
            Where to write; it is made if there is none.
        seed (`int`, *optional*, defaults to 0), split (`str`, *optional*, defaults to `"test"`):
            As for [`make_pair`].
        turn (`int`, *optional*, defaults to 0):
            Which pair of each category: 0 for the first of the split, 1 for the second, ...
        width, height (`int`, *optional*, defaults to 144 and 96):
            Size of an image in pixels.

    Returns:
        `list[Path]`: the files written, `references.jsonl` last.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written, lines = [], []
    for place in range(len(CATEGORIES)):
        # the categories take turns in every split, so a run of their number has each once
        pair = make_pair(seed, split, turn * len(CATEGORIES) + place, width=width, height=height)
        names = {}
        for side in ("before", "after"):
            names[side] = f"{pair.category}_{side}.png"
            written.append(folder / names[side])
            Image.fromarray(getattr(pair, side)).save(written[-1], optimize=True)
        row = {"id": pair.id, "category": pair.category, "changed": pair.changed, **names, "captions": pair.captions}
        lines.append(json.dumps(row))
    references = folder / "references.jsonl"
    references.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [*written, references]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write one rendered pair of each category, with references.")
    parser.add_argument("folder", metavar="OUT", help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--turn", type=int, default=0, help="which pair of each category (default: the first)")
    args = parser.parse_args(argv)
    for path in export_examples(args.folder, args.seed, args.split, args.turn):
        print(path)


if __name__ == "__main__":
    main()
