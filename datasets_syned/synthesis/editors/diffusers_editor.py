"""A pipeline of diffusers that edits images by instructions, as an editor."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ...common.ranges import check_whole
from ..pretrained.devices import in_batches, pick_device, pick_dtype
from ..pretrained.weights import one_line
from .pipeline_call import PipelineCall, resized
from .pipeline_loading import Lora, PipelineFiles, make_ready, quantization_of
from .presets import PRESETS, Preset, find_preset
from .protocol import EditError

OFFLOADS = (None, "model", "sequential")
TRIAL_STEPS = 2


class Row(NamedTuple):
    """An edit: the size of its image, this at the size at which the pipeline works, and what is asked for."""

    size: tuple[int, int]
    source: Image.Image
    instruction: str
    seed: int


class DiffusersEditor:
    """
    Edits images with a pipeline of diffusers. Weights are loaded by the first edit; what they are is known before.

    The variants of one source are made by one call, which encodes image and instruction once. Every image has a random
    generator of its own, on the CPU, so that neither the batch nor the device decides what it looks like.

    Args:
        model (`str`): a name on the Hub, or a folder that `save_pretrained` wrote; safetensors only.
        revision (`str`, *optional*): of it, see [`Pretrained`].
        variant (`str`, *optional*): of the weights' files, such as "fp16".
        lora (`str`, *optional*): LoRA weights to add: a folder, a name on the Hub, or a file of one.
        lora_revision (`str`, *optional*), lora_scale (`float`, *optional*, defaults to 1.0): of them.
        quantization (`str` or `Mapping`, *optional*):
            "4bit" or "8bit" (bitsandbytes), or arguments of diffusers' `PipelineQuantizationConfig`.
        device (`str`, *optional*): the GPU of this process, else the CPU, by default.
        dtype (`str`, *optional*): the preset's on a GPU, float32 on a CPU, by default.
        offload (`str`, *optional*): keeps on the CPU what the GPU does not hold: "model", but for one component at a
            time, or "sequential", but for one layer.
        batch_size (`int`, *optional*, defaults to 8): images in one call. Halved when memory does not suffice.
        resolution (`int`, *optional*): the pipeline works at the area of such a square. The preset's by default.
        steps, guidance, image_guidance (*optional*): the preset's by default, and the pipeline's without one.
        arguments (`Mapping[str, Any]`, *optional*): further arguments of the pipeline's call.
        force (`bool`, *optional*, defaults to `False`):
            take a pipeline that is not known to edit images by instructions, one image at a time.

    Raises:
        ValueError: the model cannot be had, is not known to edit images, or does not take what was given.

    Example:
        >>> editor = DiffusersEditor("timbrooks/instruct-pix2pix", steps=50)
        >>> one, two = editor.edit([image, image], ["make it snow"] * 2, seeds=[1, 2])
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        variant: str | None = None,
        lora: str | None = None,
        lora_revision: str | None = None,
        lora_scale: float = 1.0,
        quantization: str | Mapping[str, Any] | None = None,
        device: str | None = None,
        dtype: str | None = None,
        offload: str | None = None,
        batch_size: int = 8,
        resolution: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        image_guidance: float | None = None,
        arguments: Mapping[str, Any] | None = None,
        force: bool = False,
    ):
        for name, value in (("batch_size", batch_size), ("resolution", resolution), ("steps", steps)):
            check_whole(name, 1 if value is None else value, 1)
        self._ready = {"device": pick_device(device), "offload": offload}
        if offload not in OFFLOADS or offload and not self._ready["device"].startswith("cuda"):
            raise ValueError(f"offload={offload!r} must be model or sequential, with a GPU to move weights to")
        try:
            self._files = PipelineFiles(model, revision)
            name = self._files.pipeline.__name__
            preset = find_preset(self._files.id, name)
            if preset is None and not force:
                known = ", ".join(dict.fromkeys(one.pipeline for one in PRESETS))
                raise ValueError(
                    f"{name} is not known to edit images by instructions; known are {known}. force=True (--force) "
                    "tries it anyway"
                )
            preset = preset or Preset(name, source="defaults of the pipeline", variants=False)
            given = steps, guidance, image_guidance, resolution, arguments
            self._call = PipelineCall(self._files.pipeline, preset, *given)
            self._lora = Lora(lora, lora_revision, lora_scale) if lora else None
            dtype = pick_dtype(dtype, self._ready["device"], preset.gpu_dtype)
            quantization = quantization_of(quantization, self._files.parts, dtype) if quantization else None
        except ValueError as error:
            raise ValueError(f"editor {model!r}: {error}") from error
        self._loading = {"variant": variant, **preset.loading}
        self.id = self._files.id
        more = {"variant": variant, "quantization": quantization, **(self._lora.parameters if lora else {})}
        more = {name: value for name, value in more.items() if value is not None}
        self.parameters = {**self._call.parameters, "dtype": dtype, **more}
        self.versions = {name: importlib.metadata.version(name) for name in ("diffusers", "transformers", "torch")}
        self.batch_size = batch_size

    @property
    def revision(self) -> str:
        """The commit of the Hub; of a folder, what was given, or a digest of its files, made when first asked for."""
        return self._files.revision

    def load(self) -> Any:
        """
        The pipeline itself. The first call loads it and edits one image in two steps, so that a pipeline that cannot
        edit fails before the run begins: with a `ValueError`.
        """
        return self._pipe

    @cached_property
    def _pipe(self) -> Any:
        import torch
        from diffusers import PipelineQuantizationConfig

        options = {**self._loading, "dtype": getattr(torch, self.parameters["dtype"])}
        if quantization := self.parameters.get("quantization"):
            options["quantization_config"] = PipelineQuantizationConfig(**quantization)
        pipe = self._files.load(self._files.pipeline, use_safetensors=True, **options)
        source = self._call.source(Image.linear_gradient("L").convert("RGB"))
        call = self._call.arguments([source], ["make it red"], [torch.Generator().manual_seed(0)])
        if steps := self._call.parameters["steps"]:
            call["num_inference_steps"] = min(TRIAL_STEPS, steps)
        try:
            if self._lora:
                self._lora.add_to(pipe)
            make_ready(pipe, **self._ready)
            results_of(pipe(**call), [source.size])
        except Exception as error:
            raise ValueError(
                f"editor {self.id!r}: {self._call.name} did not edit an image by an instruction when it was tried: "
                f"{one_line(error)}"
            ) from error
        return pipe

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image | EditError]:
        """
        See [`Editor.edit`]. Sources may be of any size and mode. In place of an image that the safety checker of the
        pipeline refused or that came out empty: an `EditError`.
        """
        self.load()
        images = list(images)  # a lazy sequence makes its images anew at every look
        sources = {id(image): image for image in images}
        sources = {key: self._call.source(image.convert("RGB")) for key, image in sources.items()}
        rows = [
            Row(image.size, sources[id(image)], instruction, int(seed))
            for image, instruction, seed in zip(images, instructions, seeds, strict=True)
        ]
        results = []
        for job in self._jobs(rows):
            most = self.batch_size if self._call.preset.variants else 1
            made, fitting = in_batches(self._run, job, most)
            if fitting < most:
                self.batch_size = fitting
            results += made
        return results

    def _jobs(self, rows: Sequence[Row]) -> list[list[Row]]:
        """
        Neighbours that one call may make: variants of one source, or single rows of one size if the pipeline pairs
        images with prompts. Never several variants of several sources: pipelines repeat images in another order than
        prompts.
        """
        groups = [list(same) for _, same in groupby(rows, key=lambda row: (id(row.source), row.instruction))]
        if self._call.preset.pairs:
            alike = groupby(groups, key=lambda group: group[0].source.size if len(group) == 1 else id(group))
            return [[row for group in some for row in group] for _, some in alike]
        return groups

    def _run(self, rows: Sequence[Row]) -> list[Image.Image | EditError]:
        """One call of the pipeline."""
        import torch

        shared = len({(id(row.source), row.instruction) for row in rows}) == 1
        told = rows[:1] if shared else rows
        generators = [torch.Generator().manual_seed(row.seed) for row in rows]
        call = self._call.arguments([row.source for row in told], [row.instruction for row in told], generators)
        try:
            return results_of(self._pipe(**call), [row.size for row in rows])
        except RuntimeError:
            self._pipe.maybe_free_model_hooks()  # a smaller batch may be next
            raise


def results_of(output: Any, sizes: Sequence[tuple[int, int]]) -> list[Image.Image | EditError]:
    """Images of a pipeline's output, each of its size, and what is wrong with those that are none."""
    from diffusers.image_processor import VaeImageProcessor

    refused = getattr(output, "nsfw_content_detected", None) or [False] * len(sizes)
    results = []
    for image, unsafe, size in zip(output.images, refused, sizes, strict=True):
        pixels = np.asarray(image)
        if unsafe:
            results.append(EditError("the pipeline's safety checker refused it"))
        elif not np.isfinite(pixels).all():
            results.append(EditError("the pipeline made numbers that are not finite; another dtype may help"))
        elif not pixels.any():
            results.append(EditError("the pipeline made a black image"))
        else:  # from numbers where the pipeline gave them
            made = VaeImageProcessor.numpy_to_pil(pixels)[0] if pixels.dtype.kind == "f" else image
            results.append(resized(made.convert("RGB"), size))
    return results
