"""Finds out what a pipeline is, and makes it ready: LoRA weights, quantization, offloading."""

import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

from ..pretrained.weights import Pretrained, digest_of
from .presets import REVISIONS

# Conversions of the first checkpoints name the class of the base model: what edits is told by the UNet, which sees
# eight channels, four of them the source image.
EDITING_CLASS = {
    "StableDiffusionPipeline": "StableDiffusionInstructPix2PixPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLInstructPix2PixPipeline",
}
LORA_FILE = "pytorch_lora_weights.safetensors"  # as diffusers saves it
LARGE_PARTS = ("transformer", "unet", "text_encoder", "text_encoder_2")


class PipelineFiles(Pretrained):
    """
    A pipeline that is not loaded yet: the names of its components (`parts`), and its class of diffusers (`pipeline`).
    Raises a `ValueError` if there is no such model, or it is not a pipeline of the installed diffusers.
    """

    def __init__(self, model: str, revision: str | None = None):
        import diffusers

        super().__init__(model, revision or REVISIONS.get(model.lower()), ["model_index.json", "unet/config.json"])
        try:
            index = json.loads((self.folder / "model_index.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ValueError("there is no model_index.json: it is not a pipeline of diffusers") from error
        self.parts, name = [part for part in index if not part.startswith("_")], str(index.get("_class_name"))
        if name in EDITING_CLASS:
            unet = json.loads((self.folder / "unet/config.json").read_text(encoding="utf-8"))
            name = EDITING_CLASS[name] if unet.get("in_channels") == 8 else name
        self.pipeline = getattr(diffusers, name, None)
        if not (isinstance(self.pipeline, type) and issubclass(self.pipeline, diffusers.DiffusionPipeline)):
            raise ValueError(f"diffusers {diffusers.__version__} has no pipeline {name}; code of its own is not run")


class Lora:
    """
    LoRA weights for a pipeline: a folder or a name on the Hub, with `pytorch_lora_weights.safetensors`, or a file of
    one, such as "someone/style/file.safetensors". With `scale` 0 it is the pipeline without them.
    """

    def __init__(self, name: str, revision: str | None = None, scale: float = 1.0):
        folder, _, file = name.rpartition("/") if name.endswith(".safetensors") else (name, "", LORA_FILE)
        weights = Pretrained(folder or ".", revision, [file])
        self._file, self._scale = weights.folder / file, scale
        if not self._file.is_file():
            raise ValueError(f"lora={name!r} has no {file}; name the file, such as {name}/file.safetensors")
        self.parameters = {
            "lora": weights.id,
            "lora_file": file,
            "lora_revision": digest_of(weights.folder, [self._file]) if weights.local else weights.revision,
            "lora_scale": scale,
        }

    def add_to(self, pipe: Any) -> None:
        """Raises `ValueError` if they are not for such a pipeline: diffusers leaves out what it does not know."""
        folder, name = self._file.parent, self._file.name
        pipe.load_lora_weights(folder, weight_name=name, adapter_name="lora", use_safetensors=True)
        if not any("lora" in names for names in pipe.get_list_adapters().values()):
            raise ValueError(f"{name} has no weights for {type(pipe).__name__}")
        pipe.set_adapters("lora", self._scale)


def quantization_of(option: str | Mapping[str, Any], parts: list[str], dtype: str) -> dict[str, Any]:
    """
    Arguments of diffusers' `PipelineQuantizationConfig`: those that are given, or "4bit" or "8bit" by bitsandbytes, of
    the denoiser and the text encoders among the parts of a pipeline; 4-bit weights are multiplied in `dtype`.
    """
    if isinstance(option, Mapping):
        return dict(option)
    how = {
        "4bit": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype},
        "8bit": {"load_in_8bit": True},
    }
    if option not in how:
        raise ValueError(f"quantization={option!r} must be 4bit, 8bit or arguments of PipelineQuantizationConfig")
    return {
        "quant_backend": f"bitsandbytes_{option}",
        "quant_kwargs": how[option],
        "components_to_quantize": [name for name in LARGE_PARTS if name in parts],
    }


def make_ready(pipe: Any, device: str, offload: str | None = None) -> None:
    """Puts a pipeline where it runs, and keeps it quiet. See [`DiffusersEditor`]."""
    pipe.set_progress_bar_config(disable=True)
    # Several variants of one image are what it is about; diffusers warns of each number of them.
    warnings.filterwarnings("ignore", ".*initial images.*", FutureWarning)
    # It warns of every image that it refuses, and those are in the results.
    logging.getLogger("diffusers.pipelines.stable_diffusion.safety_checker").setLevel(logging.ERROR)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
