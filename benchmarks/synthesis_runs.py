"""Runs of `syned synthesize` in processes of their own: what memory they take, and how soon they go on."""

import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageOps

VARIANTS, SIZE = 8, (48, 32)  # width and height of the images
SIDE = 64  # of the image files
PART, SHARD, SMALL_SHARD = 64, 1024, 64  # rows
LIMITS = (0.001, 0.002)  # of a filter, before and after it is changed
DONE = 0.95  # of a run that is continued
CASES = {"scenes": ("scenes", SHARD), "scenes, small shards": ("scenes", SMALL_SHARD), "files": ("files", SHARD)}
# Allocators of threads keep what was freed, by chance up to 60 MiB; this one gives it back, so that peaks compare.
ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}
SECONDS = 10.0  # that a changed limit may take, of 10,000 rows
BAR = 0.05  # by which a run of many rows may take more memory: what is not the rows' doing differs, too
INSTRUCTIONS = ("turn the sky into a sunset", "add a boat", "make it snow", "paint the door blue")


def save_sources(count: int, side: int, folder: Path, seed: int = 0) -> list[Path]:
    """
    Saves square JPEG files with a `metadata.jsonl` that gives each an instruction, as `load_dataset` reads a folder
    of images. Their spectrum falls as 1/f, as that of photographs does (Field 1987).
    """
    rng, folder = np.random.default_rng(seed), Path(folder)
    folder.mkdir(parents=True)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    paths = [folder / f"{i:06d}.jpg" for i in range(count)]
    with (folder / "metadata.jsonl").open("w") as lines:
        for i, path in enumerate(paths):
            pixels = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((3, side, side))) / frequency, s=(side, side))
            pixels = np.clip(128 + 50 * pixels / pixels.std(), 0, 255).astype(np.uint8)
            Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(path, quality=92)
            row = {"file_name": path.name, "id": path.stem, "instruction": INSTRUCTIONS[i % len(INSTRUCTIONS)]}
            lines.write(json.dumps(row) + "\n")
    return paths


class Inverting:
    """An editor that takes no time. Stopped by the user once it has made `stop` images, if that is given."""

    id, revision, parameters, versions, batch_size = "inverting", "1", {}, {}, VARIANTS

    def __init__(self, stop: int | None = None):
        self.left = stop

    def load(self) -> None:
        """Nothing is to be loaded."""

    def edit(self, images, instructions, seeds):
        if self.left is not None:
            if self.left < len(images):
                raise KeyboardInterrupt
            self.left -= len(images)
        return [ImageOps.invert(image) for image in images]


def status(name: str) -> float:
    """MiB of this process, as the kernel counts: "VmRSS" now, "VmHWM" at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def synthesize_here(connection, source: dict, out: str, shard: int, inverting: bool, stop: int | None) -> None:
    """A run, from a process's start; `connection` gets its memory in MiB when it begins, and the most that it took."""
    import datasets

    from datasets_syned.synthesis import Settings, SplitSettings, synthesize

    datasets.disable_progress_bars()
    split = SplitSettings(source, variants=VARIANTS)
    settings = Settings({"train": split}, editor="procedural", rows_per_shard=shard)
    connection.send(status("VmRSS"))
    with contextlib.suppress(KeyboardInterrupt):
        synthesize(settings, out, editor=Inverting(stop) if inverting else None)
    connection.send(status("VmHWM"))


