"""A run: plan, edit, score, caption, select; continued wherever it was interrupted, extended whenever it is to be."""

import contextlib
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from os import PathLike

from datasets.utils import tqdm
from filelock import FileLock

from ..common.run_record import SUMMARY
from .editors.protocol import Editor
from .engine_local import processes, run_stage, unless_broken
from .engine_ray import run_stage_on_ray
from .filters.protocol import Filter
from .folder import CAPTION, EDIT, PLAN, SCORE, SELECT, RunFolder, claim, extended, has_begun, read_record
from .models import USES, made_by, open_model, open_source, stages_of
from .paraphrasers.protocol import Paraphraser
from .select import note_deleted, select, selected
from .settings import STAGES, Settings
from .stage import Stage, missing
from .store import Store
from .tally import Tally

ENGINES = ("local", "ray")


@dataclass
class Summary:
    """
    What a run came to.

    Args:
        splits (`dict[str, Tally]`): what became of the rows, by split; empty if they were not selected.
        missing (`dict[str, int]`): results that are yet to be made, by stage: by other processes, or by the same call
            once more.
        images_per_second (`float`, *optional*): of the editor, in this run.
    """

    splits: dict[str, Tally] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    images_per_second: float | None = None

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return sum(sum(tally.failed.values()) for tally in self.splits.values())


