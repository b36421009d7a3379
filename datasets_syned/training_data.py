"""From the data sets that a recipe names to what a Trainer reads."""

import datasets

from .lessons import Lessons, prepare_lesson
from .schema import FEATURES


def load(spec):
    """Loads one data set of a recipe.

    Args:
        spec (`dict`): arguments of `datasets.load_dataset`, `split` among them.

    Returns:
        `datasets.Dataset`

    Raises:
        ValueError: `path` or `split` is missing, or the rows lack one of the columns that every data set here has.
    """
    for name in ("path", "split"):
        if not spec.get(name):
            raise ValueError(f"data set {spec} has no {name!r}")
    rows = datasets.load_dataset(**spec)
    needed = ("id", "before", "after", "captions")
    if missing := [name for name in needed if name not in rows.column_names]:
        raise ValueError(
            f"data set {spec}: no column {', '.join(missing)}; it has {', '.join(rows.column_names)}, "
            f"and needs {', '.join(FEATURES)}"
        )
    return rows


def concatenate(parts):
    """One data set of several, with the columns that all of them have."""
    common = [name for name in parts[0].column_names if all(name in part.column_names for part in parts)]
    return datasets.concatenate_datasets([part.select_columns(common) for part in parts])


def lessons(parts, make_canvas, patch_size, length, easy_share=0.15, seed=0, num_proc=None):
    """A whole training run of [`Lessons`] from parts of "scenes" with masks.

    Args:
        parts (`Sequence[datasets.Dataset]`): the last one holds the easy pairs, without jitter, which come first.
        make_canvas (`Callable`): `make_canvas(before, after) -> PIL.Image`; picklable.
        patch_size (`int`): of the vision tower, pixels.
        length (`int`): rows of the run: steps times batch size.
        easy_share (`float`, *optional*, defaults to 0.15): part of the run that sees easy pairs only.
        seed (`int`, *optional*, defaults to 0): of every draw.
        num_proc (`int`, *optional*): processes that prepare the lessons.

    Returns:
        [`Lessons`]
    """
    for part in parts:
        if "scene" not in part.column_names:
            raise ValueError("lessons need the object masks: give the data set `masks: true`")
    prepared = [
        part.map(
            prepare_lesson,
            fn_kwargs={"make_canvas": make_canvas, "patch_size": patch_size},
            remove_columns=part.column_names,
            num_proc=num_proc,
            desc="lessons",
        )
        for part in parts
    ]
    return Lessons(prepared[-1], datasets.concatenate_datasets(prepared), length, easy_share, seed)
