"""How the known pipelines are called: sizes, steps, guidance, one row per family of models, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Preset:
    """
    How one family of models is called. What is `None` is left to the pipeline's own default.

    Args:
        pipeline (`str`): name of the diffusers class.
        ids (`tuple[str, ...]`, *optional*):
            names on the Hub, which come before the class; a folder is known by the last part of such a name. A preset
            without any is that of its class.
        resolution (`int`, *optional*, defaults to 1024):
            side, in pixels, of a square of the area of the working size.
        multiple (`int`, *optional*, defaults to 16): width and height are multiples of it.
        steps (`int`, *optional*): of denoising.
        guidance (`float`, *optional*): by the instruction.
        guidance_argument (`str`, *optional*, defaults to `"guidance_scale"`): what the pipeline calls it.
        image_guidance (`float`, *optional*): by the source image.
        arguments (`Mapping[str, Any]`, *optional*): further arguments of the pipeline's call.
        loading (`Mapping[str, Any]`, *optional*): further arguments of `from_pretrained`.
        prompt (`str`, *optional*, defaults to `"{}"`): what is made of an instruction.
        gpu_dtype (`str`, *optional*, defaults to `"bfloat16"`): of the weights on a GPU.
        images_pair_with_prompts (`bool`, *optional*, defaults to `False`):
            in a call with a list of images and a list of prompts they go together one by one. Else a list of images is
            several references for one prompt, or it is not known what it is.
        source (`str`): of the values.
    """

    pipeline: str
    source: str
    ids: tuple[str, ...] = ()
    resolution: int = 1024
    multiple: int = 16
    steps: int | None = None
    guidance: float | None = None
    guidance_argument: str = "guidance_scale"
    image_guidance: float | None = None
    arguments: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    loading: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    prompt: str = "{}"
    gpu_dtype: str = "bfloat16"
    images_pair_with_prompts: bool = False


INSTRUCT = {
    "pipeline": "StableDiffusionInstructPix2PixPipeline",
    "resolution": 512,
    "multiple": 8,  # the authors: 64, with a crop, which before and after would not survive aligned
    "steps": 100,
    "guidance": 7.5,
    "image_guidance": 1.5,
    "gpu_dtype": "float16",
    "images_pair_with_prompts": True,
}
INSTRUCT_XL = {
    "pipeline": "StableDiffusionXLInstructPix2PixPipeline",
    "multiple": 8,
    "gpu_dtype": "float16",
    "images_pair_with_prompts": True,
}
# The condition at the size of the output, not at the nearest of its 17 sizes: before and after stay aligned.
KONTEXT = {"_auto_resize": False}
# Its guidance works against a negative prompt, and is off without one.
QWEN = {"negative_prompt": " "}

PRESETS = (
    Preset(
        ids=("timbrooks/instruct-pix2pix",),
        source="edit_cli.py of timothybrooks/instruct-pix2pix: its defaults",
        **INSTRUCT,
    ),
    Preset(
        ids=("vinesmsuic/magicbrush-jul7", "vinesmsuic/magicbrush-paper"),
        source="edit_cli.py of OSU-NLP-Group/MagicBrush: its defaults; jul7 is MagicBrush-epoch-52-step-4999.ckpt",
        **INSTRUCT,
    ),
    Preset(source="as timbrooks/instruct-pix2pix; diffusers' defaults are the same", **INSTRUCT),
    Preset(
        ids=("diffusers/sdxl-instructpix2pix-768",),
        resolution=768,
        steps=30,
        guidance=3.0,
        image_guidance=1.5,
        source="model card, and docstring of the pipeline",
        **INSTRUCT_XL,
    ),
    Preset(
        # Published as one file, in stabilityai/cosxl: these are names of folders that the pipeline has saved, which
        # loses how it scales the latents of the source.
        ids=("cosxl-edit", "cosxl_edit"),
        loading={"is_cosxl_edit": True},
        steps=20,
        guidance=7.0,
        image_guidance=1.5,
        source="steps: diffusers' guide to loading cosxl_edit; guidance: a demo's, not verified with the authors",
        **INSTRUCT_XL,
    ),
    Preset(
        resolution=768,
        steps=100,
        guidance=5.0,
        image_guidance=1.5,
        source="defaults of the pipeline; resolution of diffusers/sdxl-instructpix2pix-768",
        **INSTRUCT_XL,
    ),
    Preset(
        pipeline="FluxKontextPipeline",
        steps=28,
        guidance=2.5,
        arguments=KONTEXT,
        source="black-forest-labs/FLUX.1-Kontext-dev: docstring and defaults of the pipeline",
    ),
    Preset(
        pipeline="Flux2Pipeline",
        steps=50,
        guidance=4.0,
        source="black-forest-labs/FLUX.2-dev: defaults of the pipeline; the card also gives 28 steps as a trade-off "
        "(not verified)",
    ),
    Preset(
        pipeline="Flux2KleinPipeline",
        ids=("black-forest-labs/FLUX.2-klein-4B", "black-forest-labs/FLUX.2-klein-9B"),
        steps=4,
        guidance=1.0,
        source="distilled in steps and guidance; values seen in programs that use it, not verified with the card",
    ),
    Preset(
        pipeline="Flux2KleinPipeline",
        steps=50,
        guidance=4.0,
        source="black-forest-labs/FLUX.2-klein-base-9B: docstring of the pipeline",
    ),
    Preset(
        pipeline="QwenImageEditPipeline",
        steps=50,
        guidance=4.0,
        guidance_argument="true_cfg_scale",
        arguments=QWEN,
        source="model card of Qwen/Qwen-Image-Edit, and defaults of the pipeline",
    ),
    Preset(
        pipeline="QwenImageEditPlusPipeline",
        steps=40,
        guidance=4.0,
        guidance_argument="true_cfg_scale",
        arguments=QWEN,
        source="model cards of Qwen/Qwen-Image-Edit-2509 and -2511 as programs quote them",
    ),
    Preset(
        pipeline="OmniGenPipeline",
        steps=50,
        guidance=2.0,
        image_guidance=1.6,
        arguments={"use_input_image_size_as_output": False},
        prompt="<img><|image_1|></img> {}",
        source="diffusers' guide to editing with OmniGen; steps: default of the pipeline",
    ),
)
# Whatever comes next: the pipeline's own steps and guidance.
DEFAULT = Preset(pipeline="", source="defaults of the pipeline; area and factor that most models of today share")
# Their main branch has pickles only; a pull request to it has the same weights as safetensors (seen in a program that
# loads them, not verified on the Hub).
REVISIONS = {"vinesmsuic/magicbrush-jul7": "refs/pr/2"}


def find_preset(model: str, pipeline: str) -> Preset:
    """
    The preset of a model: that of its name, else of its pipeline, else the default.

    Args:
        model (`str`): name on the Hub, or of a folder.
        pipeline (`str`): name of the diffusers class.
    """
    name = model.lower()
    family = [preset for preset in PRESETS if preset.pipeline == pipeline]
    for preset in family:
        known = [one.lower() for one in preset.ids]
        if name in known or name in [one.rpartition("/")[2] for one in known]:
            return preset
    return next((preset for preset in family if not preset.ids), DEFAULT)


def preset_revision(model: str) -> str | None:
    """The revision of a model on the Hub that is loaded if none is asked for; `None`: that of its main branch."""
    return REVISIONS.get(model.lower())
