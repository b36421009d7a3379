"""Makes parts in this process, which may be one of several that `accelerate launch` or `torchrun` started."""

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from .folder import PARTS, RunFolder, part_name
from .parts import PartMaker
from .plan import PlanReader
from .rows import FAILED

FULL = (errno.ENOSPC, errno.EDQUOT)
PROBE = 1 << 20  # bytes that must find a place before a part is made, once there was none
HOPELESS = 3  # parts in a row of which the editor made nothing


class Done(NamedTuple):
    """
    What became of a part.

    Args:
        split (`str`), part (`int`), rows (`int`): which one, and how many rows it has.
        stats (`dict`, *optional*): see [`PartMaker.make`]; `None` if it could not be kept.
        reason (`str`): why not.
        worker (`str`): which of several made it.
    """

    split: str
    part: int
    rows: int
    stats: dict[str, Any] | None
    reason: str = ""
    worker: str = ""


class EditorBrokenError(RuntimeError):
    """The editor fails with whatever it is given."""


def processes() -> tuple[int, int]:
    """Number of this process and how many there are, as launchers tell."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def make_parts(folder: RunFolder, maker: PartMaker, todo: Sequence[tuple[str, int]]) -> Iterator[Done]:
    """
    Makes parts one after the other, and says of each what became of it. Where the disk is full, nothing is made for
    nothing: the rows of a part count as lost until there is place again.

    Args:
        folder ([`RunFolder`]): where the plan is and the parts go.
        maker ([`PartMaker`]): its models are loaded here.
        todo (`Sequence[tuple[str, int]]`): split and number of each.
    """
    for model in (maker.editor, maker.paraphraser, *maker.filters):
        if todo and model is not None:
            model.load()
    full, writing = "", None
    with ThreadPoolExecutor(1) as thread, contextlib.closing(Plans(folder)) as plans:
        for place in [*todo, None]:
            made = None
            if place is not None:
                refused = full and _full(folder)
                rows = plans.of(place[0]).rows_of(place[1])
                made = (None, None) if refused else maker.make(place[0], plans.of(place[0]).read(place[1]))
            if writing is not None:
                done = writing.result()
                full = done.reason
                yield done
            # packed and written while the next part is edited
            writing = thread.submit(_keep, folder, *place, rows, *made, refused) if made else None


def unless_broken(parts: Iterator[Done]) -> Iterator[Done]:
    """
    Passes on what became of parts, until one worker fails with everything. Others may go on well meanwhile: each has
    an editor, and a GPU, of its own.

    Raises:
        EditorBrokenError: the editor failed with every row of several parts in a row. They are kept as failed.
    """
    failing = Counter()
    with contextlib.closing(parts):
        for done in parts:
            yield done
            failing[done.worker] = failing[done.worker] + 1 if _nothing_edited(done) else 0
            if failing[done.worker] == HOPELESS:
                raise EditorBrokenError(
                    f"the editor failed with all rows of {HOPELESS} parts, so this stops here "
                    f"({_of_editor(done)[0]}). The same command goes on behind them; retry_failed "
                    "tries them again"
                )


class Plans:
    """The plans of a run, each opened when it is first needed."""

    def __init__(self, folder: RunFolder):
        self.folder, self.open = folder, {}

    def of(self, split: str) -> PlanReader:
        if split not in self.open:
            self.open[split] = self.folder.plan(split)
        return self.open[split]

    def close(self) -> None:
        for plan in self.open.values():
            plan.close()


def _keep(
    folder: RunFolder,
    split: str,
    part: int,
    rows: int,
    pack: Callable[[], bytes] | None,
    stats: dict[str, Any] | None,
    full: str,
) -> Done:
    """Writes a part that was made."""
    if pack is not None:
        full = _write(folder, f"{PARTS}/{part_name(split, part)}", pack())
    return Done(split, part, rows, None, full) if full else Done(split, part, rows, stats)


def _write(folder: RunFolder, name: str, content: bytes) -> str:
    """Writes a file; returns why there is no place for it on the disk, empty if there is."""
    try:
        folder.store.write(name, content)
    except OSError as error:
        if error.errno in FULL:
            return error.strerror
        raise
    return ""


def _nothing_edited(done: Done) -> bool:
    """Whether the editor failed with every row of a part that it was given."""
    return done.stats is not None and not done.stats["edited"] and bool(_of_editor(done))


def _of_editor(done: Done) -> list[str]:
    return [why for why in done.stats[FAILED] if why.startswith("editor: ")]


def _full(folder: RunFolder) -> str:
    """Why there is no place on the disk, empty if there is again."""
    name = f"{PARTS}/probe-{os.getpid()}"
    reason = _write(folder, name, bytes(PROBE))
    folder.store.remove(name)
    return reason
