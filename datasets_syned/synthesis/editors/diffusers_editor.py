"""Any pipeline of diffusers that edits images by instructions, as an editor."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from PIL import Image

from ..pretrained.devices import pick_device, pick_dtype
from ..pretrained.revisions import first_line
from .pipeline_calls import PipelineCall
from .pipeline_files import PipelineFiles
from .pipeline_loading import check_offload, load_pipeline
from .presets import find_preset
from .protocol import EditError


class DiffusersEditor:
    """
    Edits images with a pipeline of diffusers. Weights are loaded by the first edit; what they are is known before.

    The variants of one source are made by one call, which encodes image and instruction once. Every image has a random
    generator of its own, on the CPU, so that neither the batch nor the device decides what it looks like.

    Args:
        model (`str`): a name on the Hub, or a folder that `save_pretrained` wrote; safetensors only.
        revision (`str`, *optional*):
            a branch, tag or commit of the Hub. Of a folder: what it is called; a digest of its files by default.
        device (`str`, *optional*): the GPU of this process, else the CPU, by default.
        dtype (`str`, *optional*): the preset's on a GPU, float32 on a CPU, by default.
        offload (`str`, *optional*): "model" or "sequential", if the GPU does not hold all weights.
        compile (`bool`, *optional*, defaults to `False`): the denoiser, by `torch.compile`.
        batch_size (`int`, *optional*, defaults to 8): images in one call. Halved when memory does not suffice.
        resolution (`int`, *optional*): the working size has about the area of such a square. The preset's by default.
        steps, guidance, image_guidance (*optional*): the preset's by default, and the pipeline's without one.
        arguments (`Mapping[str, Any]`, *optional*): further arguments of the pipeline's call.

    Raises:
        ValueError: the model cannot be had, edits no images by instructions, or does not take what was given.

    Example:
        >>> editor = DiffusersEditor("timbrooks/instruct-pix2pix", steps=50)
        >>> one, two = editor.edit([image, image], ["make it snow"] * 2, seeds=[1, 2])
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
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
    ):
        for name, value in (("batch_size", batch_size), ("resolution", resolution), ("steps", steps)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{name}={value!r}: must be a whole number of at least 1")
        self._device = pick_device(device)
        check_offload(offload, self._device)
        self._files = PipelineFiles(model, revision)
        self._class = pipeline_class(self._files)
        preset = find_preset(self._files.id, self._class.__name__)
        self._call = PipelineCall(self._class, preset, steps, guidance, image_guidance, resolution, arguments)
        dtype = pick_dtype(dtype, self._device, preset.gpu_dtype)
        self._loading = {
            "device": self._device,
            "dtype": dtype,
            "offload": offload,
            "compile": compile,
            "loading": preset.loading,
        }
        self._pipe = None

        self.id = self._files.id
        self.parameters = {**self._call.parameters, "dtype": dtype}
        self.versions = {name: importlib.metadata.version(name) for name in ("diffusers", "transformers", "torch")}
        self.batch_size = batch_size

    @property
    def revision(self) -> str:
        """The commit of the Hub; of a folder, what was given, or a digest of its files, made when first asked for."""
        return self._files.revision

    def load(self):
        """
        The pipeline itself, loaded by the first call.

        Raises:
            ValueError: the weights cannot be had, or are no safetensors.
        """
        if self._pipe is None:
            folder = self._files.folder()
            try:
                self._pipe = load_pipeline(self._class, folder, **self._loading)
            except OSError as error:
                raise ValueError(f"editor {self._files.model!r}: cannot be loaded: {first_line(error)}") from error
        return self._pipe

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image | EditError]:
        """
        Edits images. They may be of any size and mode; results are RGB, of about the area of `resolution` squared and
        of their source's proportions. Neighbours that are the same image object with the same instruction share what
        is the same for them.

        Args:
            images (`Sequence[PIL.Image.Image]`): the sources.
            instructions (`Sequence[str]`): one each.
            seeds (`Sequence[int]`): one each.

        Returns:
            `list`: as many images as there are sources. In place of one that the safety checker of the pipeline
            refused, that came out empty or whose source cannot be read: an `EditError`.
        """
        if not len(images) == len(instructions) == len(seeds):
            raise ValueError(f"{len(images)} images, {len(instructions)} instructions, {len(seeds)} seeds: one each")
        self.load()
        images, results = list(images), [None] * len(images)  # a lazy sequence makes its images anew at every look
        for calls in groupby(self._groups(images, instructions, results), key=self._kind):
            waiting = list(calls[1])
            while waiting:
                waiting = self._some(waiting, instructions, seeds, results)
        return results

    def _groups(self, images, instructions, results) -> list[tuple[Image.Image, list[int]]]:
        """Rows of one source and instruction, with the source at its working size, once for them all."""
        groups = []
        for _, rows in groupby(range(len(images)), key=lambda i: (id(images[i]), instructions[i])):
            rows = list(rows)
            try:
                source = images[rows[0]].convert("RGB")
            except (OSError, ValueError) as error:  # of a file that is read only now
                for row in rows:
                    results[row] = EditError(f"the source image cannot be read: {first_line(error)}")
                continue
            size = self._call.working_size(source.size)
            groups.append((source.resize(size, Image.Resampling.LANCZOS) if size != source.size else source, rows))
        return groups

    def _kind(self, group: tuple[Image.Image, list[int]]):
        """
        Groups of the same kind may be edited by one call: single rows of one size, if the pipeline pairs images with
        prompts. Never several variants of several sources: pipelines repeat images in another order than prompts.
        """
        image, rows = group
        return image.size if len(rows) == 1 and self._call.pairs else id(group)

    def _some(self, groups, instructions, seeds, results) -> list[tuple[Image.Image, list[int]]]:
        """Edits as many rows of `groups`, all of one kind, as one call may, and returns the groups that are left."""
        limit = self.batch_size
        if len(groups) > 1:
            taken, left = groups[:limit], groups[limit:]
        else:
            limit = limit if self._call.shares else 1
            image, rows = groups[0]
            taken, left = [(image, rows[:limit])], [(image, rows[limit:])] if rows[limit:] else []
        rows = [row for _, some in taken for row in some]
        out = self._run([image for image, _ in taken], [instructions[some[0]] for _, some in taken], rows, seeds)
        if out is None:
            return groups
        for row, result in zip(rows, out, strict=True):
            results[row] = result
        return left

    def _run(self, images, instructions, rows, seeds) -> list[Image.Image | EditError] | None:
        """One call of the pipeline; `None` if there is not enough memory for it, and the batch size is now smaller."""
        import torch

        generators = [torch.Generator().manual_seed(int(seeds[row])) for row in rows]
        if len(images) > 1:
            call = self._call.paired(images, instructions, generators)
        else:
            call = self._call.shared(images[0], instructions[0], generators)
        try:
            output = self._pipe(**call)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or len(rows) == 1:
                raise
        else:
            return results_of(output, images[0].size, len(rows))
        self._free()
        self.batch_size = max(1, min(self.batch_size, len(rows)) // 2)
        return None

    def _free(self) -> None:
        """After a call that was cut short, and once its exception is gone, which holds on to what it computed with."""
        from accelerate.utils.memory import clear_device_cache

        self._pipe.maybe_free_model_hooks()
        clear_device_cache(garbage_collection=True)


def pipeline_class(files: PipelineFiles) -> type:
    """The class of diffusers that a model names. Raises `ValueError` if the installed version has no such pipeline."""
    import diffusers

    cls = getattr(diffusers, files.pipeline, None)
    if not (isinstance(cls, type) and issubclass(cls, diffusers.DiffusionPipeline)):
        raise ValueError(
            f"editor {files.model!r}: diffusers {diffusers.__version__} has no {files.pipeline}; a later one may"
        )
    return cls


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that fewer images at a time might have fitted."""
    import torch
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or should_reduce_batch_size(error)


def results_of(output: Any, size: tuple[int, int], count: int) -> list[Image.Image | EditError]:
    """Images of a pipeline's output, at the working size, and what is wrong with those that are none."""
    from diffusers.image_processor import VaeImageProcessor

    refused = getattr(output, "nsfw_content_detected", None) or [False] * count
    results = []
    for image, unsafe in zip(output.images, refused, strict=True):
        pixels = np.asarray(image)
        if unsafe:
            results.append(EditError("the pipeline's safety checker refused it"))
        elif not np.isfinite(pixels).all():
            results.append(EditError("the pipeline made numbers that are not finite; another dtype may help"))
        elif not pixels.any():
            results.append(EditError("the pipeline made a black image"))
        else:  # from numbers where the pipeline gave them
            made = VaeImageProcessor.numpy_to_pil(pixels)[0] if pixels.dtype.kind == "f" else image
            made = made.convert("RGB")  # and of the size that it was told, which not all pipelines can be
            results.append(made if made.size == size else made.resize(size, Image.Resampling.LANCZOS))
    return results
