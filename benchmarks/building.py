"""Building a data set from image files, against copying the same bytes into Parquet with pyarrow alone.

    python benchmarks/building.py [--pairs 10000] [--width 160] [--repeats 5]

Writes a Spot-the-Diff of its own with PNG files of noise, which do not compress, then takes turns: `load_dataset` from
nothing, and pyarrow writing the same bytes and captions as one Parquet file. Prints the median seconds, their range
and the ratio; the bar is 1.5. Image files are in the page cache for both.
"""

import argparse
import io
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset
from PIL import Image

import datasets_syned  # noqa: F401  registers the data set

BAR = 1.5


def write_files(folder, pairs, width):
    """PNG files of noise and the annotation files; every pair is in the train split but two."""
    generator = np.random.default_rng(0)
    size = (width * 2 // 3, width, 3)
    contents = []
    for _ in range(16):
        buffer = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)).save(buffer, "PNG")
        contents.append(buffer.getvalue())
    names = [str(number) for number in range(pairs)]
    for number, name in enumerate(names):
        for path in (folder / f"{name}.png", folder / f"{name}_2.png"):
            path.write_bytes(contents[number % 16])
    splits = {"train": names[:-2], "val": names[-2:-1], "test": names[-1:]}
    for split, chosen in splits.items():
        rows = [{"img_id": name, "sentences": [f"the car {name} is gone"]} for name in chosen]
        (folder / f"{split}.json").write_text(json.dumps(rows))
    return names


def build(folder, cache):
    load_dataset("syned", "spot_the_diff", data_dir=str(folder), cache_dir=str(cache))


def copy(folder, names, target):
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"before": image, "after": image, "captions": pa.list_(pa.string())})
    with pq.ParquetWriter(target, schema) as writer:
        for start in range(0, len(names), 200):
            chosen = names[start : start + 200]
            columns = [
                [{"bytes": (folder / f"{name}{end}.png").read_bytes(), "path": f"{name}{end}.png"} for name in chosen]
                for end in ("", "_2")
            ]
            columns.append([[f"the car {name} is gone"] for name in chosen])
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=160, help="pixels of an image")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    datasets.disable_progress_bars()
    seconds = {"load_dataset": [], "pyarrow": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache, target = (Path(temporary, name) for name in ("files", "cache", "copy.parquet"))
        folder.mkdir()
        names = write_files(folder, args.pairs, args.width)
        copy(folder, names, target)  # warms the page cache
        for _ in range(args.repeats):
            for name, way in {
                "load_dataset": lambda: build(folder, cache),
                "pyarrow": lambda: copy(folder, names, target),
            }.items():
                shutil.rmtree(cache, ignore_errors=True)
                target.unlink(missing_ok=True)
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
        megabytes = sum(path.stat().st_size for path in folder.glob("*.png")) / 1e6
    print(f"{args.pairs:,} pairs of PNG files, {megabytes:,.0f} MB")
    for name, values in seconds.items():
        print(f"{name:14}{statistics.median(values):6.2f} s ({min(values):.2f} to {max(values):.2f})")
    ratio = statistics.median(seconds["load_dataset"]) / statistics.median(seconds["pyarrow"])
    print(f"ratio of the medians: {ratio:.2f}x (bar {BAR}x)")
    raise SystemExit(ratio > BAR)


if __name__ == "__main__":
    main()
