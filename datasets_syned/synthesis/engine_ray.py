"""Runs a stage on a Ray cluster: the same function, in each worker with a model of its own."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from .engine_local import run_stage
from .folder import RunFolder, read_record
from .models import USES, open_model, open_source, stages_of
from .stage import Made, Stage
from .store import Store


class StageWorker:
    """
    A worker: opens what a stage needs, once, and makes the parts that it is given.

    Args:
        place (`str`): of the run's folder; every worker must reach it.
        stage (`str`): the folder of the stage.
        retry (`bool`): make failed results again.
    """

    def __init__(self, place: str, stage: str, retry: bool):
        self.place, self.name, self.retry, self.stage = place, stage, retry, None

    def _open(self) -> None:
        store = Store(self.place)
        self.run, kind = RunFolder(store, read_record(store)), self.name.partition("/")[0]
        settings = self.run.settings
        models = {USES[kind]: open_model(USES[kind], settings, {})}
        stages = stages_of(self.run, models, cache(partial(open_source, settings)))
        self.stage = next(stage for stage in stages if stage.folder == self.name)

    def __call__(self, batch: Mapping[str, Sequence]) -> dict[str, list]:
        """
        Makes the parts of a batch, columns `split` and `part`; returns a column of pickled [`Made`], or of why it
        cannot: what Ray tells of an exception is a page of its own files.
        """
        import pickle

        import ray

        todo = list(zip(map(str, batch["split"]), map(int, batch["part"]), strict=True))
        try:
            if self.stage is None:
                self._open()
            made: list[Any] = list(run_stage(self.run, self.stage, todo, self.retry))
            for one in made:
                one.worker = ray.get_runtime_context().get_actor_id()
        except (ValueError, RuntimeError, OSError) as error:
            made = [str(error)]
        return {"made": [pickle.dumps(one) for one in made]}


def run_stage_on_ray(
    run: RunFolder, stage: Stage, parts: Sequence[tuple[str, int]], workers: int, gpus: float, retry: bool = False
) -> Iterator[Made]:
    """
    Does what [`run_stage`] does in workers, on the cluster that the environment names (RAY_ADDRESS) or else on this
    machine. A worker that dies is started again, and what it had begun is made again.

    Args:
        run ([`RunFolder`]): a local place must be one that all machines share.
        stage ([`Stage`]): its model is opened and loaded in each worker.
        parts (`Sequence[tuple[str, int]]`): split and number of each.
        workers (`int`): how many.
        gpus (`float`): of each worker.
        retry (`bool`, *optional*, defaults to `False`): make failed results again.

    Raises:
        ValueError: Ray is not installed, or this machine does not have the GPUs of one worker.
        RuntimeError: the workers failed.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError("engine 'ray' needs the package ray: pip install 'blip2idc[ray]'") from error
    import pickle

    if not parts:
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(ignore_reinit_error=True, log_to_driver=False)
    else:
        if not ray.is_initialized():
            # reading takes a processor too: where workers had all of them, it would wait for ever
            ray.init(num_cpus=max(workers + 2, os.cpu_count() or 1), include_dashboard=False, log_to_driver=False)
        if (have := ray.cluster_resources().get("GPU", 0)) < gpus:
            raise ValueError(  # it would wait for ever; a cluster may grow
                f"gpus={gpus:g}: Ray finds {have:g} GPUs here, so no worker could start; name a cluster by RAY_ADDRESS"
            )
    ray.data.DataContext.get_current().enable_progress_bars = False
    store = run.store
    place = os.path.abspath(store.root) if store.local else store.place
    made = (
        ray.data.from_items([{"split": split, "part": part} for split, part in parts])
        .repartition(len(parts))
        .map_batches(
            StageWorker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(parts))),
            fn_constructor_kwargs={"place": place, "stage": stage.folder, "retry": retry},
            num_gpus=gpus,
            num_cpus=1,
        )
    )
    try:
        for row in made.iter_rows():
            one = pickle.loads(row["made"])
            if isinstance(one, str):
                raise RuntimeError(f"a worker failed ({one}). The same command continues")
            yield one
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"the workers failed: {error}. The same command continues") from error
