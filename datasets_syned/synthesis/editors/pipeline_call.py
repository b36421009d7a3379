"""How a class of pipelines is called: with which arguments, and at which size."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from .presets import Preset

IMAGE_GUIDANCE = "image_guidance_scale"
# What the editor gives itself, or has an option for.
OWN = {
    "self", "prompt", "image", "generator", "latents", "output_type", "return_dict", "num_images_per_prompt",
    "height", "width", "max_area",
}  # fmt: skip


class PipelineCall:
    """
    The call of one class of pipelines, by a preset and what is given in its place. `parameters` has the values that
    decide the result. Raises a `ValueError` if the pipeline takes no image and prompt, or not what is given.
    """

    def __init__(
        self,
        pipeline: type,
        preset: Preset,
        steps: int | None = None,
        guidance: float | None = None,
        image_guidance: float | None = None,
        resolution: int | None = None,
        arguments: Mapping[str, Any] | None = None,
    ):
        self.name, self.preset = pipeline.__name__, preset
        self._takes = inspect.signature(pipeline.__call__).parameters
        if missing := {"image", "prompt"} - set(self._takes):
            raise ValueError(f"{self.name} cannot edit images by instructions: it takes no {' and no '.join(missing)}")
        if preset.own_size and resolution not in (None, preset.resolution):
            raise ValueError(f"resolution={resolution}: {self.name} always works at {preset.resolution}")
        self.resolution = resolution or preset.resolution
        named = {"num_inference_steps": steps, preset.guidance: guidance, IMAGE_GUIDANCE: image_guidance}
        given = {name: value for name, value in named.items() if value is not None}
        self._values = {**preset.call, **given, **(arguments or {})}
        accepted = [name for name in self._takes if name not in OWN]
        if unknown := [name for name in self._values if name not in accepted]:
            raise ValueError(f"{self.name} takes no argument {unknown[0]}; it takes {', '.join(accepted)}")
        own = {name: self._takes[name].default for name in named if name in self._takes}
        values = [{**own, **self._values}.get(name) for name in named]
        self.parameters = {
            "pipeline": self.name,
            **dict(zip(("steps", "guidance", "image_guidance"), values, strict=True)),
            "resolution": self.resolution,
            "arguments": {name: value for name, value in self._values.items() if name not in named},
        }

    def source(self, image: Image.Image) -> Image.Image:
        """An RGB image at the size at which the pipeline works."""
        if self.preset.own_size:
            return image
        return resized(image, fit_size(image.size, self.resolution, self.preset.multiple))

    def arguments(
        self, images: Sequence[Image.Image], prompts: Sequence[str], generators: Sequence[Any]
    ) -> dict[str, Any]:
        """
        Arguments of the call that makes one image for each generator: of one image, or of as many as there are
        generators, all of one size; with a prompt for each image.
        """
        values = {**self._values, "generator": list(generators), "output_type": "np"}  # PIL makes black of NaN
        width, height = images[0].size
        if not self.preset.own_size and {"height", "width"} <= set(self._takes):
            values |= {"height": height, "width": width}
        if "max_area" in self._takes:  # else the size is scaled to its default
            values["max_area"] = height * width
        if len(images) > 1:
            negative = {name: value for name, value in values.items() if name.startswith("negative_prompt")}
            values |= {name: [value] * len(images) for name, value in negative.items() if isinstance(value, str)}
            return {**values, "image": list(images), "prompt": list(prompts)}
        if self.preset.variants:
            values["num_images_per_prompt"] = len(generators)
        else:
            values["generator"] = generators[0]
        return {**values, "image": images[0], "prompt": prompts[0]}


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def fit_size(size: tuple[int, int], resolution: int, multiple: int) -> tuple[int, int]:
    """
    Width and height of an image at work: multiples of a number, with an area of at most `resolution` squared.
    Pipelines shrink a larger source on their own, and it would no longer lie where the result does.
    """
    scale = resolution / math.sqrt(size[0] * size[1]) / multiple
    width, height = (max(1, int(side * scale)) * multiple for side in size)
    return width, height
