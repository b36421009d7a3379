"""From the data sets that a recipe names to what a Trainer reads."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from datasets.fingerprint import Hasher

from .lessons import Lessons, prepare_lesson
from .schema import FEATURES

NEEDED = ("id", "before", "after", "captions")


def check(name: str, specs: Any, masks: bool = False) -> None:
    """
    Refuses what [`load`] could not load, before anything is read.

    Args:
        name (`str`): of the argument, for the message.
        specs (`dict` or `list[dict]`): arguments of `datasets.load_dataset`, of one data set or of several.
        masks (`bool`, *optional*, defaults to `False`): the rows are to have object masks.

    Raises:
        ValueError: names the argument, and what is missing.
    """
    if isinstance(specs, list):
        for i, spec in enumerate(specs):
            check(f"{name}[{i}]", spec, masks)
        return
    if not isinstance(specs, Mapping):
        raise ValueError(f"{name}: {specs!r} must be a dict of arguments of datasets.load_dataset")
    for key in ("path", "split"):
        if not isinstance(specs.get(key), str):
            raise ValueError(f"{name}: {dict(specs)} has no {key!r}")
    if masks and not specs.get("masks"):
        raise ValueError(f"{name}: lessons are made from object masks; give the data set `masks: true`")


def load(spec: Mapping[str, Any]) -> datasets.Dataset:
    """
    Loads one data set of a recipe.

    Args:
        spec (`dict`): arguments of `datasets.load_dataset`, `split` among them.

    Returns:
        `datasets.Dataset`

    Raises:
        ValueError: `path` or `split` is missing, or the rows lack a column that training reads.
    """
    check("data set", spec)
    rows = datasets.load_dataset(**spec)
    if missing := [name for name in NEEDED if name not in rows.column_names]:
        raise ValueError(
            f"data set {dict(spec)}: no column {', '.join(missing)}; it has {', '.join(rows.column_names)}, and a row "
            f"is {', '.join(FEATURES)}"
        )
    return rows


def concatenate(parts: Sequence[datasets.Dataset]) -> datasets.Dataset:
    """One data set of several, with the columns that all of them have."""
    common = [name for name in parts[0].column_names if all(name in part.column_names for part in parts)]
    return datasets.concatenate_datasets([part.select_columns(common) for part in parts])


def lessons(
    parts: Sequence[datasets.Dataset],
    make_canvas: Callable,
    patch_size: int,
    length: int,
    curriculum: Sequence[tuple[float, Sequence[int]]],
    seed: int = 0,
    num_proc: int | None = None,
) -> Lessons:
    """
    A whole training run of [`Lessons`] from parts of "scenes" with masks.

    Args:
        parts (`Sequence[datasets.Dataset]`): rows with masks.
        make_canvas (`Callable`): `make_canvas(before, after) -> PIL.Image`, before above after; picklable.
        patch_size (`int`): of the vision tower, pixels.
        length (`int`): rows of the run: steps times rows per step.
        curriculum (`Sequence[tuple[float, Sequence[int]]]`): which parts each phase of the run sees; see [`Lessons`].
        seed (`int`, *optional*, defaults to 0): of every draw.
        num_proc (`int`, *optional*): processes that prepare the lessons.

    Returns:
        [`Lessons`]

    Raises:
        ValueError: a part has no masks.
    """
    for part in parts:
        if "scene" not in part.column_names:
            raise ValueError("lessons are made from object masks; give the data set `masks: true`")
    code = Path(inspect.getfile(prepare_lesson)).read_text(encoding="utf-8")
    prepared = [
        part.map(
            prepare_lesson,
            fn_kwargs={"make_canvas": make_canvas, "patch_size": patch_size},
            remove_columns=part.column_names,
            num_proc=num_proc,
            desc="lessons",
            # by itself the cache knows an imported function by its name, and would return what older code made
            new_fingerprint=Hasher.hash([part._fingerprint, code, make_canvas, patch_size]),
        )
        for part in parts
    ]
    return Lessons(prepared, curriculum, length, seed)
