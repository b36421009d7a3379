"""How a class of pipelines is called: which arguments it takes, read from its signature, and with which values."""

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from .presets import Preset

IMAGE_ARGUMENTS = ("image", "images", "input_image", "input_images")
IMAGE_GUIDANCE_ARGUMENTS = ("image_guidance_scale", "img_guidance_scale")
GUIDANCE_ARGUMENTS = ("guidance_scale", "true_cfg_scale")
# What the editor gives itself, or names in its own words.
OWN = {
    "prompt", "generator", "latents", "output_type", "return_dict", "num_images_per_prompt", "num_inference_steps",
    "height", "width", "max_area", *IMAGE_ARGUMENTS, *IMAGE_GUIDANCE_ARGUMENTS,
}  # fmt: skip


class PipelineCall:
    """
    The call of one class of pipelines, its values settled.

    Args:
        pipeline (`type`): class of diffusers.
        preset (`Preset`): for values that are not given. What the pipeline does not take of it is left out.
        steps, guidance, image_guidance, resolution (*optional*): given values.
        arguments (`Mapping[str, Any]`, *optional*): further ones of the pipeline's call.

    Attributes:
        parameters (`dict[str, Any]`): the values that decide the result.
        shares (`bool`): one call can make several images of one source, each with a generator of its own.
        pairs (`bool`): one call can edit several images, each with a prompt of its own.

    Raises:
        ValueError: the pipeline edits no images by instructions, or does not take what was given.
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
        self._defaults = {
            name: None if parameter.default is parameter.empty else parameter.default
            for name, parameter in signature.items()
            if name != "self" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        }
        self._image = next((name for name in IMAGE_ARGUMENTS if name in self._defaults), None)
        self._refuse_others()
        self.takes_size = {"height", "width"} <= set(self._defaults)
        generators = "generator" in self._defaults and "list" in str(signature["generator"].annotation).lower()
        self.shares = generators and "num_images_per_prompt" in self._defaults
        self.pairs = generators and preset.images_pair_with_prompts
        self._lists = generators

        self.resolution = preset.resolution if resolution is None else resolution
        self._further = self._settle_arguments(arguments or {})
        self._values = {
            **self._settle("steps", steps, preset.steps, ("num_inference_steps",)),
            **self._settle("guidance", guidance, preset.guidance, (preset.guidance_argument, *GUIDANCE_ARGUMENTS)),
            **self._settle("image_guidance", image_guidance, preset.image_guidance, IMAGE_GUIDANCE_ARGUMENTS),
            **self._further,
        }

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "pipeline": self.name,
            "steps": self._settled("num_inference_steps"),
            "guidance": self._settled(self.preset.guidance_argument, *GUIDANCE_ARGUMENTS),
            "image_guidance": self._settled(*IMAGE_GUIDANCE_ARGUMENTS),
            "resolution": self.resolution,
            "multiple": self.preset.multiple,
            "arguments": dict(self._further),
        }

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height at which the pipeline works on an image of `size`; see [`fit_size`]."""
        return fit_size(size, self.resolution, self.preset.multiple)

    def shared(self, image: Image.Image, instruction: str, generators: Sequence) -> dict[str, Any]:
        """Arguments of the call that makes one image for each generator, all of one source and instruction."""
        many = {"num_images_per_prompt": len(generators)} if self.shares else {}
        return {
            **self._common(image, generators),
            **many,
            "prompt": self.preset.prompt.format(instruction),
            self._image: [image] if self._image.endswith("s") else image,
        }

    def paired(
        self, images: Sequence[Image.Image], instructions: Sequence[str], generators: Sequence
    ) -> dict[str, Any]:
        """Arguments of the call that edits images of one size, each by its own instruction."""
        common = self._common(images[0], generators)
        for name, value in common.items():
            if name.startswith("negative_prompt") and isinstance(value, str):
                common[name] = [value] * len(images)  # of the same type as the prompt
        prompts = [self.preset.prompt.format(instruction) for instruction in instructions]
        return {**common, "prompt": prompts, self._image: list(images)}

    def _common(self, image: Image.Image, generators: Sequence) -> dict[str, Any]:
        width, height = image.size
        common = dict(self._values)
        if self.takes_size:
            common |= {"height": height, "width": width}
        if "max_area" in self._defaults:  # else the size is scaled to its default
            common["max_area"] = height * width
        if "generator" in self._defaults:
            common["generator"] = list(generators) if self._lists else generators[0]
        if "output_type" in self._defaults:
            common["output_type"] = "np"  # as PIL makes a black image of what is not finite
        return common

    def _refuse_others(self) -> None:
        if self._image is None:
            raise ValueError(
                f"{self.name} edits no images: its call takes none of {', '.join(IMAGE_ARGUMENTS)}. An editor is a "
                "pipeline for editing by instructions, such as timbrooks/instruct-pix2pix"
            )
        if "prompt" not in self._defaults:
            raise ValueError(f"{self.name} follows no instructions: its call takes no prompt")
        if "mask_image" in self._defaults:
            raise ValueError(f"{self.name} needs a mask of what to change, and an instruction is all there is")

    def _settle(self, option: str, given: Any, preset: Any, names: Sequence[str]) -> dict[str, Any]:
        """The argument for one of the editor's options, under the first of `names` that the pipeline takes."""
        if isinstance(given, float) and not math.isfinite(given):
            raise ValueError(f"{option}={given!r}: must be a finite number")
        name = next((name for name in names if name in self._defaults), None)
        if name is None:
            if given is not None:
                raise ValueError(f"{option}={given!r}: {self.name} takes no {names[0]}; it takes {self._takes()}")
            return {}
        if given is not None and name in self._further:
            raise ValueError(f"{option}={given!r} and arguments[{name!r}]={self._further[name]!r}: give one of them")
        value = preset if given is None else given
        return {} if value is None or name in self._further else {name: value}

    def _settle_arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in given.items():
            if name in OWN:
                raise ValueError(f"arguments[{name!r}]: the editor gives it itself (see its own options)")
            if name not in self._defaults:
                raise ValueError(f"arguments[{name!r}]: {self.name} takes no such argument; it takes {self._takes()}")
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                raise ValueError(
                    f"arguments[{name!r}]={value!r}: must be text, a number, true, false, none or a list of those"
                ) from None
        preset = {name: value for name, value in self.preset.arguments.items() if name in self._defaults}
        return {**preset, **given}

    def _settled(self, *names: str) -> Any:
        """The value under the first of `names` that the pipeline takes: ours, or its own default."""
        return next((self._values.get(name, self._defaults[name]) for name in names if name in self._defaults), None)

    def _takes(self) -> str:
        return ", ".join(name for name in self._defaults if name not in OWN - set(IMAGE_GUIDANCE_ARGUMENTS))


def fit_size(size: tuple[int, int], resolution: int, multiple: int) -> tuple[int, int]:
    """
    The size of an image at work: multiples, area about `resolution` squared, proportions as near as they allow.

    Args:
        size (`tuple[int, int]`): width and height, in pixels.
        resolution (`int`): side of a square of the wanted area.
        multiple (`int`): of which both sides are multiples.
    """
    width, height = size
    ideal = resolution * math.sqrt(width / height), resolution * math.sqrt(height / width)
    # The next multiples below and above of either side; of the four pairs that of the least error in proportions, then
    # in area.
    choices = [(wide, high) for wide in _neighbours(ideal[0], multiple) for high in _neighbours(ideal[1], multiple)]
    return min(choices, key=lambda pair: _error(pair, ideal))


def _neighbours(side: float, multiple: int) -> set[int]:
    return {max(1, rounded(side / multiple)) * multiple for rounded in (math.floor, math.ceil)}


def _error(pair: tuple[int, int], ideal: tuple[float, float]) -> tuple[float, float]:
    wide, high = math.log(pair[0] / ideal[0]), math.log(pair[1] / ideal[1])
    return round(abs(wide - high), 9), round(abs(wide + high), 9)
