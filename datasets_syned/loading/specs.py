"""Data sets as a recipe names them: dicts of arguments of `datasets.load_dataset`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets

from ..benchmarks import CONFIGS
from ..benchmarks.base import BenchmarkConfig
from .builder import DEFAULT, RENDERED
from .registration import NAME
from .rendered import PhotosConfig, RenderedConfig

# Arguments of `load_dataset` alone: which rows are read and how, not which there are.
READING = ("split", "streaming", "num_proc", "keep_in_memory", "verification_mode", "save_infos")


def check_spec(name: str, specs: Any, masks: bool = False) -> None:
    """
    Refuses what no data set can be loaded from, before anything is read.

    Args:
        name (`str`): of the argument, for the message.
        specs (`dict` or `list[dict]`): arguments of `datasets.load_dataset`, of one data set or of several.
        masks (`bool`, *optional*, defaults to `False`): the rows are to have object masks.

    Raises:
        ValueError: names the argument, and what is missing.
    """
    if isinstance(specs, list):
        for i, spec in enumerate(specs):
            check_spec(f"{name}[{i}]", spec, masks)
        return
    if not isinstance(specs, Mapping):
        raise ValueError(f"{name}: {specs!r} must be a dict of arguments of datasets.load_dataset")
    for key in ("path", "split"):
        if not isinstance(specs.get(key), str):
            raise ValueError(f"{name}: {dict(specs)} has no {key!r}")
    if masks and specs.get("name") == PhotosConfig.name:
        if not specs.get("streaming"):
            raise ValueError(f"{name}: dense supervision composes photographs as it goes; give `streaming: true`")
    elif masks and not specs.get("masks"):
        raise ValueError(f"{name}: dense supervision needs object masks; give the data set `masks: true`")


def place_spec(spec: Mapping[str, Any], roots: Sequence[str]) -> dict[str, Any]:
    """
    `spec`, with `data_dir` where a benchmark of this package has none. The rendered scenes need no files.

    Args:
        spec (`dict`): arguments of `datasets.load_dataset`.
        roots (`Sequence[str]`): a folder for every benchmark that names none itself (nor a `repo` on the Hub), or
            `name=folder` for one of them.

    Raises:
        ValueError: two roots for one benchmark, a name that is none, or no folder after it.
    """
    folders = {}
    for name, folder in map(_named, roots):
        if name in folders:
            raise ValueError(f"data_dir: {folders[name]!r} and {folder!r} for the same data; name them as name=folder")
        folders[name] = folder
    config = spec.get("name") or DEFAULT
    folder = folders.get(config, None if "repo" in spec else folders.get(None))
    if spec["path"] != NAME or config in RENDERED or "data_dir" in spec or folder is None:
        return dict(spec)
    return {**spec, "data_dir": folder}


def _named(root: str) -> tuple[str | None, str]:
    """The benchmark that a root is for, if it says one, and the folder."""
    names = {config.name for config in CONFIGS}
    name, equals, folder = root.partition("=")
    if equals and name not in names and "/" not in name:
        raise ValueError(f"data_dir {root!r}: no such benchmark; there are {', '.join(sorted(names))}")
    name, folder = (name, folder) if equals and name in names else (None, root)
    if not folder:
        raise ValueError(f"data_dir {root!r}: no folder is named")
    return name, folder


def check_roots(specs: Sequence[Mapping[str, Any]], roots: Sequence[str]) -> None:
    """Refuses a root that does not exist, and one that none of the data sets of a run would read."""
    for i, root in enumerate(roots):
        name, folder = _named(root)
        if not Path(folder).expanduser().is_dir():
            raise ValueError(f"data_dir {root!r}: there is no folder {folder!r}")
        elsewhere = [*roots[:i], f"{root}/..", *roots[i + 1 :]]
        if all(place_spec(spec, roots) == place_spec(spec, elsewhere) for spec in specs):
            there = ", ".join(dict.fromkeys(_label(spec) for spec in specs))
            raise ValueError(
                f"data_dir {root!r} is read by no data set of this run, which are {there}. It would be read by "
                f"{{path: {NAME}, name: {name or 'folder'}, split: train}} without a data_dir of its own; "
                "recipes/my_pairs.yaml trains on a folder of pairs."
            )


def _label(spec: Mapping[str, Any]) -> str:
    if spec["path"] != NAME:
        return repr(spec["path"])
    config = spec.get("name") or DEFAULT
    place = "rendered" if config in RENDERED else f"data_dir: {spec['data_dir']}" if "data_dir" in spec else ""
    return f"{config!r} ({place})" if place else repr(config)


def check_files(spec: Mapping[str, Any]) -> None:
    """
    Refuses a benchmark whose files are missing or incomplete. Reads its annotations; images are only looked for.

    Raises:
        ValueError: names the files, an argument that the data set does not take, or a split that it does not have.
        OSError: there is no such data set, here or on the Hub.
    """
    builder = datasets.load_dataset_builder(**{key: value for key, value in spec.items() if key not in READING})
    config, split, stream = builder.config, spec["split"], spec.get("streaming")
    if isinstance(config, RenderedConfig):
        rows = config.sizes
    elif isinstance(config, BenchmarkConfig):
        rows = {name: len(pairs) for name, pairs in config.plan.pairs.items() if pairs}
    else:
        return  # of others, that is known when they are read
    try:
        parts = [] if stream else datasets.ReadInstruction.from_spec(split).to_absolute(rows)
    except ValueError:
        parts = []
    if not any(part.to > part.from_ for part in parts) and split not in (rows if stream else ["all"]):
        of_stream = " of a stream" if stream else ""
        raise ValueError(
            f"config {config.name!r} has no rows in split {split!r}{of_stream}; there are {', '.join(rows)}"
        )
