"""The editor of diffusers pipelines: tiny real ones, saved to disk and loaded as those of the Hub are."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import load_dataset
from diffusers import (
    DiffusionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
)
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image, ImageOps
from safetensors.torch import save_file

from datasets_syned.__main__ import main
from datasets_syned.synthesis.editors import EditError, load_editor
from datasets_syned.synthesis.editors.diffusers_editor import DiffusersEditor
from tests.support.hub_server import HubServer, run
from tests.support.source_tree import ROOT
from tests.support.tiny_pipelines import save_flux_kontext, save_instruct_pix2pix

SMALL = {"resolution": 64, "steps": 2}
WORDS = ["paint it red", "add a dog"]


def picture(seed, size=(64, 64)):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


ONE, TWO = picture(1), picture(2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of the two classes, by their names."""
    root = tmp_path_factory.mktemp("editors")
    return {
        "pix2pix": save_instruct_pix2pix(root / "tiny-pix2pix", ancestral=True),
        "kontext": save_flux_kontext(root / "tiny-kontext"),
    }


@pytest.fixture(scope="module", params=["pix2pix", "kontext"])
def pair(request, folders):
    """An editor, and the plain pipeline of the same folder with the arguments that it should be called with."""
    plain = DiffusionPipeline.from_pretrained(folders[request.param])
    plain.set_progress_bar_config(disable=True)
    if request.param == "pix2pix":
        given = {"guidance_scale": 7.5, "image_guidance_scale": 1.5}
    else:
        given = {"guidance_scale": 2.5, "height": 64, "width": 64, "max_area": 64 * 64, "_auto_resize": False}
    return DiffusersEditor(str(folders[request.param]), **SMALL), plain, {**given, "num_inference_steps": 2}


@pytest.fixture
def editor(folders):
    return DiffusersEditor(str(folders["pix2pix"]), **SMALL)


def difference(one, other):
    """The largest difference of two images in any pixel, of 255."""
    one, other = (np.asarray(image, dtype=int) for image in (one, other))
    assert one.shape == other.shape
    return int(abs(one - other).max())


def alone(plain, given, image, instruction, seed):
    """What one call of the plain pipeline makes."""
    return plain(prompt=instruction, image=image, generator=torch.Generator().manual_seed(seed), **given).images[0]


def batches(module):
    """Notes the batch size of every call of a module."""
    seen = []
    module.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len([*args, *kwargs.values()][0])), with_kwargs=True
    )
    return seen


def test_two_sources_with_two_variants_are_as_four_calls(pair):
    editor, plain, given = pair
    rows = [(ONE, WORDS[0], 1), (ONE, WORDS[0], 2), (TWO, WORDS[1], 3), (TWO, WORDS[1], 4)]
    results = editor.edit(*zip(*rows, strict=True))
    expected = [alone(plain, given, *row) for row in rows]
    for result, right in zip(results, expected, strict=True):
        assert result.mode == "RGB" and difference(result, right) <= 2
        # The others are far away: a mix-up of sources, instructions or seeds would show.
        assert sorted(difference(result, other) for other in expected)[1] > 25


def test_instruction_and_source_alone_would_show(pair):
    _, plain, given = pair
    image = alone(plain, given, ONE, WORDS[0], 1)
    assert difference(image, alone(plain, given, ONE, WORDS[1], 1)) > 10
    assert difference(image, alone(plain, given, TWO, WORDS[0], 1)) > 10


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_neither_batch_nor_order_matters(pair, batch_size):
    editor, plain, given = pair
    editor.batch_size = batch_size
    rows = [(image, words, seed) for seed, image in enumerate((ONE, TWO) * 2) for words in WORDS]
    rows += [(ONE, WORDS[0], 10), (ONE, WORDS[0], 11)]
    order = np.random.default_rng(batch_size).permutation(len(rows))
    results = editor.edit(*zip(*(rows[i] for i in order), strict=True))
    editor.batch_size = 8
    expected = {i: alone(plain, given, *rows[i]) for i in order[::4]}
    assert all(difference(results[list(order).index(i)], image) <= 2 for i, image in expected.items())


def test_variants_share_what_is_the_same(pair):
    editor, _, _ = pair
    pipe = editor.load()
    vae, text = batches(pipe.vae.encoder), batches(pipe.text_encoder)
    denoiser = batches(getattr(pipe, "transformer", None) or pipe.unet)
    editor.edit([ONE] * 8, [WORDS[0]] * 8, range(8))
    assert vae == [1] and sum(text) == sum(text[:2]) <= 2  # the instruction, and an empty one for the guidance
    assert set(denoiser) == {8 if hasattr(pipe, "transformer") else 24}


