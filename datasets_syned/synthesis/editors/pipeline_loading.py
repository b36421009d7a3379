"""Where and in what form a pipeline runs: device, dtype, offloading, compilation."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DTYPES = ("float32", "float16", "bfloat16")
OFFLOADS = (None, "model", "sequential")


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


def check_offload(offload: str | None, device: str) -> None:
    """Raises `ValueError` if there is no such way of offloading, or no GPU to offload from."""
    if offload not in OFFLOADS:
        raise ValueError(f"offload={offload!r}: must be model, sequential or none")
    if offload and not device.startswith("cuda"):
        raise ValueError(f"offload={offload!r}: moves weights between a GPU and the CPU, and the device is {device}")


def load_pipeline(
    pipeline: type,
    folder: Path,
    *,
    device: str,
    dtype: str,
    offload: str | None = None,
    compile: bool = False,
    loading: Mapping[str, Any],
):
    """
    Loads a pipeline, ready to be called.

    Args:
        pipeline (`type`): class of diffusers.
        folder (`Path`): of its files; safetensors only.
        device, dtype (`str`): as [`pick_device`] and [`pick_dtype`] say.
        offload (`str`, *optional*): "model": one component at a time is on the GPU; "sequential": one layer.
        compile (`bool`, *optional*, defaults to `False`): the denoiser, by its repeated blocks where it names them.
        loading (`Mapping[str, Any]`): further arguments of `from_pretrained`.
    """
    import torch

    pipe = pipeline.from_pretrained(folder, dtype=getattr(torch, dtype), use_safetensors=True, **loading)
    pipe.set_progress_bar_config(disable=True)
    # It warns of every image that it refuses, and those are in the results.
    logging.getLogger("diffusers.pipelines.stable_diffusion.safety_checker").setLevel(logging.ERROR)
    if compile:
        denoiser = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
        if denoiser is None:
            raise ValueError(f"compile=True: {type(pipe).__name__} has neither a transformer nor a unet")
        if getattr(denoiser, "_repeated_blocks", None):
            denoiser.compile_repeated_blocks()
        else:
            denoiser.compile()
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe
