"""`synthesize` beside a bare loop over the same pipeline, and where the time goes, for `benchmarks/synthesis.py`."""

import contextlib
import functools
import json
import statistics
import tempfile
import threading
import time
import warnings
from collections import defaultdict
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import diffusers
import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from datasets_syned.common.seeds import seed_of
from datasets_syned.synthesis import Settings, SplitSettings, editing, run, scoring, select, synthesize
from datasets_syned.synthesis.editors.diffusers_editor import DiffusersEditor
from datasets_syned.synthesis.folder import RunFolder
from datasets_syned.synthesis.sources import DatasetSource

PIPELINE = diffusers.StableDiffusionInstructPix2PixPipeline
GUIDANCE = {"guidance_scale": 7.5, "image_guidance_scale": 1.5}
CALLS = "pipeline"
# What is timed, and as what. Time within one of them that is within another counts for the inner one alone.
TIMED = (
    (PIPELINE, "__call__", CALLS),
    (DiffusersEditor, "edit", "around the pipeline"),
    (DatasetSource, "read", "source files"),
    (editing, "opened", "source files"),
    (Future, "result", "waiting for the last part"),
    (editing, "encoded", "image files"),
    (scoring.Scoring, "make", "filters"),
    (RunFolder, "table", "tables"),
    (RunFolder, "plan", "tables"),
    (RunFolder, "keep", "tables"),
    (run, "select", "selection"),
    (run, "open_model", "opening"),
    (run, "claim", "plan"),
    (DiffusersEditor, "load", "weights"),
    (select, "contact_sheet", "contact sheet"),
)
# In a run, whatever its length; the waiting, as long as editing a part takes longer than encoding it.
ONCE = {"opening", "plan", "weights", "waiting for the last part", "contact sheet"}
FILTERS = ["changed_area", "near_duplicates"]
SECONDS = (1.0, 3.0, 10.0)  # seconds that a pipeline may take for an image
RUNS = (800, 28_720)  # images: of the quick start, and of Syned
BAR = 0.03


class Stopwatch:
    """
    Seconds, of the clock and of the processor, by what was going on in the thread that made it; what is not named is
    "rest". The processor's are those of all threads. `elsewhere`: seconds of the clock in other threads.
    """

    def __init__(self):
        self.thread = threading.get_ident()
        self.seconds = defaultdict(lambda: np.zeros(2))
        self.elsewhere = defaultdict(float)
        self.names, self.since = ["rest"], self.now()

    @staticmethod
    def now() -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])

    def turn(self) -> None:
        now = self.now()
        self.seconds[self.names[-1]] += now - self.since
        self.since = now

    @contextlib.contextmanager
    def during(self, name: str):
        self.turn()
        self.names.append(name)
        try:
            yield
        finally:
            self.turn()
            self.names.pop()

    def timing(self, function, name: str):
        @functools.wraps(function)
        def timed(*args, **kwargs):
            if threading.get_ident() == self.thread:
                with self.during(name):
                    return function(*args, **kwargs)
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.elsewhere[name] += time.perf_counter() - begin

        return timed


class Sides:
    """
    Ours and the peer, on the same pipeline, files and seeds.

    Args:
        pipeline, sources (`Path`): folders of both.
        args (`argparse.Namespace`): `variants`, `steps`, `device`.
    """

    def __init__(self, pipeline: Path, sources: Path, args):
        self.pipeline, self.sources, self.args = pipeline, sources, args
        self.images = {}

    def ours(self, folder: str, limit: int | None = None, filters=None) -> Stopwatch:
        args = self.args
        options = {"steps": args.steps, "device": args.device, "batch_size": args.variants, "resolution": args.side}
        source = {"path": str(self.sources), "split": "train", "cache_dir": f"{folder}/cache"}
        split = SplitSettings(source, variants=args.variants, limit=limit)
        models = {"editor": str(self.pipeline), "editor_options": options, "filters": filters}
        settings = Settings({"train": split}, **models, sources_per_part=1)
        watch = Stopwatch()
        with contextlib.ExitStack() as stack:
            for owner, attribute, name in TIMED:
                stack.enter_context(patch.object(owner, attribute, watch.timing(getattr(owner, attribute), name)))
            watch.since = watch.now()
            synthesize(settings, f"{folder}/run")
            watch.turn()
        rows = pq.read_table(f"{folder}/run/data", columns=["id", "after"]).to_pylist()
        self.images["ours"] = {row["id"]: Image.open(BytesIO(row["after"]["bytes"])) for row in rows}
        return watch

    def ours_filtered(self, folder: str, limit: int | None = None) -> Stopwatch:
        return self.ours(folder, limit, FILTERS)

    def peer(self, folder: str, limit: int | None = None) -> Stopwatch:
        """What one would write oneself: load, read, call with as many images as there are variants, save."""
        watch, paths = Stopwatch(), {}
        with watch.during("weights"):
            dtype = torch.float32 if self.args.device == "cpu" else torch.float16
            pipe = PIPELINE.from_pretrained(self.pipeline, dtype=dtype, use_safetensors=True).to(self.args.device)
            pipe.set_progress_bar_config(disable=True)
        for line in (self.sources / "metadata.jsonl").read_text().splitlines()[:limit]:
            row = json.loads(line)
            with watch.during("source files"):
                image = Image.open(self.sources / row["file_name"]).convert("RGB")
            seeds = [seed_of(0, row["id"], k) for k in range(self.args.variants)]
            with watch.during(CALLS), warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*initial images.*", FutureWarning)
                images = pipe(
                    row["instruction"], image, num_inference_steps=self.args.steps, **GUIDANCE,
                    num_images_per_prompt=len(seeds), generator=[torch.Generator().manual_seed(s) for s in seeds],
                ).images  # fmt: skip
            with watch.during("image files"):
                for k, image in enumerate(images):
                    paths[f"{row['id']}-{k}"] = path = f"{folder}/{row['id']}-{k}.png"
                    image.save(path)
        watch.turn()
        self.images["peer"] = {name: Image.open(path).copy() for name, path in paths.items()}
        return watch

    def differing(self) -> int:
        """How many images of the last blocks of both sides are not the same."""
        ours, peer = self.images["ours"], self.images["peer"]
        return sum(not np.array_equal(ours[name], peer[name]) if name in ours else 1 for name in peer)