def test_single_rows_are_one_call_where_images_pair_with_prompts(pair):
    editor, _, _ = pair
    pipe = editor.load()
    vae = batches(pipe.vae.encoder)
    editor.edit([ONE, TWO, picture(3)], [*WORDS, WORDS[0]], range(3))
    assert vae == ([1, 1, 1] if hasattr(pipe, "transformer") else [3])


def test_an_equal_image_is_not_the_same_source(editor):
    first, second = editor.edit([ONE, ONE.copy()], [WORDS[0]] * 2, [5, 5])
    assert difference(first, second) <= 2


def test_a_sequence_that_makes_its_images_anew(editor):
    class Lazy:
        def __len__(self):
            return 6

        def __getitem__(self, i):
            if i >= 6:
                raise IndexError
            return picture(i)

    results = editor.edit(Lazy(), [WORDS[0]] * 6, [9] * 6)
    whole = editor.edit([picture(5)], [WORDS[0]], [9])[0]
    assert difference(results[5], whole) <= 2 and difference(results[0], whole) > 10


@pytest.mark.parametrize(("size", "mode"), [((640, 480), "RGB"), ((47, 96), "RGBA"), ((64, 64), "L"), ((30, 30), "P")])
def test_results_have_the_size_of_their_source(editor, size, mode):
    result = editor.edit([picture(3, size).convert(mode)], [WORDS[0]], [1])[0]
    assert (result.size, result.mode) == (size, "RGB")


def test_rows_of_different_sizes(editor):
    sources = [ONE, picture(3, (640, 480)), picture(4, (320, 240)), TWO]
    results = editor.edit(sources, WORDS * 2, range(4))
    assert [result.size for result in results] == [source.size for source in sources]
    assert difference(results[1], editor.edit(sources[1:2], WORDS[1:], [1])[0]) <= 2


def test_what_the_safety_checker_refuses(tmp_path, caplog):
    folder = save_instruct_pix2pix(tmp_path / "strict", safety_checker=True)
    results = DiffusersEditor(str(folder), **SMALL).edit([ONE, ONE, TWO], [WORDS[0]] * 3, range(3))
    assert [str(result) for result in results] == ["the pipeline's safety checker refused it"] * 3
    assert all(isinstance(result, EditError) for result in results) and not caplog.records


@pytest.mark.parametrize(("value", "words"), [(float("nan"), "not finite"), (-5.0, "black image")])
def test_an_image_that_came_out_empty(editor, value, words):
    def spoil(module, args, output):
        output[1] = value
        return output

    editor.load().vae.decoder.register_forward_hook(spoil)
    good, bad, other = editor.edit([ONE] * 3, [WORDS[0]] * 3, range(3))
    assert isinstance(bad, EditError) and words in str(bad)
    assert good.size == other.size == (64, 64)


def limit_memory(editor, rows, error):
    """From now on the UNet fails with more than `rows` images; returns what batch sizes it saw."""
    seen, pipe = [], editor.load()

    def fail(module, args):
        seen.append(len(args[0]) // 3)  # guidance by instruction and image: three for each
        if seen[-1] > rows:
            raise error

    pipe.unet.register_forward_pre_hook(fail)
    return seen


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to"),
    ],
)
def test_out_of_memory_halves_the_batch_for_good(editor, error):
    rows = [(ONE, WORDS[0], seed) for seed in range(5)] + [(TWO, WORDS[seed % 2], seed) for seed in range(3)]
    expected = editor.edit(*zip(*rows, strict=True))
    seen = limit_memory(editor, 2, error)
    results = editor.edit(*zip(*rows, strict=True))
    assert editor.batch_size == 2
    assert all(difference(one, other) <= 2 for one, other in zip(results, expected, strict=True))
    assert max(seen) == 5  # once
    seen.clear()
    editor.edit(*zip(*rows, strict=True))
    assert max(seen) == 2


