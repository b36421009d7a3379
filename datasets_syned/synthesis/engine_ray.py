"""Runs a stage on a Ray cluster: the same function, in workers with a model each."""

import os
from collections.abc import Iterator, Sequence
from functools import cache, partial

from .engine_local import make_part
from .folder import RunFolder, read_record
from .models import USES, open_model, open_source, stages_of
from .stage import Made, Stage
from .store import Store

RESTARTS = 10  # of a worker that died


class StageWorker:
    """
    A worker: opens what a stage needs once, and makes the parts that it is given.
    """

    def __init__(self, name: str, place: str, stage: str, retry: bool):
        self.name, self.place, self.folder, self.retry, self.stage = name, place, stage, retry, None

    def make(self, split: str, part: int) -> Made | str:
        """What became of a part, or why it cannot be made: Ray would tell of an exception at length."""
        try:
            if self.stage is None:
                store, kind = Store(self.place), self.folder.partition("/")[0]
                self.run = RunFolder(store, read_record(store))
                models = {USES[kind]: open_model(USES[kind], self.run.settings, {})}
                stages = stages_of(self.run, models, cache(partial(open_source, self.run.settings)))
                stage = next(one for one in stages if one.folder == self.folder)
                stage.load()
                self.stage = stage
            made = make_part(self.run, self.stage, split, part, self.retry)
        except (ValueError, RuntimeError, OSError) as error:
            return str(error)
        made.worker = self.name
        return made


def run_stage_on_ray(
    run: RunFolder, stage: Stage, parts: Sequence[tuple[str, int]], workers: int, gpus: float, retry: bool = False
) -> Iterator[Made]:
    """
    Does what [`run_stage`] does in workers, on the cluster that the environment names (RAY_ADDRESS) or else on this
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

    if not parts:
        return
    if not ray.is_initialized():  # RAY_ADDRESS names a cluster, which has its processors
        own = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": max(workers, os.cpu_count() or 1)}
        ray.init(include_dashboard=False, log_to_driver=False, **own)
    have = ray.cluster_resources().get("GPU", 0)
    if have < gpus and not os.environ.get("RAY_ADDRESS"):  # it would wait for ever; a cluster may grow
        raise ValueError(
            f"gpus={gpus:g}: Ray finds {have:g} GPUs here, so no worker could start; name a cluster by RAY_ADDRESS"
        )
    place = os.path.abspath(run.store.root) if run.store.local else run.store.place
    worker = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=RESTARTS, max_task_retries=RESTARTS)(StageWorker)
    names = [f"{number}" for number in range(min(workers, len(parts)))]
    pool = ray.util.ActorPool([worker.remote(name, place, stage.folder, retry) for name in names])
    try:
        for made in pool.map_unordered(lambda actor, part: actor.make.remote(*part), parts):
            if isinstance(made, str):
                raise RuntimeError(f"a worker failed ({made}). The same command continues")
            yield made
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"the workers failed: {error}. The same command continues") from error
