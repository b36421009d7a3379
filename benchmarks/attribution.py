"""Does the relevance map of a caption point at what changed? Against pixel difference, on the scenes.

    python benchmarks/attribution.py [--rows 600] [--split test] [--jitter 1] [--figure docs/attribution.png]

Each image in which the changed object stands is one trial (the first image for "drop", the second for "add", both for
the others). Pointing game: the highest point of that image's map lies on the object's mask, or at most `t` pixels from
it. IoU: of the mask, and of the map where it exceeds its mean by `k` standard deviations; each way with the `k` that
suits it best on the validation split. Captions are the model's own.

Pixel difference: sum over channels of |before - after|, blurred with the best Gaussian of the validation split.
Controls: the map of the caption of another pair, and that of a model whose weights are shuffled. Intervals: 95 %
bootstrap over pairs. Exits with 1 if the map points right on less than 80 % or not 20 points above pixel difference.
"""

import argparse
import copy
import json
import time

import numpy as np
import torch
from datasets import load_dataset
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import datasets_syned  # noqa: F401  registers the data set
from modeling_blip2idc import load_idc
from modeling_blip2idc.attribution.overlay import overlay
from modeling_blip2idc.attribution.relevance import relevance_maps

CATEGORIES = ("color", "texture", "move", "add", "drop")
TOLERANCES = (0, 3)  # pixels of images of 144x96
# The best on 250 changed validation pairs: the blur in pixels of 0, 2, ... 14, and k of .5, 1, ... 4.
BASELINE_BLUR = 8
K = {"map": 2.5, "pixels": 2.0}


def pixel_difference(row, blur=BASELINE_BLUR):
    """The baseline's map, the same for both images: (H, W)."""
    before, after = (np.asarray(row[side], np.float32) for side in ("before", "after"))
    difference = np.abs(before - after).sum(-1)
    down, along = (gaussian(side, blur) for side in difference.shape)
    return down @ difference @ along


def gaussian(side, sigma):
    """Matrix that blurs `side` values; beyond the edge there is nothing. 0: no blur."""
    apart = np.subtract.outer(np.arange(side), np.arange(side))
    return np.exp(-(apart**2) / (2 * sigma**2)) if sigma else np.eye(side)


def masks(row):
    """Masks of the changed object, (H, W), in the first and second image; `None` where it is not."""
    places = json.loads(row["scene"])["changed_object"]
    sides = zip(places, ("before_mask", "after_mask"), strict=True)
    return [None if place is None else np.asarray(row[side]) == place + 1 for place, side in sides]


def points_at(relevance, mask, tolerance):
    """Whether the highest point lies at most `tolerance` pixels from the mask."""
    y, x = np.unravel_index(relevance.argmax(), relevance.shape)
    rows, columns = np.nonzero(mask)
    return bool(((rows - y) ** 2 + (columns - x) ** 2).min() <= tolerance**2)


def overlap(relevance, mask, k):
    """IoU of the mask and of what exceeds the mean by `k` standard deviations."""
    found = relevance > relevance.mean() + k * relevance.std()
    return (found & mask).sum() / (found | mask).sum()


def trials(rows, maps, k):
    """Per pair the sums over its trials: their number, hits at each tolerance, IoU; (N, 2 + tolerances)."""
    sums = []
    for row, pair in zip(rows, maps, strict=True):
        judged = [(one, mask) for one, mask in zip(pair, masks(row), strict=True) if mask is not None]
        hits = [sum(points_at(*trial, tolerance) for trial in judged) for tolerance in TOLERANCES]
        sums.append([len(judged), *hits, sum(overlap(*trial, k) for trial in judged)])
    return np.array(sums, float)


def rates(sums):
    """Per trial, in per cent: hits at each tolerance, and IoU."""
    return 100 * sums[..., 1:].sum(-2) / sums[..., :1].sum(-2)


def interval(*ways, resamples=1000):
    """95 % bootstrap interval over pairs of the rates, or, of two ways, of their differences: (2, rates)."""
    draws = np.random.default_rng(0).integers(len(ways[0]), size=(resamples, len(ways[0])))
    found = [rates(sums[draws]) for sums in ways]
    return np.percentile(found[0] if len(ways) == 1 else found[0] - found[1], (2.5, 97.5), axis=0)


