"""The pipeline over every kind of model, and as it is saved: adapters, merged, plain, T5, without this package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    pipeline,
)
from transformers.pipelines import PIPELINE_REGISTRY

from modeling_blip2idc import Blip2IDCForConditionalGeneration, Blip2IDCProcessor, ImageDifferenceCaptioningPipeline
from modeling_blip2idc.hub.merge import merge
from modeling_blip2idc.loading.load import load_idc
from tests.support.adapters import adapter_of
from tests.support.pipelines import TASK, pipeline_of, texts
from tests.support.tiny_blip2 import tiny_pair


@pytest.fixture(scope="module")
def plain_dir(tiny_model_dir, tmp_path_factory):
    """The same weights as a folder of stock transformers."""
    folder = tmp_path_factory.mktemp("plain")
    Blip2ForConditionalGeneration.from_pretrained(tiny_model_dir).save_pretrained(folder)
    Blip2Processor.from_pretrained(tiny_model_dir).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type="blip-2", architectures=["Blip2ForConditionalGeneration"])
    for name in ("auto_map", "no_change_captions"):
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module", params=["ours", "plain"])
def base_dir(request, tiny_model_dir, plain_dir):
    return tiny_model_dir if request.param == "ours" else plain_dir


@pytest.fixture(scope="module")
def adapter_dir(base_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    model = Blip2ForConditionalGeneration.from_pretrained(base_dir)
    torch.manual_seed(1)
    # init_lora_weights=False: an adapter that changes the captions
    config = LoraConfig(r=4, lora_alpha=32, target_modules=r".*\.(qkv|q_proj|v_proj)", init_lora_weights=False)
    adapted = get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = str(base_dir)
    adapted.save_pretrained(folder)
    return folder


def test_plain_blip2_gives_the_same_captions(pipe, plain_dir, pairs):
    expected = pipe(pairs[:6])
    plain = pipeline(TASK, model=str(plain_dir), device="cpu", max_new_tokens=6)
    assert type(plain.model) is Blip2IDCForConditionalGeneration
    assert texts(plain(pairs[:6], batch_size=4)) == texts(expected)
    model, processor = (
        Blip2ForConditionalGeneration.from_pretrained(plain_dir),
        Blip2Processor.from_pretrained(plain_dir),
    )
    instance = pipeline(TASK, model=model, processor=processor, device="cpu", max_new_tokens=6)
    assert texts(instance(pairs[:6], batch_size=4)) == texts(expected)
    assert type(model) is Blip2ForConditionalGeneration  # what was handed in stays what it was


def test_adapters(adapter_dir, base_dir, pipe, pairs):
    base = Blip2ForConditionalGeneration.from_pretrained(base_dir)
    peft_model = PeftModel.from_pretrained(base, adapter_dir)
    processor = Blip2Processor.from_pretrained(base_dir)
    instance = pipeline(TASK, model=peft_model, processor=processor, device="cpu", max_new_tokens=6)
    from_folder = pipeline(TASK, model=str(adapter_dir), device="cpu", max_new_tokens=6)
    captions = texts(instance(pairs[:6], batch_size=4))
    assert captions != texts(pipe(pairs[:6]))  # the adapter does something
    assert texts(from_folder(pairs[:6])) == captions
    loaded, own_processor = load_idc(adapter_dir)
    assert texts(pipeline_of(loaded, own_processor)(pairs[:6])) == captions
    merged = pipeline(TASK, model=peft_model.merge_and_unload(), processor=processor, device="cpu", max_new_tokens=6)
    assert texts(merged(pairs[:6])) == captions


def test_an_adapters_own_processor_wins_over_its_bases(adapter_dir, base_dir, pairs, tmp_path):
    """It knows the canvas that the adapter was trained on."""
    folder = shutil.copytree(adapter_dir, tmp_path / "adapter")
    processor = Blip2IDCProcessor.from_pretrained(base_dir, concat_axis="horizontal")
    processor.image_processor.size = {"height": 28, "width": 56}
    processor.save_pretrained(folder)
    pipe = pipeline(TASK, model=str(folder), device="cpu", max_new_tokens=6)
    assert pipe.processor.concat_axis == "horizontal"
    assert dict(pipe.processor.image_processor.size) == {"height": 28, "width": 56}
    assert texts(pipe(pairs[:3])) == texts(pipeline_of(*load_idc(folder))(pairs[:3]))
    chosen = Blip2IDCProcessor.from_pretrained(base_dir, draft=False, concat_axis="vertical")
    chosen.image_processor.size = {"height": 28, "width": 28}
    pipe = pipeline(TASK, model=str(folder), processor=chosen, device="cpu")
    assert pipe.processor is chosen


def test_an_adapters_generation_settings(adapter_dir, base_dir, tmp_path):
    """Also of one that transformers loaded, as in a process without this package: its processor says where it is."""
    folder = shutil.copytree(adapter_dir, tmp_path / "adapter")
    processor = Blip2IDCProcessor.from_pretrained(base_dir)
    processor.save_pretrained(folder)
    GenerationConfig(max_new_tokens=3, eos_token_id=7).save_pretrained(folder)

    def settings(processor, **changes):
        model = AutoModelForImageTextToText.from_pretrained(folder)
        model.generation_config.update(**changes)
        config = pipeline(TASK, model=model, processor=processor, device="cpu").model.generation_config
        return config.max_new_tokens, config.eos_token_id

    assert pipeline(TASK, model=str(folder), device="cpu").model.generation_config.max_new_tokens == 3


def test_a_merged_model_keeps_its_canvas(pairs, tmp_path):
    """A stock processor does not read it, nor which token ends a caption."""
    adapter, model, processor = adapter_of(
        tmp_path, tiny_pair(height=28, width=56), concat_axis="horizontal", prompt="a", stop_token="</s>"
    )
    folder, expected = merge(adapter, tmp_path / "merged"), texts(pipeline_of(model, processor)(pairs[:4]))
    stock = {
        "model": Blip2ForConditionalGeneration.from_pretrained(folder),
        "processor": Blip2Processor.from_pretrained(folder),
    }
    for how in ({"model": str(folder)}, stock):
        pipe = pipeline(TASK, device="cpu", max_new_tokens=6, **how)
        own = pipe.processor
        assert (own.concat_axis, own.prompt, own.stop_token) == ("horizontal", "a", "</s>")
        assert texts(pipe(pairs[:4])) == expected
    stock["processor"].image_processor.size = {"height": 28, "width": 28}  # somebody's choice
    own = pipeline(TASK, device="cpu", **stock).processor
    assert own.image_processor is stock["processor"].image_processor


def test_t5(tiny_t5_model, tiny_t5_processor, pairs):
    pipe = pipeline_of(tiny_t5_model, tiny_t5_processor)
    one, many = pipe(pairs[:8]), pipe(pairs[:8], batch_size=5)
    assert texts(one) == texts(many) and len({text for (text,) in texts(one)}) > 1
    assert all(0 < captions[0]["score"] <= 1 for captions in one)
    inputs = tiny_t5_processor(images=pairs[:8])
    ids = tiny_t5_model.generate(**inputs, max_new_tokens=6)
    assert tiny_t5_processor.post_process_captions(ids) == [text for (text,) in texts(one)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(tiny_model_dir, pairs, dtype):
    pipe = pipeline(TASK, model=str(tiny_model_dir), device="cpu", dtype=dtype, max_new_tokens=6)
    assert all(0 < captions[0]["score"] <= 1 for captions in pipe(pairs[:4], batch_size=2))


def test_a_model_fresh_from_training_is_put_in_evaluation_mode(tiny_model, tiny_processor, pairs):
    tiny_model.train()
    pipe = ImageDifferenceCaptioningPipeline(model=tiny_model, processor=tiny_processor, device="cpu")
    assert not tiny_model.training
    assert pipe(pairs[0]) == pipe(pairs[0])


def test_other_models_and_processors_are_refused(tiny_model, tiny_processor):
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=4, n_embd=4, n_layer=1, n_head=1))
    with pytest.raises(ValueError, match="needs a BLIP-2 model; got a GPT2LMHeadModel"):
        ImageDifferenceCaptioningPipeline(model=gpt2, processor=tiny_processor)
    with pytest.raises(ValueError, match="needs processor="):
        ImageDifferenceCaptioningPipeline(model=tiny_model)
    with pytest.raises(ValueError, match="needs processor=.*got "):
        ImageDifferenceCaptioningPipeline(model=tiny_model, processor=tiny_processor.tokenizer)


def test_the_default_model_is_the_embedded_one():
    folder, revision = PIPELINE_REGISTRY.check_task(TASK)[1]["default"]["model"]
    assert Path(folder).name == "mini" and Path(folder).parent.name == "modeling_blip2idc" and revision is None


def test_a_saved_pipeline_names_no_path_and_loads_again(pipe, pairs, tmp_path):
    folder = tmp_path / "saved"
    pipe.save_pretrained(folder)
    custom = json.loads((folder / "config.json").read_text())["custom_pipelines"]
    assert custom == {
        TASK: {
            "impl": "pipeline_blip2idc.ImageDifferenceCaptioningPipeline",
            "pt": ["AutoModelForImageTextToText"],
            "type": "multimodal",
        }
    }
    assert not hasattr(pipe.model.config, "custom_pipelines")
    # with this package its own class is taken, and no code of the folder's
    again = pipeline(TASK, model=str(folder), device="cpu", max_new_tokens=6)
    assert type(again) is ImageDifferenceCaptioningPipeline
    assert again.processor.image_processor.size == pipe.processor.image_processor.size
    assert texts(again(pairs[:3])) == texts(pipe(pairs[:3]))


def test_other_pipelines_of_a_repository_stay(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    tasks = {name: {"impl": "x.X", "pt": ["AutoModel"]} for name in (TASK, "other")}
    (folder / "config.json").write_text(json.dumps({**config, "custom_pipelines": tasks}))
    assert AutoConfig.from_pretrained(folder).custom_pipelines == {"other": tasks["other"]}


REMOTE = """
import json, sys
sys.modules["modeling_blip2idc"] = None  # as if it was not installed
import numpy as np
from transformers import pipeline
folder, again, pairs = sys.argv[1:]
pairs = [tuple(pair) for pair in np.load(pairs)]
results = []
for path in (folder, again):
    pipe = pipeline("image-difference-captioning", model=path, trust_remote_code=True, device="cpu", max_new_tokens=6)
    results.append([captions[0] for captions in pipe(pairs + [("no.png", "no.png")], batch_size=2, on_error="return")])
    pipe.save_pretrained(again)
print(json.dumps(results))
"""


def test_a_saved_pipeline_works_without_this_package(pipe, pairs, tmp_path):
    """Twice over: the second folder is saved by the process that has only the first."""
    folder, again = tmp_path / "saved", tmp_path / "again"
    pipe.save_pretrained(folder)
    np.save(tmp_path / "pairs.npy", np.stack([np.stack(pair) for pair in pairs[:3]]))
    env = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", REMOTE, str(folder), str(again), str(tmp_path / "pairs.npy")],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    expected = pipe(pairs[:3])
    for results in json.loads(done.stdout.splitlines()[-1]):
        assert [result["generated_text"] for result in results[:3]] == [text for (text,) in texts(expected)]
        assert results[3]["error"].startswith("row 3: before 'no.png': no such file")
