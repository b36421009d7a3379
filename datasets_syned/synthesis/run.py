"""A run: plan, make parts, put them together; continued wherever it was interrupted."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike

from datasets.utils import tqdm
from datasets.utils._filelock import FileLock

from .editors.protocol import Editor
from .engine_local import FULL, Done, Plans, make_parts, processes, unless_broken
from .engine_ray import make_parts_on_ray
from .filters.protocol import Filter
from .finish import finish, is_finished
from .folder import LOCK, RunFolder, claim
from .models import check_captions, made_by, open_maker
from .paraphrasers.protocol import Paraphraser
from .retry import forget_failed
from .settings import Settings
from .shards import tally_of
from .store import Store
from .tally import Tally

ENGINES = ("local", "ray")


@dataclass
class Summary:
    """
    What a run came to.

    Args:
        splits (`dict[str, Tally]`): what became of the rows that are done, by split.
        missing (`int`): rows that are yet to be made, by other processes or by the same call once more.
        lost (`Tally`): rows that were made, or would have been, and found no place on the disk.
        images_per_second (`float`, *optional*): of the editor, in this run.
    """

    splits: dict[str, Tally]
    missing: int = 0
    lost: Tally = field(default_factory=Tally)
    images_per_second: float | None = None

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return self.lost.failed.total() + sum(tally.failed.total() for tally in self.splits.values())


def synthesize(
    settings: Settings,
    out: str | PathLike,
    *,
    engine: str = "local",
    workers: int = 1,
    gpus: float = 0,
    retry_failed: bool = False,
    editor: Editor | None = None,
    paraphraser: Paraphraser | None = None,
    filters: Sequence[Filter] | None = None,
) -> Summary:
    """
    Makes a data set of synthetic pairs, or continues to. Whenever it is interrupted, the same call continues, and ends
    in the same rows in the same order.

    Args:
        settings ([`Settings`]): what to make.
        out (`str` or `os.PathLike`): a new or empty folder, or that of the same run; any place that fsspec knows.
        engine (`str`, *optional*, defaults to `"local"`): "local", this process (or each of those that
            `accelerate launch` started), or "ray".
        workers (`int`, *optional*, defaults to 1): of Ray.
        gpus (`float`, *optional*, defaults to 0): of each of them.
        retry_failed (`bool`, *optional*, defaults to `False`): make parts again in which rows failed.
        editor, paraphraser, filters (*optional*): objects of your own in place of those that the settings name; with
            the local engine.

    Returns:
        [`Summary`].

    Raises:
        ValueError: the settings name something that is not there; the folder holds something else or was made with
            other settings; another process writes into it.
        EditorBrokenError: the editor fails with everything.

    Example:
        >>> split = SplitSettings({"path": "scenes"}, variants=8, limit=100)
        >>> synthesize(Settings({"train": split}, editor="procedural"), "my_run").splits["train"].kept
        800
    """
    own = {"editor": editor, "paraphraser": paraphraser, "filters": filters}
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r} must be one of {', '.join(ENGINES)}")
    if engine == "ray" and any(model is not None for model in own.values()):
        raise ValueError("engine 'ray' opens the models that the settings name; give no objects")
    store, (rank, world) = Store(out), processes()
    if retry_failed and world > 1:
        raise ValueError(
            "retry_failed: begin with one process. Once it makes rows again, interrupt it and continue with several"
        )
    if world > 1 and not store.local:
        raise ValueError(
            f"out={store.place!r}: several processes share a local folder; elsewhere engine 'ray' does it"
        )
    if engine == "ray" and (workers < 1 or gpus < 0):
        raise ValueError(f"workers={workers} and gpus={gpus} must be at least 1 and 0")
    if store.local and store.files.isfile(store.root):
        raise ValueError(f"out={store.place!r} is a file; name a folder")
    maker = open_maker(settings, **own)
    who = made_by(maker)
    has_dtype = "dtype" in who.get("editor", {}).get("parameters", {})
    if engine == "ray" and gpus and has_dtype and "dtype" not in settings.editor_options:
        raise ValueError(
            "dtype is missing: the workers may have other devices than this process, so name the editor's"
        )
    with _locked(store, f".process-{rank}", wait=False):
        with _locked(store, LOCK):
            folder = claim(store, settings, who, maker.sources)
            check_captions(folder, maker)
            if retry_failed:
                forget_failed(folder)
        todo = _share(folder, rank, world)
        if engine == "ray":
            done = make_parts_on_ray(folder, todo, workers, gpus)
        else:
            done = make_parts(folder, maker, todo)
        lost, timed = _follow(folder, unless_broken(done), rank, world)
        with _locked(store, LOCK):
            missing = folder.missing()
            if not missing and not is_finished(folder):
                _finish(folder)
            splits = {split: tally_of(folder, split) for split in settings.splits}
    rate = timed.timed / timed.editor_seconds if timed.editor_seconds else None
    with contextlib.closing(Plans(folder)) as plans:
        rows = sum(plans.of(split).rows_of(part) for split, part in missing)
    return Summary(splits, rows, lost, rate)


@contextlib.contextmanager
def _locked(store: Store, name: str, wait: bool = True) -> Iterator[None]:
    """Keeps other processes of this machine, or of the same file server, out of a local folder."""
    if not store.local:
        yield
        return
    store.files.makedirs(store.root, exist_ok=True)
    lock = FileLock(store.path(name), timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except TimeoutError:
        raise ValueError(f"another process is writing into {store.place}") from None
    try:
        yield
    finally:
        lock.release()


def _finish(folder: RunFolder) -> None:
    try:
        finish(folder)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(
            f"{folder.store.place}: all rows are made, but there is no place to put them together: {error.strerror}. "
            "Make room; the same command continues"
        ) from error


def _share(folder: RunFolder, rank: int, world: int) -> list[tuple[str, int]]:
    """The missing parts that are this process's. Which are is a matter of their numbers, whoever looks first."""
    begin, first = 0, {}
    for split, counts in folder.planned.items():
        first[split], begin = begin, begin + counts.parts
    return [(split, part) for split, part in folder.missing() if (first[split] + part) % world == rank]


def _follow(folder: RunFolder, done: Iterable[Done], rank: int, world: int) -> tuple[Tally, Tally]:
    """Shows how it goes; returns what was lost, and what was made."""
    before = Tally()
    for split in folder.settings.splits:
        before += tally_of(folder, split)
    total = sum(counts.rows for counts in folder.planned.values())
    lost, made = Tally(), Tally()
    what = f"Synthesizing ({rank + 1} of {world} processes)" if world > 1 else "Synthesizing"
    with tqdm(desc=what, unit=" rows", total=total, initial=before.rows, disable=rank > 0) as bar:
        for part in done:
            if part.stats is None:
                lost.lose(part.rows, part.reason)
            else:
                made.add(part.stats)
            shown = Tally()
            for one in (before, made, lost):
                shown += one
            bar.set_postfix_str(shown.said, refresh=False)
            bar.update(part.rows)
    return lost, made
