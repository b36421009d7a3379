"""
What the canvas saves: two photos on disk → normalised pixels, ours against pasting at native size and resizing that.

Both ways end in the same stock `BlipImageProcessor`; they take turns, so that a busy machine slows both. Printed are
the median seconds per pair and the ratios.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from modeling_blip2idc.image_processing_blip2idc import make_canvas


def write_photo(path: Path, size: tuple[int, int], seed: int) -> None:
    """A JPEG with detail at every scale and sensor noise: about 3 bits per pixel, as a camera writes it."""
    rng = np.random.default_rng(seed)
    pixels, cells = np.zeros((size[1], size[0], 3), np.float32), 2
    while cells < max(size):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pixels += np.asarray(noise.resize(size, Image.Resampling.BILINEAR), np.float32) / cells**0.5
        cells *= 2
    pixels = 255 * (pixels - pixels.min()) / np.ptp(pixels)
    pixels = (pixels + rng.normal(0, 6, (*pixels.shape[:2], 1)).astype(np.float32)).clip(0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)


def paste_then_resize(before: Path, after: Path) -> Image.Image:
    """Both at native size, one above the other."""
    with Image.open(before) as first, Image.open(after) as second:
        pasted = Image.new("RGB", (first.width, first.height + second.height))
        pasted.paste(first, (0, 0))
        pasted.paste(second, (0, first.height))
    return pasted


def medians(ways: dict[str, Callable], repeats: int) -> dict[str, float]:
    """Median seconds of each way, one after the other in every round; the first round is not counted."""
    seconds = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--canvas", type=int, nargs=2, default=(224, 224), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    size = {"height": args.canvas[0], "width": args.canvas[1]}
    processor = BlipImageProcessorPil(size=size)
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.jpg"), Path(folder, "after.jpg")
        for seed, path in enumerate((before, after)):
            write_photo(path, (args.width, args.height), seed)
        megabytes = (before.stat().st_size + after.stat().st_size) / 2e6
        ways = {
            "paste, then resize": lambda: paste_then_resize(before, after),
            "make_canvas": lambda: make_canvas(before, after, size)[0],
            "make_canvas(draft=True)": lambda: make_canvas(before, after, size, draft=True)[0],
        }
        to_pixels = {name: lambda way=way: processor(way(), return_tensors="pt") for name, way in ways.items()}
        seconds = medians(to_pixels, args.repeats)
        full, drafted = (np.asarray(ways[name](), float) for name in ("make_canvas", "make_canvas(draft=True)"))
    print(f"two JPEGs of {args.width}x{args.height}, {megabytes:.1f} MB each, canvas {size['height']}x{size['width']}")
    print(f"{'':26}{'s per pair':>12}{'times as fast':>15}")
    for name, value in seconds.items():
        print(f"{name:26}{value:12.4f}{seconds['paste, then resize'] / value:15.2f}")
    difference = np.abs(full - drafted)
    print(
        f"draft against full decoding: {difference.mean():.2f} grey levels on average, {difference.max():.0f} at most"
    )


if __name__ == "__main__":
    main()
