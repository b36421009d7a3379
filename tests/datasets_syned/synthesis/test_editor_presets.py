"""The table of known pipelines against the installed diffusers, and sizes at work. No weights."""

import math

import diffusers
import pytest
from PIL import Image

from datasets_syned.synthesis.editors.pipeline_calls import PipelineCall, fit_size
from datasets_syned.synthesis.editors.presets import DEFAULT, PRESETS, find_preset, preset_revision

SOURCE = Image.new("RGB", (64, 48))


def call_of(name, **given):
    return PipelineCall(getattr(diffusers, name), find_preset("someone/model", name), **given)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: f"{preset.pipeline} {' '.join(preset.ids)}")
def test_diffusers_takes_all_that_a_preset_gives(preset):
    cls = getattr(diffusers, preset.pipeline)
    call = PipelineCall(cls, preset)
    said = call.parameters
    assert said["steps"] == preset.steps and said["guidance"] == preset.guidance
    assert said["image_guidance"] == preset.image_guidance
    assert said["arguments"] == dict(preset.arguments)
    made = call.shared(SOURCE, "add a dog", [1])
    assert made[preset.guidance_argument] == preset.guidance and made["num_inference_steps"] == preset.steps
    assert preset.source and preset.resolution % preset.multiple == 0
    assert "add a dog" in made["prompt"]


def test_every_name_and_every_class_is_there_once():
    names = [name.lower() for preset in PRESETS for name in preset.ids]
    assert len(names) == len(set(names))
    of_classes = [preset.pipeline for preset in PRESETS if not preset.ids]
    assert len(of_classes) == len(set(of_classes))
    assert {preset.pipeline for preset in PRESETS} == set(of_classes)


@pytest.mark.parametrize(
    ("model", "pipeline", "resolution", "steps", "guidance", "image_guidance"),
    [
        ("timbrooks/instruct-pix2pix", "StableDiffusionInstructPix2PixPipeline", 512, 100, 7.5, 1.5),
        ("vinesmsuic/magicbrush-jul7", "StableDiffusionInstructPix2PixPipeline", 512, 100, 7.5, 1.5),
        ("someone/tuned", "StableDiffusionInstructPix2PixPipeline", 512, 100, 7.5, 1.5),
        ("diffusers/sdxl-instructpix2pix-768", "StableDiffusionXLInstructPix2PixPipeline", 768, 30, 3.0, 1.5),
        ("cosxl-edit", "StableDiffusionXLInstructPix2PixPipeline", 1024, 20, 7.0, 1.5),
        ("black-forest-labs/FLUX.1-Kontext-dev", "FluxKontextPipeline", 1024, 28, 2.5, None),
        ("black-forest-labs/FLUX.2-dev", "Flux2Pipeline", 1024, 50, 4.0, None),
        ("black-forest-labs/FLUX.2-klein-4B", "Flux2KleinPipeline", 1024, 4, 1.0, None),
        ("flux.2-klein-9b", "Flux2KleinPipeline", 1024, 4, 1.0, None),
        ("black-forest-labs/FLUX.2-klein-base-4B", "Flux2KleinPipeline", 1024, 50, 4.0, None),
        ("Qwen/Qwen-Image-Edit", "QwenImageEditPipeline", 1024, 50, 4.0, None),
        ("Qwen/Qwen-Image-Edit-2509", "QwenImageEditPlusPipeline", 1024, 40, 4.0, None),
    ],
)
def test_known_models(model, pipeline, resolution, steps, guidance, image_guidance):
    preset = find_preset(model, pipeline)
    assert preset.pipeline == pipeline
    assert (preset.resolution, preset.steps, preset.guidance) == (resolution, steps, guidance)
    assert preset.image_guidance == image_guidance


def test_a_name_counts_for_its_own_class_only():
    assert find_preset("instruct-pix2pix", "FluxKontextPipeline").pipeline == "FluxKontextPipeline"


def test_whatever_comes_next_has_the_defaults_of_its_pipeline():
    assert find_preset("someone/new", "LongCatImageEditPipeline") is DEFAULT
    said = call_of("LongCatImageEditPipeline").parameters
    assert (said["steps"], said["guidance"], said["image_guidance"]) == (50, 4.5, None)
    assert call_of("DreamLitePipeline").parameters["image_guidance"] is not None