def test_out_of_memory_with_one_image(editor):
    limit_memory(editor, 0, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    with pytest.raises(torch.OutOfMemoryError):
        editor.edit([ONE] * 4, [WORDS[0]] * 4, range(4))


def test_other_errors_are_not_taken_for_it(editor):
    limit_memory(editor, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        editor.edit([ONE] * 4, [WORDS[0]] * 4, range(4))
    assert editor.batch_size == 8


def test_given_values_reach_the_pipeline(folders):
    given = {"guidance": 3.0, "image_guidance": 1.1, "arguments": {"negative_prompt": "grey", "eta": 0.0}}
    editor = DiffusersEditor(str(folders["pix2pix"]), resolution=64, steps=3, **given)
    plain = DiffusionPipeline.from_pretrained(folders["pix2pix"])
    plain.set_progress_bar_config(disable=True)
    call = {"num_inference_steps": 3, "guidance_scale": 3.0, "image_guidance_scale": 1.1, "negative_prompt": "grey"}
    rows = [(ONE, WORDS[0], 1), (ONE, WORDS[0], 2), (TWO, WORDS[1], 3), (ONE, WORDS[1], 4)]  # shared and paired
    for result, row in zip(editor.edit(*zip(*rows, strict=True)), rows, strict=True):
        assert difference(result, alone(plain, call, *row)) <= 2
    assert editor.parameters == {
        "pipeline": "StableDiffusionInstructPix2PixPipeline", "steps": 3, "guidance": 3.0, "image_guidance": 1.1,
        "resolution": 64, "dtype": "float32", "arguments": {"negative_prompt": "grey", "eta": 0.0},
    }  # fmt: skip
    json.dumps(editor.parameters)


def test_parameters_of_a_pipeline_without_image_guidance(folders):
    said = DiffusersEditor(str(folders["kontext"])).parameters
    assert (said["steps"], said["guidance"], said["image_guidance"], said["resolution"]) == (28, 2.5, None, 1024)


def test_true_guidance_of_kontext(folders):
    words = {"arguments": {"true_cfg_scale": 4.0, "negative_prompt": "a dog"}}
    with_it = DiffusersEditor(str(folders["kontext"]), **SMALL, **words).edit([ONE, ONE], [WORDS[0]] * 2, [1, 2])
    without = DiffusersEditor(str(folders["kontext"]), **SMALL).edit([ONE, ONE], [WORDS[0]] * 2, [1, 2])
    assert difference(with_it[1], without[1]) > 10


def test_half_precision_on_a_cpu(folders):
    editor = DiffusersEditor(str(folders["pix2pix"]), **SMALL, dtype="bfloat16")
    assert editor.parameters["dtype"] == "bfloat16" and editor.load().unet.dtype == torch.bfloat16
    assert editor.edit([ONE], [WORDS[0]], [1])[0].size == (64, 64)


def test_what_it_is_is_known_without_weights(folders, tmp_path):
    folder = tmp_path / "no-weights"
    shutil.copytree(folders["pix2pix"], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    editor = DiffusersEditor(str(folder), steps=7)
    assert editor.id == "no-weights" and editor.parameters["steps"] == 7
    assert editor.revision.startswith("sha256:") and set(editor.versions) == {"diffusers", "transformers", "torch"}
    with pytest.raises(ValueError, match="'no-weights' cannot be loaded: .* no file named .*safetensors"):
        editor.edit([ONE], [WORDS[0]], [1])


def test_the_revision_of_a_folder_is_of_its_files(folders, tmp_path):
    before = DiffusersEditor(str(folders["pix2pix"])).revision
    copy = shutil.copytree(folders["pix2pix"], tmp_path / "copy")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "times.json").write_text("1")
    assert DiffusersEditor(str(copy)).revision == before and len(before) == len("sha256:") + 16
    (copy / "unet" / "note.txt").write_text("x")
    assert DiffusersEditor(str(copy)).revision != before
    assert DiffusersEditor(str(copy), revision="mine").revision == "mine"


def test_a_conversion_that_names_the_class_of_its_base_model(folders, tmp_path):
    folder = shutil.copytree(folders["pix2pix"], tmp_path / "converted")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "StableDiffusionPipeline"}))
    editor = DiffusersEditor(str(folder), **SMALL)
    assert isinstance(editor.load(), StableDiffusionInstructPix2PixPipeline)
    right = DiffusersEditor(str(folders["pix2pix"]), **SMALL).edit([ONE], [WORDS[0]], [1])[0]
    assert difference(editor.edit([ONE], [WORDS[0]], [1])[0], right) == 0


