"""A run: plan, edit, score, caption, select; continued wherever it was interrupted, extended whenever it is to be."""

import contextlib
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from os import PathLike

from .editors.protocol import Editor
from .engine import processes, run_stages, run_stages_on_ray
from .filters.protocol import Filter
from .folder import CAPTION, EDIT, PLAN, SCORE, SELECT, RunFolder, claim, extended, has_begun, read_record
from .models import USES, made_by, open_model, open_source, stages_of
from .paraphrasers.protocol import Paraphraser
from .select import note_deleted, select, selected
from .settings import STAGES, Settings
from .stage import Stage
from .store import Store
from .tally import Tally


@dataclass
class Summary:
    """
    What a run came to.

    Args:
        splits (`dict[str, Tally]`): what became of the rows, by split; empty if they were not selected.
        missing (`dict[str, int]`): results that are yet to be made, by stage: by other processes, or by the same call
            once more.
    """

    splits: dict[str, Tally] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return sum(sum(tally.failed.values()) for tally in self.splits.values())

    def text(self, out: str | PathLike) -> str:
        """Some lines for a terminal: what was kept, dropped and why, what failed and why, what is missing."""
        lines = [line for split, tally in self.splits.items() for line in tally.lines(f"{out}, {split}")]
        lines += [
            f"{count:,} results of stage {stage} are missing: other processes are at it, or run the same command again"
            for stage, count in self.missing.items()
        ]
        if self.failed:
            lines.append("select/*.parquet names each row; --retry_failed makes them again")
        elif any(tally.kept for tally in self.splits.values()):
            lines.append(f'load_dataset("syned", "synthetic", data_dir="{out}")')
        elif self.splits:
            lines.append("no row was kept; select/*.parquet says why of each")
        return "\n".join(lines) or f"{out}: all results of these stages are there"


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
    if unknown := [name for name in stages if name not in STAGES]:
        raise ValueError(f"stages: {unknown[0]!r} must be one of {', '.join(STAGES)}")
    if engine == "ray" and any(model is not None for model in own.values()):
        raise ValueError("engine 'ray' opens the models that the settings name; give no objects")
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
    with _in_words(store), store.lock(f".process-{rank}", timeout=0):
        with store.lock(".lock"):
            record = read_record(store)
            settings = extended(settings, record if has_begun(store) else None)
            source = cache(partial(open_source, settings))
            note_deleted(store, settings.splits)
            run = claim(store, record, settings, who, source if {PLAN, EDIT} & set(stages) else None)
            _check_captions(run, models.get("filters", ()))
        steps = stages_of(run, models, source)
        there = _missing(run, [step for step in steps if step.kind not in stages])
        for name, count in there.items():
            stage = name.partition("/")[0]
            if SELECT in stages or stage == EDIT and {SCORE, CAPTION} & set(stages):
                raise ValueError(
                    f"{store.place}: {count:,} results of {name!r} are missing: run stage {stage!r} first"
                )
        steps = [step for step in steps if step.kind in stages]
        if engine == "local":
            run_stages(run, steps, rank, world, retry_failed)
        elif _missing(run, steps, retry_failed):
            run_stages_on_ray(run, steps, workers, gpus, retry_failed)
        summary = Summary(missing=_missing(run, steps))
        if SELECT in stages and not summary.missing:
            with store.lock(".lock"):
                summary.splits = selected(run) or select(run, open_model("filters", settings, own))
    return summary


@contextlib.contextmanager
def _in_words(store: Store) -> Iterator[None]:
    """Says plainly that the disk is full, or that somebody else is at it."""
    try:
        yield
    except TimeoutError as error:
        raise ValueError(f"another process is writing into {store.place}") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(f"{store.place}: {error.strerror}. Make room; the same command continues") from error


def _missing(run: RunFolder, steps: Sequence[Stage], retry: bool = False) -> dict[str, int]:
    """How many results there are yet to be made, by stage."""
    counts = {step.folder: sum(len(step.missing(run, *place, retry)) for place in run.parts) for step in steps}
    return {name: count for name, count in counts.items() if count}


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
