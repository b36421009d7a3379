"""Finds out what a pipeline is, and loads it: LoRA weights, dtype, quantization, offloading, compilation."""

import json
import logging
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ..pretrained.revisions import file_digest, find_folder, folder_digest
from .presets import REVISIONS

# Conversions of the first checkpoints name the class of the base model: what edits is told by the UNet, which sees
# eight channels, four of them the source image.
EDITING_CLASS = {
    "StableDiffusionPipeline": "StableDiffusionInstructPix2PixPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLInstructPix2PixPipeline",
}
LORA_FILE = "pytorch_lora_weights.safetensors"  # as diffusers saves it
LARGE_PARTS = ("transformer", "unet", "text_encoder", "text_encoder_2")


class PipelineFiles:
    """
    The files of a pipeline, found without loading weights.

    Args:
        model (`str`): a name on the Hub, or a folder.
        revision (`str`, *optional*): of the Hub, a branch, tag or commit; of a folder, what it is called.

    Attributes:
        id (`str`): the name on the Hub, or of the folder, without its path.
        parts (`tuple[str, ...]`): names of the components.
        pipeline (`type`): class of diffusers.

    Raises:
        ValueError: there is no such model, or it is not a pipeline of the installed diffusers.
    """

    def __init__(self, model: str, revision: str | None = None):
        import diffusers

        local = Path(model).expanduser().is_dir()
        self._asked = revision if local else revision or REVISIONS.get(model.lower())
        self._folder = find_folder(model, self._asked, ["model_index.json", "unet/config.json"])
        self._local, self.id = local, self._folder.name if local else model
        try:
            index = json.loads((self._folder / "model_index.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ValueError("there is no model_index.json: it is not a pipeline of diffusers") from error
        self.parts = tuple(name for name in index if not name.startswith("_"))
        name = index.get("_class_name")
        if isinstance(name, str) and name in EDITING_CLASS:
            unet = json.loads((self._folder / "unet/config.json").read_text(encoding="utf-8"))
            name = EDITING_CLASS[name] if unet.get("in_channels") == 8 else name
        self.pipeline = getattr(diffusers, name, None) if isinstance(name, str) else None
        if not (isinstance(self.pipeline, type) and issubclass(self.pipeline, diffusers.DiffusionPipeline)):
            raise ValueError(f"diffusers {diffusers.__version__} has no pipeline {name}; code of its own is not run")

    @cached_property
    def revision(self) -> str:
        """The commit; of a folder, what was given, or a digest of the names and contents of its files."""
        return (self._asked or folder_digest(self._folder)) if self._local else self._folder.name

    def load(self, **options: Any):
        """The pipeline, on the CPU. Only safetensors are read; the Hub is asked for the commit of `revision`."""
        where = (self._folder,) if self._local else (self.id,)
        options |= {} if self._local else {"revision": self.revision}
        return self.pipeline.from_pretrained(*where, use_safetensors=True, **options)


class Lora:
    """
    LoRA weights for a pipeline.

    Args:
        name (`str`):
            a folder or a name on the Hub, with `pytorch_lora_weights.safetensors`; or a file of one, such as
            "someone/style/file.safetensors".
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        scale (`float`, *optional*, defaults to 1.0): 0 is the pipeline without them.

    Raises:
        ValueError: there is no such file.
    """

    def __init__(self, name: str, revision: str | None = None, scale: float = 1.0):
        is_file = name.endswith(".safetensors")
        model, _, self._file = name.rpartition("/") if is_file else (name, "", LORA_FILE)
        local, self._scale = Path(model).expanduser().is_dir(), scale
        try:
            self._folder = find_folder(model, revision, [self._file])
        except ValueError as error:
            raise ValueError(f"lora={name!r}: {error}") from error
        path = self._folder / self._file
        if not path.is_file():
            raise ValueError(f"lora={name!r} has no {self._file}; name the file, such as {name}/file.safetensors")
        self.parameters = {
            "lora": self._folder.name if local else model,
            "lora_file": self._file,
            "lora_revision": file_digest(path) if local else self._folder.name,
            "lora_scale": scale,
        }

    def add_to(self, pipe: Any) -> None:
        """Raises `ValueError` if they are not for such a pipeline: diffusers leaves out what it does not know."""
        pipe.load_lora_weights(self._folder, weight_name=self._file, adapter_name="lora", use_safetensors=True)
        if not any("lora" in names for names in pipe.get_list_adapters().values()):
            raise ValueError(f"{self._file} has no weights for {type(pipe).__name__}")
        pipe.set_adapters("lora", self._scale)


def quantization_of(option: str | Mapping[str, Any] | None, parts: tuple[str, ...], dtype: str) -> dict | None:
    """
    Arguments of diffusers' `PipelineQuantizationConfig`.

    Args:
        option (`str` or `dict`, *optional*):
            "4bit" or "8bit", by bitsandbytes, of the denoiser and the text encoders; or the arguments themselves.
        parts (`tuple[str, ...]`): names of the pipeline's components.
        dtype (`str`): in which 4-bit weights are multiplied.

    Raises:
        ValueError: diffusers has no such quantization.
    """
    if option is None:
        return None
    if option in ("4bit", "8bit"):
        how = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype}
        option = {
            "quant_backend": f"bitsandbytes_{option}",
            "quant_kwargs": how if option == "4bit" else {"load_in_8bit": True},
            "components_to_quantize": [name for name in LARGE_PARTS if name in parts],
        }
    if not isinstance(option, Mapping):
        raise ValueError(f"quantization={option!r} must be 4bit, 8bit or arguments of PipelineQuantizationConfig")
    from diffusers import PipelineQuantizationConfig

    PipelineQuantizationConfig(**option)  # raises if it does not exist
    return dict(option)


def make_ready(pipe: Any, device: str, offload: str | None = None, compile: bool = False) -> None:
    """
    Puts a pipeline where it runs, and keeps it quiet.

    Args:
        pipe (`DiffusionPipeline`): as it was loaded.
        device (`str`): as `pick_device` gives it.
        offload (`str`, *optional*): "model": one component at a time is on the GPU; "sequential": one layer.
        compile (`bool`, *optional*, defaults to `False`): the denoiser, by its repeated blocks where it names them.
    """
    pipe.set_progress_bar_config(disable=True)
    # Several variants of one image are what it is about; diffusers warns of each number of them.
    warnings.filterwarnings("ignore", ".*initial images.*", FutureWarning)
    # It warns of every image that it refuses, and those are in the results.
    logging.getLogger("diffusers.pipelines.stable_diffusion.safety_checker").setLevel(logging.ERROR)
    if compile:
        denoiser = getattr(pipe, "transformer", None) or pipe.unet
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