def test_pickles_are_not_read(tmp_path):
    folder = save_instruct_pix2pix(tmp_path / "pickles", safe_serialization=False)
    with pytest.raises(ValueError, match=r"'pickles' cannot be loaded: .*no file named .*\.safetensors"):
        DiffusersEditor(str(folder), **SMALL).load()


def test_a_variant_of_the_weights(folders, tmp_path):
    DiffusionPipeline.from_pretrained(folders["pix2pix"]).save_pretrained(tmp_path / "half", variant="fp16")
    editor = DiffusersEditor(str(tmp_path / "half"), variant="fp16", **SMALL)
    assert editor.edit([ONE], [WORDS[0]], [1])[0].size == (64, 64) and editor.parameters["variant"] == "fp16"
    with pytest.raises(ValueError, match="cannot be loaded: "):
        DiffusersEditor(str(tmp_path / "half"), **SMALL).load()


@pytest.fixture(scope="module")
def lora(folders, tmp_path_factory):
    """A folder of LoRA weights for the UNet that change what it makes."""
    torch.manual_seed(0)
    pipe = DiffusionPipeline.from_pretrained(folders["pix2pix"])
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    folder = tmp_path_factory.mktemp("styles") / "style"
    type(pipe).save_lora_weights(folder, unet_lora_layers=get_peft_model_state_dict(pipe.unet))
    return folder


def test_lora_weights(folders, lora, tmp_path):
    def edited(**options):
        return DiffusersEditor(str(folders["pix2pix"]), **SMALL, **options).edit([ONE], [WORDS[0]], [1])[0]

    renamed = tmp_path / "mine.safetensors"
    shutil.copy(lora / "pytorch_lora_weights.safetensors", renamed)
    plain, with_it = edited(), edited(lora=str(lora))
    assert difference(plain, with_it) > 5 and difference(plain, edited(lora=str(lora), lora_scale=0.0)) == 0
    assert difference(with_it, edited(lora=str(renamed))) == 0
    said = DiffusersEditor(str(folders["pix2pix"]), lora=str(lora), lora_scale=0.5).parameters
    assert said["lora"] == "style" and said["lora_scale"] == 0.5 and said["lora_revision"].startswith("sha256:")


def test_options_of_the_command(folders, lora, tmp_path, capsys):
    command = ["synthesize", "--source", "scenes", "--limit", "1", "--variants", "1", "--out", str(tmp_path / "run")]
    command += ["--editor", str(folders["pix2pix"]), "--resolution", "64", "--steps", "1"]
    assert main([*command, "--lora", str(lora), "--lora_scale", "0.5", "--force"]) == 0
    settings = json.loads((tmp_path / "run" / "synthesis.json").read_text())["settings"]
    given = {"lora": str(lora), "lora_scale": 0.5, "force": True, "resolution": 64, "steps": 1}
    assert settings["editor_options"] == given
    assert main([*command, "--quantization", "4bit", "--editor_variant", "fp16", "--out", str(tmp_path / "x")])
    assert "'tiny-pix2pix' cannot be loaded: " in capsys.readouterr().err


def test_lora_weights_of_another_model(folders, lora, tmp_path):
    with pytest.raises(ValueError, match="has no pytorch_lora_weights.safetensors; name the file"):
        DiffusersEditor(str(folders["pix2pix"]), lora=str(tmp_path))
    with pytest.raises(ValueError, match="'no/such/style' cannot be loaded: there is no such folder"):
        DiffusersEditor(str(folders["pix2pix"]), lora="no/such/style")
    save_file({"mmdit.to_q.lora_A.weight": torch.zeros(2, 16)}, tmp_path / "pytorch_lora_weights.safetensors")
    with pytest.raises(ValueError, match="'tiny-pix2pix': .* did not edit an image .*: ValueError"):
        DiffusersEditor(str(folders["pix2pix"]), lora=str(tmp_path), **SMALL).load()


def test_quantization_reaches_diffusers(folders, monkeypatch):
    editor = DiffusersEditor(str(folders["kontext"]), quantization="4bit", **SMALL)
    how = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "float32"}
    parts = ["transformer", "text_encoder", "text_encoder_2"]
    assert editor.parameters["quantization"] == {
        "quant_backend": "bitsandbytes_4bit", "quant_kwargs": how, "components_to_quantize": parts,
    }  # fmt: skip
    given = {}
    monkeypatch.setattr(DiffusionPipeline, "from_pretrained", lambda *_, **options: given.update(options) or 1 / 0)
    with pytest.raises(ValueError, match="division by zero"):
        editor.load()
    assert given["quantization_config"].quant_kwargs == how
    assert given["quantization_config"].components_to_quantize == parts