def test_only_known_classes_get_lists_of_images():
    pairing = {preset.pipeline for preset in PRESETS if call_of(preset.pipeline).pairs}
    assert pairing == {"StableDiffusionInstructPix2PixPipeline", "StableDiffusionXLInstructPix2PixPipeline"}
    assert all(call_of(preset.pipeline).shares for preset in PRESETS)
    assert not call_of("JoyImageEditPlusPipeline").shares  # it has no num_images_per_prompt


def test_words_of_other_pipelines():
    made = call_of("OmniGenPipeline").shared(SOURCE, "add a {dog}", [1, 2])
    assert made["prompt"] == "<img><|image_1|></img> add a {dog}"
    assert made["input_images"] == [SOURCE] and made["img_guidance_scale"] == 1.6
    made = call_of("QwenImageEditPipeline", guidance=3.0).shared(SOURCE, "add a dog", [1, 2])
    assert made["true_cfg_scale"] == 3.0 and made["negative_prompt"] == " " and "guidance_scale" not in made
    assert (made["height"], made["width"], made["num_images_per_prompt"]) == (48, 64, 2)
    made = call_of("FluxKontextPipeline").shared(SOURCE, "add a dog", [1])
    assert made["max_area"] == 48 * 64 and made["_auto_resize"] is False


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("StableDiffusionPipeline", "edits no images"),
        ("FluxPipeline", "edits no images"),
        ("LEditsPPPipelineStableDiffusion", "edits no images"),
        ("FluxKontextInpaintPipeline", "needs a mask"),
        ("StableDiffusionImageVariationPipeline", "takes no prompt"),
    ],
)
def test_pipelines_that_do_not_edit_by_instructions(name, words):
    with pytest.raises(ValueError, match=words):
        call_of(name)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("FluxKontextPipeline", {"image_guidance": 1.5}, "takes no image_guidance_scale; it takes .*true_cfg_scale"),
        ("FluxKontextPipeline", {"arguments": {"eta": 0.5}}, r"arguments\['eta'\].* takes no such argument; it takes"),
        ("FluxKontextPipeline", {"arguments": {"height": 8}}, "the editor gives it itself"),
        ("FluxKontextPipeline", {"arguments": {"sigmas": SOURCE}}, "must be text, a number"),
        ("FluxKontextPipeline", {"arguments": {"true_cfg_scale": float("nan")}}, "must be text, a number"),
        ("FluxKontextPipeline", {"guidance": float("nan")}, "guidance=nan: must be a finite number"),
        ("QwenImageEditPipeline", {"guidance": 2.0, "arguments": {"true_cfg_scale": 3.0}}, "give one of them"),
    ],
)
def test_what_a_pipeline_does_not_take(name, given, words):
    with pytest.raises(ValueError, match=words):
        call_of(name, **given)


def test_given_arguments_come_before_the_presets():
    call = call_of("QwenImageEditPipeline", arguments={"negative_prompt": "blurred", "true_cfg_scale": 3.0})
    assert call.parameters["arguments"] == {"negative_prompt": "blurred", "true_cfg_scale": 3.0}
    assert call.parameters["guidance"] == 3.0
    assert call.shared(SOURCE, "x", [1])["true_cfg_scale"] == 3.0


def test_the_main_branch_of_magicbrush_has_pickles():
    assert preset_revision("vinesmsuic/MagicBrush-jul7") == "refs/pr/2"
    assert preset_revision("timbrooks/instruct-pix2pix") is None


@pytest.mark.parametrize(
    ("size", "resolution", "multiple", "expected"),
    [
        ((512, 512), 512, 8, (512, 512)),
        ((4000, 4000), 512, 64, (512, 512)),
        ((640, 480), 512, 8, (584, 440)),
        ((480, 640), 512, 8, (440, 584)),
        ((300, 100), 64, 8, (112, 40)),
        ((1, 1000), 64, 8, (8, 2024)),
    ],
)
def test_working_sizes(size, resolution, multiple, expected):
    assert fit_size(size, resolution, multiple) == expected


@pytest.mark.parametrize("multiple", [8, 16, 64])
@pytest.mark.parametrize("resolution", [512, 1024])
def test_proportions_and_area_are_kept(resolution, multiple):
    for width in range(200, 2000, 77):
        for height in range(max(200, width // 2), min(2000, 2 * width), 83):
            wide, high = fit_size((width, height), resolution, multiple)
            assert wide % multiple == high % multiple == 0
            assert abs(math.log(wide * high / resolution**2)) < 3 * multiple / resolution
            assert abs(math.log((wide / high) / (width / height))) < multiple / resolution
