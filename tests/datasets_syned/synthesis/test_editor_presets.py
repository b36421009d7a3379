"""Every pipeline that the table of presets and the docs name: tiny ones of the real classes; and sizes at work."""

import math
import re

import diffusers
import numpy as np
import pytest
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image

from datasets_syned.synthesis.editors import load_editor
from datasets_syned.synthesis.editors.pipeline_call import PipelineCall, fit_size
from datasets_syned.synthesis.editors.presets import PRESETS, find_preset
from tests.support import tiny_pipelines
from tests.support.source_tree import ROOT

SAVE = {
    "StableDiffusionInstructPix2PixPipeline": tiny_pipelines.save_instruct_pix2pix,
    "StableDiffusionXLInstructPix2PixPipeline": tiny_pipelines.save_sdxl_instruct_pix2pix,
    "FluxKontextPipeline": tiny_pipelines.save_flux_kontext,
    "Flux2Pipeline": tiny_pipelines.save_flux2,
    "Flux2KleinPipeline": tiny_pipelines.save_flux2_klein,
    **{
        name: lambda folder, name=name: tiny_pipelines.save_qwen_edit(folder, getattr(diffusers, name))
        for name in ("QwenImageEditPipeline", "QwenImageEditPlusPipeline")
    },
}
PICTURE = Image.radial_gradient("L").convert("RGB").resize((90, 70))


@pytest.fixture(params=SAVE)
def editor(request, tmp_path, monkeypatch):
    """An editor of each class, at the area of 96 x 96 or 128 x 128 pixels."""
    tiny_pipelines.without_videos(monkeypatch)
    for module in (pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus):  # which choose an area of 1024 x 1024
        sizes = module.calculate_dimensions
        monkeypatch.setattr(module, "calculate_dimensions", lambda area, ratio, of=sizes: of(128 * 128, ratio))
    size = {} if request.param.startswith("Qwen") else {"resolution": 96}
    return load_editor(str(SAVE[request.param](tmp_path / "tiny")), steps=2, **size)


def test_every_known_pipeline_edits(editor):
    pipe, shapes = editor.load(), []
    pipe.vae.encoder.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape[-2:]))
    pipe.vae.decoder.register_forward_hook(lambda _, args, made: shapes.append(made.shape[-2:]))
    turned = PICTURE.rotate(90, expand=True)
    rows = [(PICTURE, "make it snow", 1), (PICTURE, "make it snow", 2), (PICTURE, "add 1 dog", 1)]
    rows.append((turned, "add 1 dog", 1))
    together = editor.edit(*zip(*rows, strict=True))
    assert [image.size for image in together] == [(90, 70)] * 3 + [(70, 90)]
    together[3] = together[3].rotate(-90, expand=True)
    for row, image in list(zip(rows, together, strict=True))[1::2]:
        (alone,) = editor.edit(*([value] for value in row))
        alone = alone if row[0] is PICTURE else alone.rotate(-90, expand=True)
        seen = sorted(abs(np.asarray(alone, int) - np.asarray(other, int)).max() for other in together)
        assert seen[0] <= 2 and seen[1] > 10 and abs(np.asarray(alone, int) - np.asarray(image, int)).max() <= 2
    assert len(set(shapes)) == 2  # upright and lying: the source has the size of the result
    multiple = find_preset("", editor.parameters["pipeline"]).multiple
    assert all(side % multiple == 0 for shape in shapes for side in shape)


def test_the_docs_name_what_is_tested():
    assert {preset.pipeline for preset in PRESETS} == set(SAVE)
    text = (ROOT / "docs" / "synthesis.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\w+Pipeline)`", text)) == set(SAVE)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: f"{preset.pipeline} {' '.join(preset.ids)}")
def test_diffusers_takes_all_that_a_preset_gives(preset):
    cls = getattr(diffusers, preset.pipeline)
    call = PipelineCall(cls, preset, **{"steps": 3, "guidance": 2.0}).arguments([PICTURE], ["add a dog"], [1])
    assert call["num_inference_steps"] == 3 and call[preset.guidance] == 2.0 and call["image"] is PICTURE
    assert set(call) <= set(PipelineCall(cls, preset)._takes) and call["prompt"] == "add a dog"
    assert preset.source and preset.resolution % preset.multiple == 0


def test_every_name_and_every_class_is_there_once():
    names = [name.lower() for preset in PRESETS for name in preset.ids]
    assert len(names) == len(set(names))
    of_classes = [preset.pipeline for preset in PRESETS if not preset.ids]
    assert len(of_classes) == len(set(of_classes)) and set(of_classes) == {preset.pipeline for preset in PRESETS}


@pytest.mark.parametrize(
    ("model", "pipeline", "resolution", "steps", "guidance", "image_guidance"),
    [
        ("timbrooks/instruct-pix2pix", "StableDiffusionInstructPix2PixPipeline", 512, 100, 7.5, 1.5),
        ("someone/tuned", "StableDiffusionInstructPix2PixPipeline", 512, 100, 7.5, 1.5),
        ("diffusers/sdxl-instructpix2pix-768", "StableDiffusionXLInstructPix2PixPipeline", 768, 30, 3.0, 1.5),
        ("cosxl-edit", "StableDiffusionXLInstructPix2PixPipeline", 1024, 20, 7.0, 1.5),
        ("someone/sdxl", "StableDiffusionXLInstructPix2PixPipeline", 768, 100, 5.0, 1.5),
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
    said = PipelineCall(getattr(diffusers, pipeline), preset).parameters
    assert said["pipeline"] == pipeline and said["resolution"] == resolution
    assert (said["steps"], said["guidance"], said["image_guidance"]) == (steps, guidance, image_guidance)


def test_a_pipeline_that_chooses_its_size_cannot_be_told_another():
    with pytest.raises(ValueError, match="resolution=512: QwenImageEditPipeline always works at 1024"):
        PipelineCall(diffusers.QwenImageEditPipeline, find_preset("", "QwenImageEditPipeline"), resolution=512)


def test_only_known_classes_get_lists_of_images():
    pairing = {preset.pipeline for preset in PRESETS if preset.pairs}
    assert pairing == {"StableDiffusionInstructPix2PixPipeline", "StableDiffusionXLInstructPix2PixPipeline"}


@pytest.mark.parametrize(
    ("size", "resolution", "multiple", "expected"),
    [
        ((512, 512), 512, 8, (512, 512)),
        ((4000, 4000), 512, 64, (512, 512)),
        ((640, 480), 512, 8, (584, 440)),
        ((480, 640), 512, 8, (440, 584)),
        ((300, 100), 64, 8, (104, 32)),
        ((1, 1000), 64, 8, (8, 2016)),
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
            assert wide % multiple == high % multiple == 0 and wide * high <= resolution**2
            assert abs(math.log(wide * high / resolution**2)) < 4 * multiple / resolution
            assert abs(math.log((wide / high) / (width / height))) < 1.5 * multiple / resolution