def test_quantization_needs_a_gpu_and_its_package(folders):
    with pytest.raises(ValueError, match="cannot be loaded: .*(GPU|bitsandbytes)"):
        DiffusersEditor(str(folders["kontext"]), quantization="8bit", **SMALL).load()


@pytest.fixture(scope="module")
def painter(folders, tmp_path_factory):
    """The parts of a pipeline that makes images of a text, or with an image to begin with."""
    pipe = DiffusionPipeline.from_pretrained(folders["pix2pix"])
    parts = {name: part for name, part in pipe.components.items() if name not in ("unet", "image_encoder")}
    return {**parts, "unet": type(pipe.unet).from_config({**pipe.unet.config, "in_channels": 4})}


def test_a_pipeline_that_is_not_known_to_edit(painter, tmp_path):
    StableDiffusionImg2ImgPipeline(**painter, requires_safety_checker=False).save_pretrained(tmp_path / "painter")
    words = "'.*painter': StableDiffusionImg2ImgPipeline is not known to edit images by instructions; known are Stable"
    with pytest.raises(ValueError, match=words):
        DiffusersEditor(str(tmp_path / "painter"))
    editor = DiffusersEditor(str(tmp_path / "painter"), resolution=64, force=True)
    assert editor.parameters["steps"] == 50 and len(editor.load().scheduler.timesteps) <= 2  # of the trial
    editor = DiffusersEditor(str(tmp_path / "painter"), resolution=64, steps=4, force=True)
    first, again, other = editor.edit([ONE, ONE, TWO], [WORDS[0]] * 3, [1, 1, 2])
    assert difference(first, again) == 0 and difference(first, other) > 10


def test_a_pipeline_that_takes_no_image(painter, tmp_path):
    StableDiffusionPipeline(**painter, requires_safety_checker=False).save_pretrained(tmp_path / "painter")
    with pytest.raises(ValueError, match="StableDiffusionPipeline cannot edit images by .*: it takes no image"):
        DiffusersEditor(str(tmp_path / "painter"), force=True)


@pytest.mark.parametrize(
    ("output", "words"),
    [(SimpleNamespace(frames=[[ONE]]), "AttributeError: .*images"), (SimpleNamespace(images=[ONE] * 5), "ValueError")],
)
def test_a_pipeline_that_makes_something_else_fails_when_it_is_loaded(editor, monkeypatch, output, words):
    monkeypatch.setattr(StableDiffusionInstructPix2PixPipeline, "__call__", lambda *_, **__: output)
    with pytest.raises(ValueError, match=f"'tiny-pix2pix': .* did not edit an image .* when it was tried: {words}"):
        editor.load()


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (None, "there is no model_index.json"),
        ({"_class_name": "NextYearPipeline"}, "diffusers .* has no pipeline NextYearPipeline"),
        ({"_class_name": ["pipeline", "OwnPipeline"]}, "code of its own is not run"),
        ({"_class_name": "AutoencoderKL"}, "has no pipeline AutoencoderKL"),
        *(
            ({"_class_name": name}, f"{name} is not known to edit images by instructions; known are Stable")
            for name in ("Kandinsky5I2IPipeline", "ChronoEditPipeline", "BriaFiboEditPipeline", "LucyEditPipeline")
        ),
    ],
)
def test_folders_that_are_not_a_pipeline(tmp_path, index, words):
    if index:
        (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=words):
        DiffusersEditor(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size=0 must be a whole number"),
        ({"steps": 2.5}, "steps=2.5 must be a whole number"),
        ({"resolution": True}, "resolution=True"),
        ({"dtype": "int8"}, "dtype='int8' must be one of float32"),
        ({"device": "cpu", "offload": "model"}, "offload='model' must be .* with a GPU"),
        ({"offload": "disk"}, "must be model or sequential"),
        ({"quantization": "2bit"}, "quantization='2bit' must be 4bit, 8bit or"),
        ({"arguments": {"strength": 0.5}}, "takes no argument strength; it takes num_inference_steps"),
        ({"arguments": {"height": 8}}, "takes no argument height; it takes"),
        ({"guidence": 3.0}, "unexpected keyword argument 'guidence'"),
        ({"model": "x"}, "multiple values for argument 'model'"),
    ],
)
def test_bad_options(folders, options, words):
    with pytest.raises(ValueError, match=words):
        load_editor(str(folders["pix2pix"]), **options)


