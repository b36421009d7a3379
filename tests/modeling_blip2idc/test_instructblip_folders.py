"""InstructBLIP on disk: `load_idc`, the stock classes, adapters, the pipeline, a process without this package."""

import json
import logging
import os
import shutil
import subprocess
import sys

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import (
    AutoProcessor,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    pipeline,
)

from modeling_blip2idc import (
    Blip2IDCConfig,
    ImageDifferenceCaptioningPipeline,
    InstructBlipIDCConfig,
    InstructBlipIDCForConditionalGeneration,
    InstructBlipIDCProcessor,
    export_remote_code,
    load_idc,
    lora_config,
)
from tests.modeling_blip2idc.hub.test_saving import STRANGER
from tests.support.tiny_blip2 import CAPTIONS, INSTRUCTION, random_pairs, tiny_instructblip

TASK = "image-difference-captioning"


@torch.no_grad()
def logits(model, inputs):
    return model(**inputs).logits


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.fixture(params=["ours", "plain"])
def folder(request, instructblip_dir, plain_instructblip_dir):
    return instructblip_dir if request.param == "ours" else plain_instructblip_dir


def test_load_idc(folder, caplog):
    with caplog.at_level(logging.WARNING):
        model, processor = load_idc(folder)
    assert caplog.messages == []
    assert type(model) is InstructBlipIDCForConditionalGeneration and type(processor) is InstructBlipIDCProcessor
    assert not model.training
    assert (processor.num_query_tokens, processor.stop_token) == (4, "</s>")
    assert processor.image_token_id == model.config.image_token_index
    expected, same = tiny_instructblip()
    inputs = processor(images=random_pairs(2), captions=CAPTIONS[:2])
    for name, tensor in same(images=random_pairs(2), captions=CAPTIONS[:2]).items():
        assert torch.equal(inputs[name], tensor), name
    inputs = processor(images=random_pairs(2))
    assert torch.equal(model.generate(**inputs), expected.generate(**inputs))
    assert {p.dtype for p in load_idc(folder, dtype="bfloat16")[0].parameters()} == {torch.bfloat16}


def test_the_released_vicuna_checkpoints_of_2023(plain_instructblip_dir, tmp_path):
    """Their config has neither the image token nor the tokenizer's ids, and -1 for padding (transformers #25426)."""
    folder = shutil.copytree(plain_instructblip_dir, tmp_path / "copy")
    stock = InstructBlipForConditionalGeneration.from_pretrained(folder)
    size = stock.config.text_config.vocab_size
    stock.resize_token_embeddings(size - 1, mean_resizing=False)
    stock.config.image_token_index = None
    for ids in (stock.config.text_config, stock.generation_config):
        ids.bos_token_id, ids.eos_token_id = 0, 1
    stock.config.text_config.pad_token_id = -1
    stock.save_pretrained(folder)
    edit(folder / "generation_config.json", pad_token_id=-1)
    edit(folder / "processor_config.json", num_query_tokens=None)

    model, processor = load_idc(folder)
    assert processor.num_query_tokens == 4 and processor.stop_token_id == 2
    assert model.config.image_token_index == processor.image_token_id == size - 1
    assert model.get_input_embeddings().weight.shape == (size, 32)
    inputs = processor(images=random_pairs(2))
    expected = tiny_instructblip()[0].generate(**inputs, max_new_tokens=8, eos_token_id=2)
    assert torch.equal(model.generate(**inputs, max_new_tokens=8), expected)
    # one row ends before the other and is filled up
    prompt = inputs["input_ids"].shape[1]
    stop = int(expected[0, prompt + 1])
    assert stop not in expected[1, prompt:]
    sequences = model.generate(**inputs, max_new_tokens=8, eos_token_id=stop)
    assert sequences[0, prompt + 1 :].tolist() == [stop] * 7
    assert torch.equal(sequences[1], expected[1])


def test_the_stock_processor_and_the_auto_class_load_ours(instructblip_dir):
    processor = InstructBlipProcessor.from_pretrained(instructblip_dir)
    assert type(processor) is InstructBlipProcessor and processor.num_query_tokens == 4
    assert type(AutoProcessor.from_pretrained(instructblip_dir)) is InstructBlipIDCProcessor


def test_another_model_type_is_refused(instructblip_dir, tiny_model_dir, tmp_path):
    with pytest.raises(ValueError, match="not a BLIP-2 model.*'instructblipidc', it must be 'blip-2' or 'blip2idc'"):
        Blip2IDCConfig.from_pretrained(instructblip_dir)
    with pytest.raises(ValueError, match="not an InstructBLIP.*'blip2idc', it must be 'instructblip' or"):
        InstructBlipIDCConfig.from_pretrained(tiny_model_dir)
    (tmp_path / "config.json").write_text('{"model_type": "git"}')
    with pytest.raises(
        ValueError, match="neither a BLIP-2 nor an InstructBLIP model.*'git', it must be one of 'blip-2', "
    ):
        load_idc(tmp_path)


@pytest.mark.parametrize("adapter", [False, True])
def test_the_pipeline(folder, tmp_path, adapter):
    source = folder
    if adapter:
        torch.manual_seed(0)
        model, processor = load_idc(folder)
        adapted = get_peft_model(model, lora_config(init_lora_weights=False)).eval()
        adapted.peft_config["default"].base_model_name_or_path = str(folder)
        processor.prompt, source = "the change:", tmp_path
        for part in (adapted, processor):
            part.save_pretrained(tmp_path)
    pipe, (model, processor) = pipeline(TASK, model=str(source), device="cpu"), load_idc(source)
    assert isinstance(model, PeftModel) == adapter and type(pipe.processor) is InstructBlipIDCProcessor
    assert processor.prompt == ("the change:" if adapter else INSTRUCTION)
    for text in (None, "what", [None, "what", "the small"]):
        inputs = processor(images=random_pairs(3), text=text)
        output = model.generate(**inputs, max_new_tokens=6, return_dict_in_generate=True, output_logits=True)
        texts = processor.post_process_captions(output.sequences[:, inputs["input_ids"].shape[1] :])
        results = [result[0] for result in pipe(random_pairs(3), text=text, batch_size=2, max_new_tokens=6)]
        assert [result["generated_text"] for result in results] == texts
        scores = pytest.approx(model.sequence_confidence(output).tolist(), rel=1e-5)
        assert [result["score"] for result in results] == scores


def test_in_a_process_without_this_package(instructblip_dir, tmp_path):
    model, processor = load_idc(instructblip_dir)
    export_remote_code(model, processor, tmp_path / "exported")
    (tmp_path / "stranger").mkdir()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, str(tmp_path / "exported"), str(tmp_path / "again")],
        cwd=tmp_path / "stranger", env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu")
    expected = pipe(random_pairs(3), max_new_tokens=6)
    captions = [result[0]["generated_text"] for result in expected]
    scores = pytest.approx([result[0]["score"] for result in expected], rel=1e-5)
    assert found["loaded"] == found["saved again"] == [captions, scores]
    assert [result[0]["generated_text"] for result in found[f"pipeline {TASK}"]] == captions
    names = ["InstructBlipIDCForConditionalGeneration", "InstructBlipIDCProcessor", "transformers_modules"]
    assert found["classes"] == names and found["model_type"] == "instructblipidc"
