"""Rendering rate of the embedded benchmark at the size that the embedded model is trained on.

    python benchmarks/scenes.py [--pairs 200]

Prints pairs per second of one process and of two, both measured in this run, and their ratio. Drawing the scene, both
images with shadows and reflections at four rays per pixel, masks, captions and PNG compression are all counted.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from datasets_syned.scenes.settings import SceneSettings

STRIDE = 10  # rows that a process is handed at a time


def build(start, settings):
    return [settings.row("train", index) for index in range(start, start + STRIDE)]


def rate(processes, pairs, settings):
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(partial(build, settings=settings), range(0, STRIDE * processes, STRIDE)))  # warm-up
        start = time.perf_counter()
        list(pool.map(partial(build, settings=settings), range(0, pairs, STRIDE)))
        return pairs / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    pairs = parser.parse_args().pairs
    settings = SceneSettings(masks=True)
    one, two = rate(1, pairs, settings), rate(2, pairs, settings)
    print(f"{settings.width}x{settings.height}, {pairs} pairs: {one:.1f} pairs/s in one process, {two:.1f} in two")
    print(f"two processes against one: {two / one:.2f}x")


if __name__ == "__main__":
    main()
