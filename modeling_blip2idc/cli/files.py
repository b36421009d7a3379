"""What the `blip2idc` command does to models and files: adapters in, checkpoints and canvases out."""

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from .caption import Unusable


def run_import(args: argparse.Namespace) -> int:
    """
    Import an adapter and say what it is.

    Args:
        args (`argparse.Namespace`):
            From [`~__main__.import_parser`].

    Returns:
        `int`: 0.

    Raises:
        Unusable: if it cannot be imported.
    """
    from ..hub.import_adapter import import_adapter

    with unusable():
        out, facts = import_adapter(args.folder, args.out, args.base, args.revision, args.dtype)
    old, new = facts["dtypes"]
    print(
        f"{out}: {sum(facts['modules'].values())} modules, rank {facts['rank']}, {facts['parameters']:,} parameters, "
        f"{new}{'' if old == new else f' (was {old})'}, {facts['bytes'] / 1e6:.2f} MB"
    )
    print("base:", *filter(None, (facts["base"], facts["revision"])))
    return 0


def run_merge(args: argparse.Namespace) -> int:
    """
    Write a model as a checkpoint of stock transformers.

    Args:
        args (`argparse.Namespace`):
            From [`~__main__.merge_parser`].

    Returns:
        `int`: 0.

    Raises:
        Unusable: if the model cannot be used, or the folder not be written.
    """
    from ..hub.merge import merge

    with unusable():
        out = merge(args.model, args.out, _dtype(args.dtype), args.revision)
    print(f"{out}: loads without this package; its README.md says how, and which canvas it takes")
    return 0


def run_canvas(args: argparse.Namespace) -> int:
    """
    Write the canvas of a pair.

    Args:
        args (`argparse.Namespace`):
            From [`~__main__.canvas_parser`].

    Returns:
        `int`: 0.

    Raises:
        Unusable: if an image or the model cannot be used, or the file not be written.
    """
    from .canvas_file import write_canvas

    with unusable():
        geometry = write_canvas(args.before, args.after, args.out, args.model, args.revision)
    height, width = geometry.canvas_size
    layout = "before above after" if geometry.concat_axis == "vertical" else "before to the left of after"
    print(f"{args.out}: {width}x{height} pixels, {layout}")
    return 0


@contextmanager
def unusable() -> Iterator[None]:
    """Quietens the libraries, and turns what goes wrong into one message."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of peft's use of transformers
            yield
    except (OSError, ValueError, RuntimeError) as error:
        raise Unusable(str(error)) from error


def _dtype(name: str | None):
    import torch

    return None if name is None else getattr(torch, name)
