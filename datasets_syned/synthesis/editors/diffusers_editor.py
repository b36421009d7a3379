"""A pipeline of diffusers that edits images by instructions, as an editor."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ...common.ranges import check_whole
from ..pretrained.devices import pick_device, pick_dtype
from ..pretrained.revisions import first_line
from .pipeline_call import PipelineCall, resized
from .pipeline_loading import Lora, PipelineFiles, make_ready, quantization_of
from .presets import PRESETS, Preset, find_preset
from .protocol import EditError

OFFLOADS = (None, "model", "sequential")
TRIAL_STEPS = 2


class Row(NamedTuple):
    """An edit: its place in the batch, its image, and this at the size at which the pipeline works."""

    index: int
    image: Image.Image
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
        revision (`str`, *optional*):
            a branch, tag or commit of the Hub. Of a folder: what it is called; a digest of its files by default.
        variant (`str`, *optional*): of the weights' files, such as "fp16".
        lora (`str`, *optional*): LoRA weights to add: a folder, a name on the Hub, or a file of one.
        lora_revision (`str`, *optional*), lora_scale (`float`, *optional*, defaults to 1.0): of them.
        quantization (`str` or `Mapping`, *optional*):
            "4bit" or "8bit" (bitsandbytes), or arguments of diffusers' `PipelineQuantizationConfig`.
        device (`str`, *optional*): the GPU of this process, else the CPU, by default.
        dtype (`str`, *optional*): the preset's on a GPU, float32 on a CPU, by default.
        offload (`str`, *optional*): "model" or "sequential", if the GPU does not hold all weights.
        compile (`bool`, *optional*, defaults to `False`): the denoiser, by `torch.compile`.
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
        compile: bool = False,
        batch_size: int = 8,
        resolution: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        image_guidance: float | None = None,
        arguments: Mapping[str, Any] | None = None,
        force: bool = False,
    ):
        for name, value in (("batch_size", batch_size), ("resolution", resolution), ("steps", steps)):
            if value is not None:
                check_whole(name, value, 1)
        self._ready = {"device": pick_device(device), "offload": offload, "compile": compile}
        if offload not in OFFLOADS or offload and not self._ready["device"].startswith("cuda"):
            raise ValueError(f"offload={offload!r} must be model or sequential, with a GPU to move weights to")
        try:
            self._files = PipelineFiles(str(model), revision)
            preset = find_preset(self._files.id, self._files.pipeline.__name__)
            if preset is None and not force:
                known = ", ".join(dict.fromkeys(one.pipeline for one in PRESETS))
                raise ValueError(
                    f"{self._files.pipeline.__name__} is not known to edit images by instructions; known are {known}. "
                    "force=True (--force) tries it anyway"
                )
            preset = preset or Preset(self._files.pipeline.__name__, source="defaults of the pipeline", variants=False)
            self._call = PipelineCall(
                self._files.pipeline, preset, steps, guidance, image_guidance, resolution, arguments
            )
            self._lora = Lora(lora, lora_revision, lora_scale) if lora else None
            dtype = pick_dtype(dtype, self._ready["device"], preset.gpu_dtype)
            self._quantization = quantization_of(quantization, self._files.parts, dtype)
        except ValueError as error:
            raise ValueError(f"editor {str(model)!r}: {error}") from error
        self._loading = {"variant": variant, **preset.loading}
        self._pipe = None

        self.id = self._files.id
        more = {"variant": variant, "quantization": self._quantization, **(self._lora.parameters if lora else {})}
        more = {name: value for name, value in more.items() if value is not None}
        self.parameters = {**self._call.parameters, "dtype": dtype, **more}
        self.versions = {name: importlib.metadata.version(name) for name in ("diffusers", "transformers", "torch")}
        self.batch_size = batch_size

    @property
    def revision(self) -> str:
        """The commit of the Hub; of a folder, what was given, or a digest of its files, made when first asked for."""
        return self._files.revision

    def load(self):
        """
        The pipeline itself. The first call loads it and edits one image in two steps, so that a pipeline that cannot
        edit fails before the run begins.

        Raises:
            ValueError: the weights cannot be had, are not safetensors, or the pipeline cannot edit an image.
        """
        if self._pipe is None:
            import torch
            from diffusers import PipelineQuantizationConfig

            options = {**self._loading, "dtype": getattr(torch, self.parameters["dtype"])}
            if self._quantization:
                options["quantization_config"] = PipelineQuantizationConfig(**self._quantization)
            try:
                pipe = self._files.load(**options)
                if self._lora:
                    self._lora.add_to(pipe)
                make_ready(pipe, **self._ready)
            except Exception as error:
                raise ValueError(f"editor {self.id!r} cannot be loaded: {first_line(error)}") from error
            self._try(pipe)
            self._pipe = pipe
        return self._pipe

    def _try(self, pipe: Any) -> None:
        import torch

        source = self._call.source(Image.linear_gradient("L").convert("RGB"))
        call = self._call.arguments([source], ["make it red"], [torch.Generator().manual_seed(0)])
        if steps := self._call.parameters["steps"]:
            call["num_inference_steps"] = min(TRIAL_STEPS, steps)
        try:
            results_of(pipe(**call), [source.size])
        except Exception as error:
            raise ValueError(
                f"editor {self.id!r}: {self._call.name} did not edit an image by an instruction when it was tried: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image | EditError]:
        """
        See [`Editor.edit`]. Sources may be of any size and mode. In place of an image that the safety checker of the
        pipeline refused, that came out empty or whose source cannot be read: an `EditError`.
        """
        if not len(images) == len(instructions) == len(seeds):
            raise ValueError(f"{len(images)} images, {len(instructions)} instructions, {len(seeds)} seeds: one each")
        self.load()
        rows, results = [], [None] * len(images)
        for index, image in enumerate(list(images)):  # a lazy sequence makes its images anew at every look
            try:
                same = rows and rows[-1].image is image
                source = rows[-1].source if same else self._call.source(image.convert("RGB"))
                rows.append(Row(index, image, source, instructions[index], int(seeds[index])))
            except (OSError, ValueError) as error:  # of a file that is read only now
                results[index] = EditError(f"the source image cannot be read: {first_line(error)}")
        for job in self._jobs(rows):
            while job:
                some = job[: self.batch_size if self._call.preset.variants else 1]
                made = self._run(some)
                if made is not None:  # else there was not enough memory, and the next attempt is smaller
                    job = job[len(some) :]
                    for row, result in zip(some, made, strict=True):
                        results[row.index] = result
        return results

    def _jobs(self, rows: Sequence[Row]) -> list[list[Row]]:
        """
        Rows that one call may make: variants of one source, or single rows of one size if the pipeline pairs images
        with prompts. Never several variants of several sources: pipelines repeat images in another order than prompts.
        """
        groups = [list(same) for _, same in groupby(rows, key=lambda row: (id(row.source), row.instruction))]
        if self._call.preset.pairs:
            alike = groupby(groups, key=lambda group: group[0].source.size if len(group) == 1 else group[0].index)
            return [[row for group in some for row in group] for _, some in alike]
        return groups

    def _run(self, rows: Sequence[Row]) -> list[Image.Image | EditError] | None:
        """One call of the pipeline; `None` if there is not enough memory for it, and the batch size is now smaller."""
        import torch
        from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

        shared = len({(id(row.source), row.instruction) for row in rows}) == 1
        told = rows[:1] if shared else rows
        generators = [torch.Generator().manual_seed(row.seed) for row in rows]
        call = self._call.arguments([row.source for row in told], [row.instruction for row in told], generators)
        try:
            return results_of(self._pipe(**call), [row.image.size for row in rows])
        except (RuntimeError, MemoryError) as error:
            fewer = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or should_reduce_batch_size(error)
            if not fewer or len(rows) == 1:
                raise
        # once the exception is gone, which holds on to what it computed with
        self._pipe.maybe_free_model_hooks()
        clear_device_cache(garbage_collection=True)
        self.batch_size = max(1, min(self.batch_size, len(rows)) // 2)
        return None


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
