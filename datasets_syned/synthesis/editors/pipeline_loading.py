"""Loads a pipeline: dtype, offloading, compilation."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OFFLOADS = (None, "model", "sequential")


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
        device, dtype (`str`): as `devices.py` picks them.
        offload (`str`, *optional*): "model": one component at a time is on the GPU; "sequential": one layer.
        compile (`bool`, *optional*, defaults to `False`): the denoiser, by its repeated blocks where it names them.
        loading (`Mapping[str, Any]`): further arguments of `from_pretrained`.
    """
    import torch

    pipe = pipeline.from_pretrained(folder, dtype=getattr(torch, dtype), use_safetensors=True, **loading)
    pipe.set_progress_bar_config(disable=True)
    # Several variants of one image are what it is about; diffusers warns of each number of them.
    warnings.filterwarnings("ignore", ".*initial images.*", FutureWarning)
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