def test_the_procedural_editor_by_its_name():
    editor = load_editor("procedural", failure_rate=0.1, batch_size=3)
    assert (editor.id, editor.batch_size, editor.parameters["failure_rate"]) == ("procedural", 3, 0.1)
    with pytest.raises(ValueError, match="editor 'procedural': .* unexpected keyword argument 'steps'"):
        load_editor("procedural", steps=3)


OWN_EDITOR = """
from PIL import ImageOps
from datasets_syned.synthesis.editors import Editor

class Inverted(Editor):
    id = "inverted"
    def __init__(self, batch_size=4):
        self.batch_size = batch_size
    def edit(self, images, instructions, seeds):
        return [ImageOps.invert(image.convert("RGB")) for image in images]
"""


def test_an_editor_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_editors.py").write_text(OWN_EDITOR)
    command = [sys.executable, "-m", "datasets_syned", "synthesize", "--source", "scenes", "--limit", "2"]
    command += ["--variants", "1", "--out", "run", "--batch_size", "2", "--editor"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "my_editors:Inverted"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = load_dataset("syned", "syned", data_dir=str(tmp_path / "run"), cache_dir=str(tmp_path / "cache"))["train"]
    assert [row["provenance"]["editor"] for row in rows] == ["inverted"] * 2
    assert difference(rows[0]["after"], ImageOps.invert(rows[0]["before"].convert("RGB"))) == 0
    for name, words in (("my_editors:Nothing", "no attribute 'Nothing'"), ("json:dumps", "missing 1 required")):
        with pytest.raises(ValueError, match=words):
            load_editor(name)


# Uploads two folders and loads them by name, then once more without a network. Lines that begin with ">" are answers.
FROM_THE_HUB = """
import sys
from datasets_syned.synthesis.editors import load_editor
assert not {"torch", "diffusers"} & set(sys.modules)
from huggingface_hub import HfApi, constants
from PIL import Image
for name, folder in (("ann/tiny", sys.argv[1]), ("ann/pickles", sys.argv[2]), ("ann/style", sys.argv[3])):
    HfApi().create_repo(name)
    print(">", HfApi().upload_folder(repo_id=name, folder_path=folder).oid)
def told(name, **options):
    try:
        editor = load_editor(name, resolution=64, steps=1, **options)
        print(">", editor.id, editor.revision)
        print(">", editor.edit([Image.new("RGB", (8, 8), "red")], ["x"], [1])[0].size)
    except ValueError as error:
        print(">", str(error).replace("\\n", " "))
    return editor.revision if name == "ann/tiny" else None
commit = told("ann/tiny")
told("ann/pickles")
told("ann/none")
told("no/such/folder")
for lora in ("ann/style", "ann/style/pytorch_lora_weights.safetensors"):
    editor = load_editor("ann/tiny", resolution=64, steps=1, lora=lora)
    print(">", editor.parameters["lora"], editor.parameters["lora_revision"])
editor.load()
constants.HF_HUB_OFFLINE = True  # as of the environment
told("ann/tiny")
told("ann/tiny", revision=commit)
told("ann/none")
"""


@pytest.mark.slow
def test_models_of_the_hub(folders, lora, tmp_path):
    pickles = save_instruct_pix2pix(tmp_path / "pickles", safe_serialization=False)
    with HubServer() as hub:
        done = run(FROM_THE_HUB, hub.env(tmp_path, "ann-write"), folders["pix2pix"], pickles, lora)
    tiny, with_pickles, style, *told = [line[2:] for line in done.stdout.splitlines() if line.startswith(">")]
    assert told[:2] == told[8:10] == told[10:12] == [f"ann/tiny {tiny}", "(8, 8)"]
    assert told[2] == f"ann/pickles {with_pickles}" and "safetensors" in told[3]
    nothing = "editor 'ann/none': 'ann/none' cannot be loaded: there is no such folder, and the Hub does not give it: "
    assert told[4].startswith(nothing) and told[12].startswith(nothing)
    assert told[5].startswith("editor 'no/such/folder': 'no/such/folder' cannot be loaded: there is no such folder")
    assert told[6] == told[7] == f"ann/style {style}" and len(told) == 13
