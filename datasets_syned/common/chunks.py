"""Makes rows of embedded benchmarks into chunk files, written atomically, so that an interrupted run continues."""

import importlib
import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from datasets import Features
from datasets.arrow_writer import ArrowWriter, ParquetWriter
from datasets.utils import tqdm

WRITERS = {".arrow": ArrowWriter, ".parquet": ParquetWriter}


class Settings(Protocol):
    """A dataclass of plain values with a row for each split and index: `SceneSettings`, `PhotoSettings`."""

    features: Features
    label: str  # names the settings in a folder's name

    def row(self, split: str, index: int) -> dict[str, Any]:
        """The row; equal arguments give equal bytes."""


def spans_of(rows: int, size: int) -> list[tuple[int, int]]:
    """Cuts `range(rows)` into `(start, stop)` of `size` rows each, the last one maybe shorter."""
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]


def chunk_path(folder: Path, split: str, span: tuple[int, int], suffix: str) -> Path:
    """Where rows `span` of a split lie; names sort in the order of the rows."""
    return folder / f"{split}-{span[0]:08d}-{span[1]:08d}{suffix}"


def _write_chunk(path: Path, rows: Iterable[dict], features: Features) -> None:
    """Writes rows to an Arrow or Parquet file (by `path`'s suffix) that is there as a whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with WRITERS[path.suffix](features=features, path=str(unfinished)) as writer:
            for row in rows:
                writer.write(features.encode_example(row))
            writer.finalize()
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def render_chunks(
    folder: Path,
    settings: Settings,
    split: str,
    spans: list[tuple[int, int]],
    suffix: str,
    num_proc: int | None = None,
) -> None:
    """
    Makes those of the chunks of a split that are not yet there, with a progress bar. Only one process may write
    into a folder at a time. The `num_proc` processes are new interpreters, not forks: they hold no lock and no thread
    of this process, need no `if __name__ == "__main__"`, and end when this process does.

    Raises:
        RuntimeError: a rendering process failed. The chunks that are finished stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f".{split}-*"):  # of a run that was killed
        leftover.unlink(missing_ok=True)
    missing = [span for span in spans if not chunk_path(folder, split, span, suffix).is_file()]
    total, todo = (sum(stop - start for start, stop in some) for some in (spans, missing))
    if not todo:
        return
    kind = f"{type(settings).__module__}:{type(settings).__name__}"
    job = {
        "kind": kind,
        "settings": asdict(settings),
        "split": split,
        "folder": str(folder.resolve()),
        "suffix": suffix,
    }
    with tqdm(desc=f"Rendering {split} split", unit=" pairs", total=total, initial=total - todo) as bar:
        if num_proc is not None and num_proc > 1 and len(missing) > 1:
            shares = [missing[i::num_proc] for i in range(min(num_proc, len(missing)))]
            _render_in_processes([{**job, "spans": share} for share in shares], bar.update)
        else:
            _render(job | {"spans": missing}, bar.update)


def _render(job: dict, progress: Callable[[int], object]) -> None:
    module, _, name = job["kind"].partition(":")
    settings = getattr(importlib.import_module(module), name)(**job["settings"])

    def rows(start, stop):
        for index in range(start, stop):
            yield settings.row(job["split"], index)
            progress(1)

    for start, stop in job["spans"]:
        path = chunk_path(Path(job["folder"]), job["split"], (start, stop), job["suffix"])
        _write_chunk(path, rows(start, stop), settings.features)


def _render_in_processes(jobs: list[dict], progress: Callable[[int], object]) -> None:
    # All write to one pipe: "1" per row, anything else is a message. It ends when the last of them has ended; and when
    # this process is killed, their next write fails and they end too.
    read, write = os.pipe()
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-c", f"from {__name__} import _worker; _worker()"]
    workers, messages = [], deque(maxlen=20)
    try:
        for _ in jobs:
            workers.append(
                subprocess.Popen(  # in a session of its own: Ctrl-C reaches this process alone
                    command, stdin=subprocess.PIPE, stdout=write, stderr=write, env=environment, start_new_session=True
                )
            )
        os.close(write)
        write = None
        for worker, job in zip(workers, jobs, strict=True):
            worker.stdin.write(json.dumps(job).encode())
            worker.stdin.close()
        with open(read, encoding="utf-8", errors="replace") as lines:
            read = None
            for line in lines:
                if line.strip() == "1":
                    progress(1)
                else:
                    messages.append(line.rstrip())
        failed = [worker.returncode for worker in workers if worker.wait() != 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for end in (read, write):
            if end is not None:
                os.close(end)
    if failed:
        raise RuntimeError(
            f"{len(failed)} of {len(jobs)} rendering processes failed (exit status {failed[0]}); finished chunks are "
            f"kept and the next run continues from them. Last messages:\n" + "\n".join(messages)
        )


def _worker() -> None:
    def progress(rows):
        sys.stdout.write("1\n" * rows)  # in one write, which does not mix with the other processes'
        sys.stdout.flush()

    _render(json.load(sys.stdin), progress)
