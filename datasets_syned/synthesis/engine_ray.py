"""Makes parts on a Ray cluster: the same maker, once in each worker."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .engine_local import Done, make_parts
from .folder import RunFolder
from .models import open_maker
from .plan import Planned
from .settings import Settings, SplitSettings
from .store import Store


class PartWorker:
    """
    A worker: opens what the settings name, once, and makes the parts that it is given.

    Args:
        place (`str`): of the run's folder; every worker must reach it.
        settings (`dict`): of the run, as [`Settings.as_dict`] gives them.
        planned (`dict[str, dict]`): by split, see [`Planned`].
    """

    def __init__(self, place: str, settings: Mapping[str, Any], planned: Mapping[str, Mapping[str, Any]]):
        splits = {name: SplitSettings(**split) for name, split in settings["splits"].items()}
        self.settings, self.maker = Settings(**{**settings, "splits": splits}), None
        counts = {split: Planned(**counts) for split, counts in planned.items()}
        self.folder = RunFolder(Store(place), self.settings, counts)

    def __call__(self, batch: Mapping[str, Sequence]) -> dict[str, list]:
        """
        Makes the parts of a batch, columns `split` and `part`; gives back a column of pickled [`Done`], or of why it
        cannot: what Ray tells of an exception is a page of its own files.
        """
        import pickle

        import ray

        todo = list(zip(map(str, batch["split"]), map(int, batch["part"]), strict=True))
        worker = ray.get_runtime_context().get_actor_id()
        try:
            self.maker = self.maker or open_maker(self.settings)
            made = [tuple(done._replace(worker=worker)) for done in make_parts(self.folder, self.maker, todo)]
        except (ValueError, RuntimeError, OSError) as error:
            made = [str(error)]
        return {"done": [pickle.dumps(done) for done in made]}


def make_parts_on_ray(folder: RunFolder, todo: Sequence[tuple[str, int]], workers: int, gpus: float) -> Iterator[Done]:
    """
    Makes parts in workers, each with an editor of its own, on the cluster that the environment names (RAY_ADDRESS) or
    else on this machine. A worker that dies is started again, and what it had begun is made again.

    Args:
        folder ([`RunFolder`]): of the run. A local place must be one that all machines share.
        todo (`Sequence[tuple[str, int]]`): split and number of each part.
        workers (`int`): how many.
        gpus (`float`): of each worker.

    Raises:
        ValueError: Ray is not installed, or this machine has not the GPUs of one worker.
        RuntimeError: the workers failed.
    """
    try:
        import ray
    except ImportError:
        raise ValueError("engine 'ray' needs the package ray: pip install 'blip2idc[ray]'") from None
    import pickle

    if not todo:
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
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    place = os.path.abspath(folder.store.root) if folder.store.local else folder.store.place
    given = {
        "place": place,
        "settings": folder.settings.as_dict(),
        "planned": {split: counts._asdict() for split, counts in folder.planned.items()},
    }
    parts = ray.data.from_items([{"split": split, "part": part} for split, part in todo])
    done = parts.repartition(len(todo)).map_batches(
        PartWorker,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(todo))),
        fn_constructor_kwargs=given,
        num_gpus=gpus,
        num_cpus=1,
    )
    try:
        for row in done.iter_rows():
            done = pickle.loads(row["done"])
            if isinstance(done, str):
                raise RuntimeError(f"a worker failed ({done}). The same command continues")
            yield Done(*done)
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"the workers failed: {error}. The same command continues") from error
