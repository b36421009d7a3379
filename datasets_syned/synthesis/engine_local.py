"""Runs a stage in this process, which may be one of several that `accelerate launch` or `torchrun` started."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .folder import RunFolder
from .stage import Made, Stage, missing

HOPELESS = 3  # parts in a row of which the editor made nothing


class EditorBrokenError(RuntimeError):
    """The editor fails with whatever it is given."""


def processes() -> tuple[int, int]:
    """Number of this process and how many there are, as launchers tell."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def run_stage(run: RunFolder, stage: Stage, parts: Sequence[tuple[str, int]], retry: bool = False) -> Iterator[Made]:
    """
    Makes what is missing of some parts, one after the other. Images are encoded and written while the next part is
    made.
    """
    if parts:
        stage.load()
    with ThreadPoolExecutor(1) as thread:
        writing = None
        for place in [*parts, None]:
            write = _make(run, stage, *place, retry) if place else None
            if writing:
                yield writing.result()
            writing = thread.submit(write) if write else None


def make_part(run: RunFolder, stage: Stage, split: str, part: int, retry: bool) -> Made:
    """Makes what is missing of one part. The model must be loaded."""
    return _make(run, stage, split, part, retry)()


def _make(run: RunFolder, stage: Stage, split: str, part: int, retry: bool) -> Callable[[], Made]:
    """Does what the model is needed for; what is returned does the rest."""
    todo = missing(run, stage, split, part, retry)
    made, have = Made(split, part, len(todo)), run.results(stage.folder, split, part, stamp=stage.stamp(split))
    finish = stage.make(run, made, have, todo)

    def write() -> Made:
        run.keep(stage.folder, split, part, *finish(), stamp=stage.stamp(split))
        return made

    return write


def unless_broken(parts: Iterator[Made]) -> Iterator[Made]:
    """
    Passes on what became of parts, until the editor of one worker fails with everything. Others may go on well
    meanwhile: each has an editor, and a GPU, of its own.

    Raises:
        EditorBrokenError: the editor failed with every row of several parts in a row. They are kept as failed.
    """
    failing = Counter()
    for made in parts:
        yield made
        failing[made.worker] = failing[made.worker] + 1 if made.broken else 0
        if failing[made.worker] == HOPELESS:
            parts.close()
            raise EditorBrokenError(
                f"the editor failed with all rows of {HOPELESS} parts, so this stops here ({made.broken}). The same "
                "command goes on behind them; retry_failed tries them again"
            )
