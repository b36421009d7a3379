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
    "prompt", "image", "generator", "latents", "output_type", "return_dict", "num_images_per_prompt", "height",
    "width", "max_area",
}  # fmt: skip


class PipelineCall:
    """
    The call of one class of pipelines.

    Args:
        pipeline (`type`): class of diffusers.
        preset (`Preset`): for what is not given.
        steps, guidance, image_guidance, resolution (*optional*): given values.
        arguments (`Mapping[str, Any]`, *optional*): further ones of the pipeline's call.

    Attributes:
        parameters (`dict[str, Any]`): the values that decide the result.

    Raises:
        ValueError: the pipeline takes no image and prompt, or does not take what is given.
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
        signature = inspect.signature(pipeline.__call__).parameters
        self._takes = {name: parameter.default for name, parameter in signature.items() if name != "self"}
        if missing := {"image", "prompt"} - set(self._takes):
            raise ValueError(f"{self.name} cannot edit images by instructions: it takes no {' and no '.join(missing)}")
        if preset.own_size and resolution not in (None, preset.resolution):
            raise ValueError(f"resolution={resolution}: {self.name} always works at {preset.resolution}")
        self.resolution = resolution or preset.resolution
        named = {"num_inference_steps": steps, preset.guidance: guidance, IMAGE_GUIDANCE: image_guidance}
        given = {name: value for name, value in named.items() if value is not None}
        arguments = dict(arguments or {})
        if twice := set(given) & set(arguments):
            raise ValueError(f"arguments name {', '.join(twice)}, which an option gives as well: give one of them")
        accepted = [name for name in self._takes if name not in OWN]
        if unknown := [name for name in (*given, *arguments) if name not in accepted]:
            raise ValueError(f"{self.name} takes no argument {unknown[0]}; it takes {', '.join(accepted)}")
        self._values = {**preset.call, **given, **arguments}
        self.parameters = {
            "pipeline": self.name,
            "steps": self._value("num_inference_steps"),
            "guidance": self._value(preset.guidance),
            "image_guidance": self._value(IMAGE_GUIDANCE),
            "resolution": self.resolution,
            "arguments": {name: value for name, value in self._values.items() if name not in named},
        }

    def _value(self, name: str) -> Any:
        """Of an argument: ours, or the pipeline's own default."""
        return self._values.get(name, self._takes.get(name))

    def source(self, image: Image.Image) -> Image.Image:
        """An RGB image at the size at which the pipeline works."""
        if self.preset.own_size:
            return image
        return resized(image, fit_size(image.size, self.resolution, self.preset.multiple))

    def arguments(
        self, images: Sequence[Image.Image], prompts: Sequence[str], generators: Sequence[Any]
    ) -> dict[str, Any]:
        """
        Arguments of the call that makes one image for each generator.

        Args:
            images (`Sequence[Image]`): one for all, or as many as there are generators; all of one size.
            prompts (`Sequence[str]`): one for each image.
            generators (`Sequence[torch.Generator]`): one for each result.
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
    The size of an image at work: multiples, an area of at most `resolution` squared (pipelines shrink a larger source
    on their own, and it would no longer lie where the result does), proportions as near as these allow.

    Args:
        size (`tuple[int, int]`): width and height, in pixels.
        resolution (`int`): side of a square of the wanted area.
        multiple (`int`): of which both sides are multiples.
    """
    width, height = size
    ideal = resolution * math.sqrt(width / height), resolution * math.sqrt(height / width)
    low, high = (
        [max(1, rounded(side / multiple)) * multiple for side in ideal] for rounded in (math.floor, math.ceil)
    )
    choices = {(wide, tall) for wide in (low[0], high[0]) for tall in (low[1], high[1])}
    fitting = [(wide, tall) for wide, tall in choices if wide * tall <= resolution**2]

    def error(pair: tuple[int, int]) -> tuple[float, int]:
        return round(abs(math.log(pair[0] / pair[1] * height / width)), 9), -pair[0] * pair[1]

    return min(fitting or [tuple(low)], key=error)