def shuffled(model):
    """A copy of the model with the numbers of each weight in random order."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.flatten()[torch.randperm(weight.numel(), generator=generator)].view_as(weight))
    return model


def measure(rows, model, processor, controls=True):
    """Sums per pair by the name of the way, the maps, and seconds per pair."""
    pairs = [(row["before"], row["after"]) for row in rows]
    start = time.perf_counter()
    found = relevance_maps(model, processor, pairs)
    seconds = (time.perf_counter() - start) / len(pairs)
    said = [one.caption for one in found]

    def sums(maps):
        return trials(rows, [(one.before, one.after) for one in maps], K["map"])

    ways = {"relevance map": sums(found)}
    ways["pixel difference"] = trials(rows, [(pixel_difference(row),) * 2 for row in rows], K["pixels"])
    if controls:
        ways["map, one position"] = sums(relevance_maps(model, processor, pairs, said, fast=True))
        ways["map of another caption"] = sums(relevance_maps(model, processor, pairs, said[1:] + said[:1]))
        ways["map of shuffled weights"] = sums(relevance_maps(shuffled(model), processor, pairs, said))
    return ways, found, seconds


def report(ways, categories):
    """Prints the tables. Returns whether a bar is missed."""
    heads = [f"points, {tolerance} px" for tolerance in TOLERANCES] + ["IoU"]
    print(f"{'':24}" + "".join(f"{head:>22}" for head in heads))

    def line(name, values, bounds):
        cells = (f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in zip(values, *bounds, strict=True))
        print(f"{name:24}" + "".join(f"{cell:>22}" for cell in cells))

    for name, sums in ways.items():
        line(name, rates(sums), interval(sums))
    ours, pixels = ways["relevance map"], ways["pixel difference"]
    gain = rates(ours) - rates(pixels)
    line("map above pixels", gain, interval(ours, pixels))
    print(f"\npoints, 0 px, by kind   {''.join(f'{name:>18}' for name in ('relevance map', 'pixel difference'))}")
    for category in CATEGORIES:
        of_kind = np.array([one == category for one in categories])
        if of_kind.any():
            print(f"{category:24}" + "".join(f"{rates(sums[of_kind])[0]:18.1f}" for sums in (ours, pixels)))
    return bool(rates(ours)[0] < 80 or gain[0] < 20)


def figure(rows, found, scale=2):
    """A line per pair: both images as they are, and with their maps; masks are outlined, captions below."""
    font = ImageFont.load_default(13)
    width, height = (scale * side for side in rows[0]["before"].size)
    sheet = Image.new("RGB", (4 * width + 50, len(rows) * (height + 36) + 10), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (row, one) in enumerate(zip(rows, found, strict=True)):
        top = 10 + i * (height + 36)
        images = [row["before"].convert("RGB"), row["after"].convert("RGB")]
        heated = [overlay(image, part) for image, part in zip(images, (one.before, one.after), strict=True)]
        for j, (image, mask) in enumerate(zip(images + heated, masks(row) * 2, strict=True)):
            image = image.resize((width, height), Image.Resampling.BICUBIC)
            if mask is not None and j >= 2:
                large = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST).convert("L")
                inner = large.filter(ImageFilter.MinFilter(3))
                edge = np.asarray(large) > np.asarray(inner)
                image = Image.fromarray(np.where(edge[..., None], np.uint8(255), np.asarray(image)))
            sheet.paste(image, (10 + j * (width + 10), top))
        draw.text((10, top + height + 6), f"{row['category']}:  {one.caption}", "black", font)
    return sheet


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=600, help="of which five of six are changed")
    parser.add_argument("--split", default="test")
    parser.add_argument("--jitter", type=float, default=1.0)
    parser.add_argument("--figure", help="write the first pair of each kind, with its maps, to this image")
    args = parser.parse_args()
    sizes = {"train": 0, "validation": 0, "test": 0, args.split: args.rows}
    rows = load_dataset("syned", "scenes", split=args.split, masks=True, jitter=args.jitter, **sizes)
    rows = [row for row in rows if row["changed"]]
    ways, found, seconds = measure(rows, *load_idc())
    trials_made = int(ways["relevance map"][:, 0].sum())
    print(f"{len(rows)} changed pairs ({trials_made} images) of {args.split}, jitter {args.jitter:g};", end=" ")
    print(f"{1000 * seconds:.0f} ms per pair with caption and maps, {torch.get_num_threads()} thread(s)\n")
    missed = report(ways, [row["category"] for row in rows])
    if args.figure:
        kinds = [[row["category"] for row in rows].index(category) for category in CATEGORIES]
        figure([rows[i] for i in kinds], [found[i] for i in kinds]).save(args.figure)
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
