"""Where models run, in what numbers, and how many rows at a time."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

logger = logging.getLogger(__name__)

DTYPES = ("float32", "float16", "bfloat16")


def pick_device(device: str | None) -> str:
    """
    The device asked for; else the GPU of this process (of several on one machine, by `LOCAL_RANK`); else the CPU.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None:
        return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % count}" if count else "cpu"
    try:
        asked = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device={device!r}: must be cpu, cuda or one such as cuda:1") from None
    if asked.type == "cuda" and (asked.index or 0) >= count:
        raise ValueError(f"device={device!r}: there are {count} GPUs here")
    return str(device)


def pick_dtype(dtype: Any, device: str, on_gpu: str) -> str:
    """
    The dtype asked for (its name, or torch's); else `on_gpu` on a GPU and float32 elsewhere.

    Raises:
        ValueError: it is not one that pipelines run in on this device.
    """
    if dtype is None:
        return on_gpu if device.startswith("cuda") else "float32"
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise ValueError(f"dtype={dtype!r}: must be one of {', '.join(DTYPES)}")
    if name == "float16" and device == "cpu":
        raise ValueError("dtype='float16': needs a GPU; on a CPU float32 or bfloat16")
    return name


def in_batches(run: Callable[[Sequence], Sequence], items: Sequence, size: int) -> tuple[list[Any], int]:
    """
    The results of `run` for all items, and the size of its batches: half of it wherever memory does not suffice.

    Raises:
        RuntimeError: memory does not suffice for one item, or whatever else `run` raises.
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
        logger.warning("out of memory: %d rows at a time from here on", size)
    return results, size