def synthesize(
    settings: Settings,
    out: str | PathLike,
    *,
    stages: Sequence[str] = STAGES,
    engine: str = "local",
    workers: int = 1,
    gpus: float = 0,
    retry_failed: bool = False,
    editor: Editor | None = None,
    paraphraser: Paraphraser | None = None,
    filters: Sequence[Filter] | None = None,
) -> Summary:
    """
    Makes a data set of synthetic pairs, or continues or extends one. Whenever it is interrupted, the same call
    continues, and ends in the same rows in the same order. More rows, more variants, other filters, limits or
    paraphrases keep what is there; other images need another folder.

    Args:
        settings ([`Settings`]): what to make.
        out (`str` or `os.PathLike`): a new or empty folder, or that of a run; any place that fsspec knows.
        stages (`Sequence[str]`, *optional*): of "plan", "edit", "score", "caption", "select"; by default all. Each
            needs the results of those before it, and loads its own model alone.
        engine (`str`, *optional*, defaults to `"local"`): "local", this process (or each of those that
            `accelerate launch` started), or "ray".
        workers (`int`, *optional*, defaults to 1): of Ray.
        gpus (`float`, *optional*, defaults to 0): of each of them.
        retry_failed (`bool`, *optional*, defaults to `False`): make again what failed.
        editor, paraphraser, filters (*optional*): objects of your own in place of those that the settings name; with
            the local engine.

    Returns:
        [`Summary`].

    Raises:
        ValueError: the settings name something that is not there; the folder holds something else, or images that
            were made with something else; another process writes into it; a stage before is not done.
        EditorBrokenError: the editor fails with everything.

    Example:
        >>> split = SplitSettings({"path": "scenes"}, variants=8, limit=100)
        >>> synthesize(Settings({"train": split}, editor="procedural"), "my_run").splits["train"].kept
        800
    """
    own = {"editor": editor, "paraphraser": paraphraser, "filters": filters}
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r} must be one of {', '.join(ENGINES)}")
    if unknown := [name for name in stages if name not in STAGES]:
        raise ValueError(f"stages: {unknown[0]!r} must be one of {', '.join(STAGES)}")
    if engine == "ray" and any(model is not None for model in own.values()):
        raise ValueError("engine 'ray' opens the models that the settings name; give no objects")
    if engine == "ray" and (workers < 1 or gpus < 0):
        raise ValueError(f"workers={workers} and gpus={gpus} must be at least 1 and 0")
    store, (rank, world) = Store(out), processes()
    if world > 1 and not store.local:
        raise ValueError(
            f"out={store.place!r}: several processes share a local folder; elsewhere engine 'ray' does it"
        )
    models = {USES[name]: open_model(USES[name], settings, own) for name in stages if name in USES}
    who = made_by(models, settings, read_record(store), own)
    has_dtype = EDIT in stages and "dtype" in who.get("editor", {}).get("parameters", {})
    if engine == "ray" and gpus and has_dtype and "dtype" not in settings.editor_options:
        raise ValueError("dtype is missing: workers may have other devices than this process, so name the editor's")
    with _room(store), _locked(store, f".process-{rank}", wait=False):
        with _locked(store, ".lock"):
            record = read_record(store)
            settings = extended(settings, record if has_begun(store) else None)
            source = cache(partial(open_source, settings))
            note_deleted(store, settings.splits)
            run = claim(store, record, settings, who, source if {PLAN, EDIT} & set(stages) else None)
            _check_captions(run, models.get("filters", ()))
        steps = stages_of(run, models, source)
        _check_order(run, steps, stages)
        steps = [step for step in steps if step.kind in stages]
        seconds, images, complete = 0, 0, True
        for step in steps:
            todo, done, total = _todo(run, step, rank, world, retry_failed)
            complete = complete and done == total
            if not todo:
                continue
            if engine == "ray":
                made = run_stage_on_ray(run, step, todo, workers, gpus, retry_failed)
            else:
                made = run_stage(run, step, todo, retry_failed)
            what = f"{step.folder} ({rank + 1} of {world} processes)" if world > 1 else step.folder
            with tqdm(desc=what, unit=" rows", initial=done, total=total, disable=rank > 0) as bar:
                for part in unless_broken(made):
                    bar.update(part.rows)
                    seconds, images = seconds + part.seconds, images + part.edited
            step.free()
        summary = Summary(missing={} if complete else _missing(run, steps))
        summary.images_per_second = images / seconds if seconds else None
        if SELECT in stages and not summary.missing:
            with _locked(store, ".lock"):
                summary.splits = selected(run) or select(run, open_model("filters", settings, own))
    return summary


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
    except TimeoutError as error:
        raise ValueError(f"another process is writing into {store.place}") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _room(store: Store) -> Iterator[None]:
    """Says plainly that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(f"{store.place}: {error.strerror}. Make room; the same command continues") from error


def _missing(run: RunFolder, steps: Sequence[Stage]) -> dict[str, int]:
    """How many results there are yet to be made, by stage."""
    counts = {step.folder: sum(len(missing(run, step, *place)) for place in run.parts) for step in steps}
    return {name: count for name, count in counts.items() if count}


def _check_order(run: RunFolder, steps: Sequence[Stage], stages: Sequence[str]) -> None:
    """Refuses stages without the results of those before them."""
    needed = {EDIT} if {SCORE, CAPTION, SELECT} & set(stages) else set()
    needed |= {SCORE, CAPTION} if SELECT in stages else set()
    for name, count in _missing(run, [step for step in steps if step.kind in needed - set(stages)]).items():
        stage = name.partition("/")[0]
        raise ValueError(f"{run.store.place}: {count:,} results of {name!r} are missing: run stage {stage!r} first")


def _check_captions(run: RunFolder, filters: Sequence[Filter]) -> None:
    """Refuses filters that need descriptions of whole images where the first row of a source has none."""
    needy = [one.name for one in filters if one.needs_captions]
    for split, wanted in run.settings.splits.items() if needy else ():
        first = run.plan(split, 0)[0]
        if wanted.variants and not (first["before_caption"] and first["after_caption"]):
            raise ValueError(
                f"filter {needy[0]!r} compares descriptions of the image before and after the change, and the source "
                f"of split {split!r} has none; name their columns as before_caption and after_caption"
            )


def _todo(run: RunFolder, step: Stage, rank: int, world: int, retry: bool) -> tuple[list[tuple[str, int]], int, int]:
    """
    The parts in which this process has something to make, how many results are there, and how many there will be at
    most. Whose a part is, is a matter of its number, whoever looks first.
    """
    counts = [len(missing(run, step, *place, retry)) for place in run.parts]
    total = sum(one["rows"] for one in run.record["planned"].values())
    todo = [place for number, place in enumerate(run.parts) if counts[number] and number % world == rank]
    if todo:
        with _locked(run.store, ".lock"):
            run.store.remove(SUMMARY)  # the rows are to be selected again
    return todo, total - sum(counts), total