def measure_overhead(pipeline: Path, sources: Path, args) -> tuple[dict[str, list], dict[str, list], int]:
    """Seconds of each block by side, as a [`Stopwatch`] has them, those elsewhere, and how many images differ."""
    sides, found, elsewhere, differing = Sides(pipeline, sources, args), defaultdict(list), defaultdict(list), 0
    for block in range(-1, args.blocks):  # a first short one is not counted: packages are loaded, memory is had
        for side in (sides.ours_filtered, sides.peer, sides.ours):
            with tempfile.TemporaryDirectory() as folder:
                watch = side(folder, limit=1 if block < 0 else None)
            if block >= 0:
                found[side.__name__].append(dict(watch.seconds))
                elsewhere[side.__name__].append(sum(watch.elsewhere.values()))
        differing = sides.differing()
    return found, elsewhere, differing


def middle(values, form: str) -> str:
    """Median and range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def costs(blocks: list[dict], count: int) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of what the clock says of all outside of the pipeline: in ms for an image, and in seconds for a run."""
    seconds = {name: statistics.median(block[name][0] for block in blocks) for name in blocks[0]}
    image = {name: 1000 * value / count for name, value in seconds.items() if name not in ONCE | {CALLS}}
    return image, {name: value for name, value in seconds.items() if name in ONCE}


def report_overhead(found: dict, elsewhere: dict, differing: int, count: int, args) -> bool:
    """Prints what [`measure_overhead`] found of `count` images a block; returns whether the bar is missed."""
    totals = {side: np.array([sum(block.values()) for block in blocks]) for side, blocks in found.items()}
    calls = {side: np.array([block[CALLS] for block in blocks]) for side, blocks in found.items()}
    clocks = ("wall", "processor")
    bare = statistics.median(totals["peer"][:, 0]) / count
    print(
        f"overhead: {args.geometry} geometry, {args.side}x{args.side}, {args.steps} steps, {args.blocks} blocks of "
        f"{count} images, {args.variants} of a source; the bare loop takes {bare:.3g} s for an image"
    )
    for side, blocks in totals.items():
        print(f"  {side:14}", ", ".join(f"{clocks[k]} {middle(blocks[:, k], '.4g')} s" for k in range(2)))
    print(f"  images that differ between the two: {differing} of {count}")
    ratios = {
        "ours / peer - 1": totals["ours"] / totals["peer"] - 1,
        "the same with filters": totals["ours_filtered"] / totals["peer"] - 1,
        "outside of the pipeline / peer": (totals["ours"] - calls["ours"]) / totals["peer"],
        "the same of the peer": (totals["peer"] - calls["peer"]) / totals["peer"],
        "its calls, ours / peer - 1": calls["ours"] / calls["peer"] - 1,
    }
    for name, blocks in ratios.items():
        print(f"  {name:30}", ", ".join(f"{clocks[k]} {middle(blocks[:, k], '.1%')}" for k in range(2)))
    outside = {side: costs(blocks, count) for side, blocks in found.items()}
    peers = sum(outside["peer"][0].values())
    for side, (image, once) in outside.items():
        each, whole = sum(image.values()), sum(once.values())
        print(f"  {side}: {each:.1f} ms for an image outside of the pipeline, and {whole:.2f} s for a run")
        print("    ms for an image:", ", ".join(f"{name} {value:.2f}" for name, value in image.items()))
        print("    s for a run:", ", ".join(f"{name} {value:.2f}" for name, value in once.items()))
        if side != "peer":
            print(f"    ms for an image in another thread: {1000 * statistics.median(elsewhere[side]) / count:.1f}")
        for seconds in SECONDS if side != "peer" else ():
            runs = [f"{(each / 1000 + whole / run) / seconds:.2%} in a run of {run:,} images" for run in RUNS]
            print(f"    if the pipeline took {seconds:g} s for an image: {', '.join(runs)}")
    share = sum(outside["ours"][0].values()) / 1000 / bare
    print(
        f"  of the bare loop, for an image: ours {share:.2%}, bar {BAR:.0%}; the peer's own {peers / 1000 / bare:.2%}"
    )
    return share > BAR