def start(source: dict, out: str, shard: int = SHARD, inverting: bool = True, stop: int | None = None):
    """Starts [`synthesize_here`] in a fresh process; returns it and the end of its connection."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    run = spawn.Process(target=synthesize_here, args=(theirs, source, out, shard, inverting, stop))
    run.start()
    theirs.close()
    return run, ours


def sources_in(folder: Path, count: int) -> dict[str, dict]:
    """What is read: scenes that are rendered as they are asked for, and files in a folder."""
    files = folder / f"files-{count}"
    if not files.exists():
        save_sources(count, SIDE, files)
    width, height = SIZE
    return {
        "scenes": {"path": "scenes", "rows": count, "width": width, "height": height},
        "files": {"path": str(files), "split": "train", "cache_dir": f"{files}-cache"},
    }


def measure_memory(
    counts: Sequence[int], jobs: int, cases: Mapping[str, tuple[str, int]] = CASES
) -> dict[str, list[dict[str, float]]]:
    """MiB "before" and at the "peak" of runs of each of `counts` sources, `jobs` at a time, by case."""

    def measure(kind: str, shard: int, count: int) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            source = sources_in(Path(folder), count)[kind]
            run, connection = start(source, f"{folder}/run", shard, inverting=kind == "files")
            found = {"before": connection.recv(), "peak": connection.recv()}
            run.join()
        return found

    with patch.dict(os.environ, ALLOCATOR), ThreadPoolExecutor(jobs) as pool:
        waiting = {name: [pool.submit(measure, *case, count) for count in counts] for name, case in cases.items()}
        return {name: [one.result() for one in runs] for name, runs in waiting.items()}


def report_memory(found: dict[str, list[dict[str, float]]], counts: Sequence[int]) -> bool:
    """Prints what [`measure_memory`] found for two counts; returns whether the bar is missed."""
    rows = [f"{count * VARIANTS:,}" for count in counts]
    print(f"memory: most MiB of a process, for runs of {' and '.join(rows)} rows")
    missed = False
    for name, (small, large) in found.items():
        more = large["peak"] - small["peak"]
        missed |= more / small["peak"] > BAR
        each = more * 2**20 / (counts[1] - counts[0]) / VARIANTS
        print(
            f"  {name:20} {small['peak']:.1f} and {large['peak']:.1f} ({small['before']:.1f} and "
            f"{large['before']:.1f} at first): {more / small['peak']:+.1%}, {each:.0f} bytes a row; bar {BAR:+.0%}"
        )
    return missed


def first_part(source: dict, out: Path) -> dict[str, float]:
    """
    Seconds from a process's start until it is about to call `synthesize`, and until it has added a part to a run; and
    those of the processor until then.
    """
    parts = out / "edit"

    def there() -> set[str]:
        return {name for name in os.listdir(parts) if not name.startswith(".")} if parts.is_dir() else set()

    before, begin = there(), time.perf_counter()
    run, connection = start(source, str(out), stop=PART)
    connection.recv()
    ready = time.perf_counter() - begin
    while there() == before:
        if wait([run.sentinel], timeout=0.002) and there() == before:
            raise RuntimeError(f"the run in {out} ended without a new part")
    seconds = time.perf_counter() - begin
    ticks = Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()[11:13]  # user's and system's
    run.join()
    return {
        "packages": ready,
        "first part": seconds,
        "processor": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
    }


def measure_resume(counts: Sequence[int]) -> dict[tuple[str, int], dict[str, dict[str, float]]]:
    """Of a new run, and of one that is continued, by kind of source and how many there are: see [`first_part`]."""
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            for kind, source in sources_in(Path(folder), count).items():
                out = Path(folder, kind)
                new = first_part(source, Path(folder, f"{kind}-new"))
                run, connection = start(source, str(out), stop=int(DONE * count * VARIANTS))
                connection.recv(), connection.recv()
                run.join()
                found[kind, count] = {"new": new, "continued": first_part(source, out)}
    return found


def report_resume(found: dict[tuple[str, int], dict[str, dict[str, float]]]) -> None:
    """Prints what [`measure_resume`] found."""
    print(f"resume: seconds from a process's start to its first part; continued where {DONE:.0%} is done")
    for (kind, count), runs in found.items():
        said = [
            f"{name} {one['first part']:.2f} (packages {one['packages']:.2f}; processor {one['processor']:.2f})"
            for name, one in runs.items()
        ]
        print(f"  {kind:7} {count * VARIANTS:>8,} rows  {', '.join(said)}")


def measure_selection(count: int) -> dict[str, float]:
    """Seconds that another limit of a filter takes on a finished run, and those of copying its files by pyarrow."""
    from datasets_syned.synthesis import Settings, SplitSettings, synthesize

    with tempfile.TemporaryDirectory() as folder:
        split, found = SplitSettings(sources_in(Path(folder), count)["files"], variants=VARIANTS), {}
        for name, limit in zip(("made", "selected"), LIMITS, strict=True):
            limits = {"changed_area": {"min": limit, "max": 1.0}}
            editor, begin = Inverting(None if name == "made" else 0), time.perf_counter()
            kept = synthesize(
                Settings({"train": split}, editor="inverting", filters=limits), f"{folder}/run", editor=editor
            )
            found[name] = time.perf_counter() - begin
        files, begin = sorted(Path(folder, "run", "data").iterdir()), time.perf_counter()
        for file in files:
            pq.write_table(pq.read_table(file), f"{folder}/{file.name}")
        found |= {"copied": time.perf_counter() - begin, "rows": kept.splits["train"].kept}
        return found | {"bytes": sum(file.stat().st_size for file in files)}


def report_selection(found: dict[str, float]) -> bool:
    """Prints what [`measure_selection`] found; returns whether the bar is missed."""
    print(
        f"select: another limit on a finished run of {found['rows']:,} rows ({found['bytes'] / 2**20:.0f} MiB): "
        f"{found['selected']:.1f} s, and nothing is edited; bar {SECONDS:g} s. Copying the files by pyarrow: "
        f"{found['copied']:.1f} s. The run: {found['made']:.1f} s"
    )
    return found["selected"] > SECONDS
