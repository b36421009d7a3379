"""
One rendered pair of each category as files: `python -m datasets_syned.scenes.export_examples OUT`.

Writes `<category>_before.png`, `<category>_after.png` and `references.jsonl`, a line per pair with the keys `id`,
`category`, `changed`, `before` and `after` (file names) and `captions`. The same arguments give the same files.
"""

import json
import sys
from pathlib import Path

from PIL import Image

from .changes import CATEGORIES
from .pair import make_pair


def export_examples(folder: str | Path, turn: int = 0) -> list[Path]:
    """Writes pair number `turn` of each category of the test split; returns the files, `references.jsonl` last."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written, lines = [], []
    for place in range(len(CATEGORIES)):
        # the categories take turns in every split, so a run of their number has each once
        pair = make_pair(0, "test", turn * len(CATEGORIES) + place)
        names = {side: f"{pair.category}_{side}.png" for side in ("before", "after")}
        for side, name in names.items():
            Image.fromarray(getattr(pair, side)).save(folder / name, optimize=True)
            written.append(folder / name)
        row = {"id": pair.id, "category": pair.category, "changed": pair.changed, **names, "captions": pair.captions}
        lines.append(json.dumps(row) + "\n")
    references = folder / "references.jsonl"
    references.write_text("".join(lines), encoding="utf-8")
    return [*written, references]


if __name__ == "__main__":
    print(*export_examples(sys.argv[1], *map(int, sys.argv[2:])), sep="\n")
