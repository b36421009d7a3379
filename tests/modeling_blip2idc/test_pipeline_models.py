"""The pipeline over every kind of model, and as it is saved: merged, plain, T5, without this package."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from peft import get_peft_model
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

from modeling_blip2idc import (
    Blip2IDCForConditionalGeneration,
    Blip2IDCProcessor,
    ImageDifferenceCaptioningPipeline,
    lora_config,
)
from modeling_blip2idc.hub.merge import merge
from tests.support.adapters import adapter_of
from tests.support.pipelines import TASK, pipeline_of, texts
from tests.support.tiny_blip2 import tiny_pair

PARTS = {part: "cpu" for part in ("query_tokens", "vision_model", "language_projection", "language_model")}


@pytest.mark.parametrize("spread", [False, True], ids=["whole", "spread over devices"])
def test_a_stock_model_says_the_same(plain_dir, pairs, tmp_path, spread):
    """By name, as an object, below an adapter; what was handed in stays what it was."""
    expected = texts(pipeline(TASK, model=str(plain_dir), device="cpu", max_new_tokens=6)(pairs[:6], batch_size=4))
    options = {"device_map": {**PARTS, "qformer": "disk"}, "offload_folder": str(tmp_path)} if spread else {}
    model = Blip2ForConditionalGeneration.from_pretrained(plain_dir, **options)
    processor = Blip2Processor.from_pretrained(plain_dir)
    config, place = model.config.to_dict(), {} if spread else {"device": "cpu"}
    pipe = pipeline(TASK, model=model, processor=processor, max_new_tokens=6, **place)
    assert texts(pipe(pairs[:6], batch_size=4)) == expected
    assert type(pipe.model) is Blip2IDCForConditionalGeneration and type(model) is Blip2ForConditionalGeneration
    assert model.config.to_dict() == config
    assert pipe.model.query_tokens is model.query_tokens and pipe.model.language_model is model.language_model
    if spread:
        assert pipe.model._hf_hook is model._hf_hook and pipe.model.hf_device_map == model.hf_device_map
        return
    adapted = get_peft_model(model, lora_config()).eval()
    pipe = pipeline(TASK, model=adapted, processor=processor, max_new_tokens=6, **place)
    assert texts(pipe(pairs[:6])) == expected  # an adapter that was not trained
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(generator=torch.Generator().manual_seed(0))
    with_adapter = texts(pipe(pairs[:6]))
    assert with_adapter != expected
    assert type(adapted.get_base_model()) is Blip2ForConditionalGeneration
    merged = pipeline(TASK, model=adapted.merge_and_unload(), processor=processor, max_new_tokens=6, **place)
    assert texts(merged(pairs[:6])) == with_adapter


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


def test_generation_settings_of_an_adapter_on_a_stock_model(plain_dir, tmp_path):
    """As in a process without this package, where transformers puts the adapter on: the processor says where it is."""
    adapted = get_peft_model(Blip2ForConditionalGeneration.from_pretrained(plain_dir), lora_config())
    for part in (adapted, Blip2IDCProcessor.from_pretrained(plain_dir), GenerationConfig(max_new_tokens=3)):
        part.save_pretrained(tmp_path)

    def settings(folder, **changes):
        model, processor = (
            AutoModelForImageTextToText.from_pretrained(tmp_path),
            Blip2IDCProcessor.from_pretrained(folder),
        )
        model.generation_config.update(**changes)
        return pipeline(TASK, model=model, processor=processor, device="cpu").model.generation_config.max_new_tokens

    assert settings(tmp_path) == 3
    assert settings(tmp_path, max_new_tokens=5) == 5  # somebody's choice
    assert settings(plain_dir) is None  # those of the base


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_logits_that_are_not_finite_are_an_error(pairs, on_error):
    """float16 overflows, as Flan-T5 is known for; an empty caption would look like an answer."""
    model, processor = tiny_pair(t5=True)
    with torch.no_grad():
        model.language_projection.weight.mul_(3e4)
    assert pipeline_of(model, processor)(pairs[0])[0]["score"] > 0
    for inputs in (pairs[0], pairs[:3]):
        with pytest.raises(FloatingPointError, match="float16.*are not finite.*bfloat16"):
            pipeline_of(model.half(), processor)(inputs, on_error=on_error, batch_size=2)


def test_a_model_fresh_from_training_is_put_in_evaluation_mode(tiny_model, tiny_processor, pairs):
    pipe = ImageDifferenceCaptioningPipeline(model=tiny_model.train(), processor=tiny_processor, device="cpu")
    assert not tiny_model.training
    assert pipe(pairs[0]) == pipe(pairs[0])


def test_other_models_and_processors_are_refused(tiny_model, tiny_processor):
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=4, n_embd=4, n_layer=1, n_head=1))
    with pytest.raises(ValueError, match="needs a BLIP-2 model; got a GPT2LMHeadModel"):
        ImageDifferenceCaptioningPipeline(model=gpt2, processor=tiny_processor)
    with pytest.raises(ValueError, match="needs processor=.* got NoneType"):
        pipeline(TASK, model=tiny_model)
    with pytest.raises(ValueError, match="needs processor=, the BLIP-2 processor of the model; got "):
        ImageDifferenceCaptioningPipeline(model=tiny_model, processor=tiny_processor.tokenizer)


def test_a_saved_pipeline_names_no_path_and_loads_again(pipe, pairs, tmp_path):
    folder = tmp_path / "saved"
    pipe.save_pretrained(folder)
    custom = json.loads((folder / "config.json").read_text())["custom_pipelines"]
    impl = "pipeline_blip2idc.ImageDifferenceCaptioningPipeline"
    assert custom == {TASK: {"impl": impl, "pt": ["AutoModelForImageTextToText"], "type": "multimodal"}}
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
folder, again, adapter, pairs = sys.argv[1:]
pairs = [tuple(pair) for pair in np.load(pairs)]
results = []
for path in (folder, again, adapter):
    pipe = pipeline("image-difference-captioning", model=path, trust_remote_code=True, device="cpu", max_new_tokens=6)
    results.append([captions[0] for captions in pipe(pairs + [("no.png", "no.png")], batch_size=2, on_error="return")])
    if path == folder:
        pipe.save_pretrained(again)
print(json.dumps(results))
"""


def test_a_saved_pipeline_works_without_this_package(pipe, pairs, tmp_path):
    """Twice over: the second folder is saved by the process that has only the first. And with a DoRA adapter."""
    folder, again, adapter = (tmp_path / name for name in ("saved", "again", "adapter"))
    pipe.save_pretrained(folder)
    torch.manual_seed(0)
    base = Blip2IDCForConditionalGeneration.from_pretrained(folder)
    adapted = get_peft_model(base, lora_config(use_dora=True, init_lora_weights=False)).eval()
    adapted.save_pretrained(adapter)
    np.save(tmp_path / "pairs.npy", np.stack([np.stack(pair) for pair in pairs[:3]]))
    env = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    arguments = map(str, (folder, again, adapter, tmp_path / "pairs.npy"))
    done = subprocess.run(
        [sys.executable, "-c", REMOTE, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    expected = [pipe(pairs[:3])] * 2 + [pipeline_of(adapted, pipe.processor)(pairs[:3])]
    for results, said in zip(json.loads(done.stdout.splitlines()[-1]), expected, strict=True):
        assert [result["generated_text"] for result in results[:3]] == [text for (text,) in texts(said)]
        assert results[3]["error"].startswith("row 3: before 'no.png': no such file")
