"""The pipelines that are known to edit images by instructions, and how their authors call them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """How one family of models is called. What is not given is left to the pipeline's own default."""

    pipeline: str  # name of the diffusers class
    source: str  # where the values are from
    # Names on the Hub or of folders, without their owner and in small letters; none for all others of the class.
    ids: tuple[str, ...] = ()
    resolution: int = 1024  # side of a square of the area at which the pipeline works
    multiple: int = 16  # width and height are multiples of it
    own_size: bool = False  # the pipeline resizes the source itself, and with another size is no longer aligned
    call: Mapping[str, Any] = field(default_factory=dict)  # arguments of the pipeline's call
    guidance: str = "guidance_scale"  # what the call names the guidance by the prompt
    loading: Mapping[str, Any] = field(default_factory=dict)  # arguments of `from_pretrained`
    gpu_dtype: str = "bfloat16"
    variants: bool = True  # one call makes several images of one source and prompt
    # One call takes images and prompts that go together. To others, images are several references for one prompt.
    pairs: bool = False


def instruct(steps: int, guidance: float, resolution: int, **more: Any) -> Preset:
    """A preset of InstructPix2Pix. Its authors crop to multiples of 64, which would move the edited image."""
    call = {"num_inference_steps": steps, "guidance_scale": guidance, "image_guidance_scale": 1.5}
    more = {"pipeline": "StableDiffusionXLInstructPix2PixPipeline", **more}
    return Preset(call=call, resolution=resolution, multiple=8, gpu_dtype="float16", pairs=True, **more)


def steps_and_guidance(pipeline: str, steps: int, guidance: float, **more: Any) -> Preset:
    return Preset(pipeline, call={"num_inference_steps": steps, "guidance_scale": guidance}, **more)


def qwen(pipeline: str, steps: int, source: str) -> Preset:
    """A preset of Qwen-Image-Edit, whose guidance is off without a negative prompt."""
    call = {"num_inference_steps": steps, "true_cfg_scale": 4.0, "negative_prompt": " "}
    return Preset(pipeline, source, call=call, guidance="true_cfg_scale", own_size=True, multiple=32)


PRESETS = (
    instruct(
        100, 7.5, 512,
        pipeline="StableDiffusionInstructPix2PixPipeline",
        source="defaults of edit_cli.py in timothybrooks/instruct-pix2pix and in OSU-NLP-Group/MagicBrush",
    ),
    instruct(
        30, 3.0, 768,
        ids=("sdxl-instructpix2pix-768",),
        source="model card, and docstring of the pipeline",
    ),
    instruct(
        # Published as one file, in stabilityai/cosxl: these are names of folders that the pipeline has saved, which
        # loses how it scales the latents of the source.
        20, 7.0, 1024,
        ids=("cosxl-edit", "cosxl_edit"),
        loading={"is_cosxl_edit": True},
        source="steps: diffusers' guide to loading cosxl_edit; guidance: a demo's, not verified with the authors",
    ),
    instruct(100, 5.0, 768, source="defaults of the pipeline; resolution of diffusers/sdxl-instructpix2pix-768"),
    Preset(
        "FluxKontextPipeline",
        # The condition has the size of the output, not the nearest of 17 sizes: before and after stay aligned.
        call={"num_inference_steps": 28, "guidance_scale": 2.5, "_auto_resize": False},
        source="black-forest-labs/FLUX.1-Kontext-dev: docstring and defaults of the pipeline",
    ),
    steps_and_guidance("Flux2Pipeline", 50, 4.0, source="black-forest-labs/FLUX.2-dev: defaults of the pipeline"),
    steps_and_guidance(
        "Flux2KleinPipeline", 4, 1.0,
        ids=("flux.2-klein-4b", "flux.2-klein-9b"),
        source="distilled in steps and guidance; values seen in programs that use it, not verified with the card",
    ),
    steps_and_guidance(
        "Flux2KleinPipeline", 50, 4.0, source="black-forest-labs/FLUX.2-klein-base-9B: docstring of the pipeline"
    ),
    qwen("QwenImageEditPipeline", 50, "model card of Qwen/Qwen-Image-Edit, and defaults of the pipeline"),
    qwen("QwenImageEditPlusPipeline", 40, "model cards of Qwen/Qwen-Image-Edit-2509 and -2511 as programs quote them"),
)  # fmt: skip
# Their main branch has pickles only; a pull request to it has the same weights as safetensors (seen in a program that
# loads them, not verified on the Hub).
REVISIONS = {"vinesmsuic/magicbrush-jul7": "refs/pr/2"}


def find_preset(model: str, pipeline: str) -> Preset | None:
    """The preset of a model by its name, else of its pipeline (a class of diffusers), else `None`."""
    family = [preset for preset in PRESETS if preset.pipeline == pipeline]
    named = [preset for preset in family if model.lower().rpartition("/")[2] in preset.ids]
    return next(iter([*named, *(preset for preset in family if not preset.ids)]), None)
