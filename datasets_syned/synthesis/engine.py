"""Who does what of a run: this process, one of several that a launcher started, or workers of Ray."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

from datasets.utils import tqdm

from ..common.run_record import SUMMARY
from .folder import RunFolder, read_record
from .models import USES, open_model, open_source, stages_of
from .stage import Stage
from .store import Store

HOPELESS = 3  # parts in a row of which the editor made nothing
RESTARTS = 10  # of a worker that died
LOOKS = 5  # seconds until it is looked what the workers have done


class EditorBrokenError(RuntimeError):
    """The editor fails with whatever it is given."""


def processes() -> tuple[int, int]:
    """Number of this process and how many there are, as `accelerate launch` and `torchrun` tell."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def run_stages(run: RunFolder, stages: Sequence[Stage], rank: int, world: int, retry: bool = False) -> None:
    """
    Makes what is missing in the parts of one process, stage by stage. Whose a part is, is a matter of its number,
    whoever looks first.

    Raises:
        EditorBrokenError: the editor failed with every row of several parts in a row. They are kept as failed.
    """
    mine = run.parts[rank::world]
    for stage in stages:
        todo = {place: ids for place in mine if (ids := stage.missing(run, *place, retry))}
        if not todo:
            continue
        with run.store.lock(".lock"):
            run.store.remove(SUMMARY)  # the rows are to be selected again
        what = f"{stage.folder} ({rank + 1} of {world} processes)" if world > 1 else stage.folder
        with (
            tqdm(desc=what, unit=" parts", initial=len(mine) - len(todo), total=len(mine), disable=rank > 0) as bar,
            ThreadPoolExecutor(1) as thread,
        ):
            stage.load()
            failing, written = 0, None
            for (split, part), ids in todo.items():
                write = stage.begin(run, split, part, ids)
                if written:  # images are encoded and written while the next part is made
                    written.result()
                    bar.update()
                written = thread.submit(write)
                failing = failing + 1 if stage.broken else 0
                if failing == HOPELESS:
                    written.result()
                    raise EditorBrokenError(
                        f"the editor failed with all rows of {HOPELESS} parts, so this stops here ({stage.broken}). "
                        "The same command goes on behind them; retry_failed tries them again"
                    )
            written.result()
            bar.update()
        stage.free()


def run_stages_on_ray(run: RunFolder, stages: Sequence[Stage], workers: int, gpus: float, retry: bool) -> None:
    """
    Does what [`run_stages`] does in workers, on the cluster that the environment names (RAY_ADDRESS) or else on this
    machine. A local folder must be one that all machines share. A worker that dies is started again, and what it had
    begun is made again.

    Raises:
        ValueError: Ray is not installed, or this machine does not have the GPUs of one worker.
        RuntimeError: the workers failed.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError("engine 'ray' needs the package ray: pip install 'blip2idc[ray]'") from error

    elsewhere = bool(os.environ.get("RAY_ADDRESS"))  # a cluster, which has its processors
    if not ray.is_initialized():
        own = {} if elsewhere else {"num_cpus": max(workers, os.cpu_count() or 1)}
        ray.init(include_dashboard=False, log_to_driver=False, **own)
    have = ray.cluster_resources().get("GPU", 0)
    if have < gpus and not elsewhere:  # it would wait for ever; a cluster may grow
        raise ValueError(
            f"gpus={gpus:g}: Ray finds {have:g} GPUs here, so no worker could start; name a cluster by RAY_ADDRESS"
        )
    kinds = list(dict.fromkeys(stage.kind for stage in stages))
    place = os.path.abspath(run.store.root) if run.store.local else run.store.place
    worker = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RESTARTS)(run_stages_in_worker)
    at_work = [worker.remote(place, kinds, rank, workers, retry) for rank in range(workers)]
    try:
        with tqdm(desc=f"{workers} workers", unit=" tables", total=len(stages) * len(run.parts)) as bar:
            while at_work:
                ended, at_work = ray.wait(at_work, timeout=LOOKS)
                if errors := [said for said in ray.get(ended) if said]:
                    raise RuntimeError(f"a worker failed ({errors[0]}). The same command continues")
                bar.update(sum(len(run.store.names(stage.folder)) for stage in stages) - bar.n)
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"the workers failed: {error}. The same command continues") from error


def run_stages_in_worker(place: str, kinds: Sequence[str], rank: int, world: int, retry: bool) -> str:
    """[`run_stages`] of the run at a place. Returns what went wrong: Ray would tell of an exception at length."""
    try:
        store = Store(place)
        run = RunFolder(store, read_record(store))
        models = {USES[kind]: open_model(USES[kind], run.settings, {}) for kind in kinds}
        stages = stages_of(run, models, cache(partial(open_source, run.settings)))
        run_stages(run, [stage for stage in stages if stage.kind in kinds], rank, world, retry)
    except (ValueError, RuntimeError, OSError) as error:
        return str(error)
    return ""
