"""Where models run, in what numbers, and how many rows at a time."""

import os
from collections.abc import Callable, Sequence
from typing import Any

DTYPES = ("float32", "float16", "bfloat16")


def pick_device(device: str | None) -> str:
    """The device asked for; else the GPU of this process (of several on a machine, by `LOCAL_RANK`); else the CPU."""
    import torch

    count = torch.cuda.device_count()
    if device and device.startswith("cuda") and not count:
        raise ValueError(f"device={device!r}: there is no GPU here")
    return device or (f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % count}" if count else "cpu")


def pick_dtype(dtype: str | None, device: str, on_gpu: str) -> str:
    """The dtype asked for; else `on_gpu` on a GPU and float32 elsewhere. Raises a `ValueError` for another one."""
    if dtype not in (None, *DTYPES):
        raise ValueError(f"dtype={dtype!r} must be one of {', '.join(DTYPES)}")
    return dtype or (on_gpu if device.startswith("cuda") else "float32")


def in_batches(run: Callable[[Sequence], Sequence], items: Sequence, size: int) -> tuple[list[Any], int]:
    """
    The results of `run` for all items, and the size of its batches: half of it, again and again, until memory
    suffices. If it does not for a single one, the error of it is raised, as is any other.
    """
    from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

    results: list[Any] = []
    while len(results) < len(items):
        batch = items[len(results) : len(results) + size]
        try:
            results += run(batch)
            continue
        except RuntimeError as error:
            if len(batch) == 1 or not should_reduce_batch_size(error):
                raise
        clear_device_cache(garbage_collection=True)  # only here the error, and what it holds, is gone
        size = len(batch) // 2
    return results, size
