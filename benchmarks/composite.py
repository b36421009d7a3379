"""How fast the editor `composite` makes edits, beside plain pasting by Pillow.

    python benchmarks/composite.py [--photographs FOLDER --objects FOLDER] [--pairs 120] [--blocks 3]

Ours: the images before the edit are there; each is composed anew with the edit that its instruction asks for, with
shadows, matched brightness, another camera and exposure, saved as JPEG and decoded again. Theirs, plain Pillow: each
photograph is cropped and resized to the same size, one cut-out is resized and pasted on it, and it is saved as JPEG
and decoded. Photographs and cut-outs are in memory in both cases. They take turns in two processes each; printed are
medians of pairs per second over the blocks, their ratio, and the bar. Without folders, drawn material of the tests is
used.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # a script's own folder comes first, and `metrics` is a file of it
    sys.path[0] = str(ROOT)

from datasets_syned.photos.material import open_cutout, open_photograph  # noqa: E402
from datasets_syned.synthesis.editors import load_editor  # noqa: E402
from datasets_syned.synthesis.sources import load_source  # noqa: E402
from tests.support.photo_material import draw_objects, draw_photographs  # noqa: E402

BAR = 60  # pairs per second in two processes
SIDE, CORES = 256, 2


def prepare(photographs, objects, pairs):
    """Opens everything once in this process; what [`composite`] and [`plain`] work on."""
    global editor, images, texts, opened, cutouts
    source = load_source({"path": photographs, "objects": objects, "per_image": pairs})
    rows = [row for row, _ in zip(source.rows(), range(pairs), strict=False)]
    editor = load_editor("composite", photographs=photographs, objects=objects)
    images, texts = [Image.open(io.BytesIO(source.read(row.index))) for row in rows], [row.instruction for row in rows]
    for image in images:
        image.load()
    opened = [open_photograph(str(Path(photographs) / name)) for name in source.files]
    cutouts = [open_cutout(path) for _, path in editor.material.objects]
    editor.edit(images, texts, range(len(images)))


def composite(seed):
    return sum(isinstance(one, Image.Image) for one in editor.edit(images, texts, range(seed, seed + len(images))))


def plain(seed):
    rng = np.random.default_rng(seed)
    for number in range(len(images)):
        photograph, cutout = opened[number % len(opened)], cutouts[int(rng.integers(len(cutouts)))]
        side = min(photograph.size)
        image = photograph.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (0, 0, side, side), reducing_gap=2.0)
        cutout = cutout.resize((SIDE // 3, SIDE // 3), Image.Resampling.BILINEAR, reducing_gap=2.0)
        image.paste(cutout, tuple(int(at) for at in rng.integers(0, SIDE - SIDE // 3, 2)), cutout)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85)
        Image.open(file).convert("RGB")
    return len(images)


def rate(pool, work, seed):
    begin = time.perf_counter()
    made = sum(pool.map(work, [seed + 1000 * core for core in range(CORES)]))
    return made / (time.perf_counter() - begin)


def measure(photographs, objects, pairs, blocks):
    with ProcessPoolExecutor(CORES, initializer=prepare, initargs=(photographs, objects, pairs)) as pool:
        rate(pool, plain, 0), rate(pool, composite, 0)
        rounds = [(rate(pool, composite, block), rate(pool, plain, block)) for block in range(1, blocks + 1)]
    return [statistics.median(rates) for rates in zip(*rounds, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs")
    parser.add_argument("--objects")
    parser.add_argument("--pairs", type=int, default=120, help="of each process and block")
    parser.add_argument("--blocks", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photographs = args.photographs or str(draw_photographs(Path(folder, "photographs")))
        objects = args.objects or str(draw_objects(Path(folder, "objects")))
        ours, theirs = measure(photographs, objects, args.pairs, args.blocks)
    print(f"{SIDE}x{SIDE}, {CORES} processes: composite {ours:.0f} pairs/s (bar {BAR}), Pillow {theirs:.0f} pairs/s")
    print(f"composite against plain pasting: {ours / theirs:.2f}x")
    raise SystemExit(ours < BAR)


if __name__ == "__main__":
    main()
