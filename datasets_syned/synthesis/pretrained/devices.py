"""Where models run, and in what numbers."""

import os
from typing import Any

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
