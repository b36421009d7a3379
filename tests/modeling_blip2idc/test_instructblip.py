"""InstructBLIP: its processor against the stock one, what the Q-Former reads, its folders and pipeline."""

import json
import shutil

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoProcessor, InstructBlipForConditionalGeneration, InstructBlipProcessor, pipeline

from modeling_blip2idc import (
    InstructBlipIDCProcessor,
    load_idc,
    lora_config,
    make_canvas,
)
from tests.support.pipelines import TASK
from tests.support.tiny_blip2 import CAPTIONS, INSTRUCTION, QUERIES, random_pairs, tiny, tiny_instructblip


@pytest.fixture(params=["llama", "instruct_t5"])
def pair(request):
    return tiny(request.param)


@pytest.fixture
def llama():
    return tiny_instructblip()


def stock_processor(ours):
    return InstructBlipProcessor(
        ours.image_processor, ours.tokenizer, ours.qformer_tokenizer, num_query_tokens=ours.num_query_tokens
    )


def ids_of(processor, text):
    return processor.tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("prompt", [None, "the change:", ""])
def test_inputs_of_generate_are_those_of_the_stock_processor(pair, prompt):
    _, processor = pair
    pairs = random_pairs(3)
    canvases = [make_canvas(*images, {"height": 56, "width": 28})[0] for images in pairs]
    text = [INSTRUCTION if prompt is None else prompt] * 3
    ours, theirs = processor(images=pairs, text=prompt), stock_processor(processor)(canvases, text)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name


def test_llama_learns_the_caption_and_one_stop_token(llama):
    _, processor = llama
    assert processor.stop_token_id == processor.tokenizer.eos_token_id == 2
    texts = [CAPTIONS[0], CAPTIONS[3]]
    batch = processor(images=random_pairs(2), captions=texts)
    prefix = [processor.image_token_id] * QUERIES + [2] + ids_of(processor, INSTRUCTION)
    targets = [ids_of(processor, text) + [2] for text in texts]
    pads = len(targets[0]) - len(targets[1])
    assert pads > 0
    assert batch["input_ids"].tolist() == [
        prefix + targets[0],
        prefix + targets[1] + [processor.tokenizer.pad_token_id] * pads,
    ]
    assert batch["labels"].tolist() == [
        [-100] * len(prefix) + targets[0],
        [-100] * len(prefix) + targets[1] + [-100] * pads,
    ]
    assert batch["attention_mask"].sum(1).tolist() == [len(prefix) + len(target) for target in targets]
    assert batch["qformer_input_ids"].tolist() == [processor.qformer_tokenizer(INSTRUCTION)["input_ids"]] * 2
    assert batch["qformer_attention_mask"].all()


def test_a_caption_has_one_space_before_it(llama):
    """As older files of LLaMA's tokenizer do it: a space is put before any text, also before a space."""
    _, processor = llama
    backend = processor.tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Sequence([])
    assert len(ids_of(processor, " the")) == len(ids_of(processor, "the")) + 1
    batch = processor(images=random_pairs(1), captions=CAPTIONS[0])
    learned = batch["labels"][0][batch["labels"][0] != -100].tolist()
    assert learned == ids_of(processor, CAPTIONS[0]) + [processor.stop_token_id]


def test_its_instruction_is_saved(pair, tmp_path):
    _, processor = pair
    assert processor.prompt == INSTRUCTION
    processor.prompt, processor.concat_axis = "the change:", "horizontal"
    processor.save_pretrained(tmp_path)
    again = type(processor).from_pretrained(tmp_path)
    expected = processor(images=random_pairs(2), captions=CAPTIONS[:2])
    for name, tensor in again(images=random_pairs(2), captions=CAPTIONS[:2]).items():
        assert torch.equal(tensor, expected[name]), name
    assert type(processor).from_pretrained(tmp_path, prompt="now").prompt == "now"


def test_the_qformer_reads_the_instruction(pair):
    model, processor = pair
    inputs, other = (processor(images=random_pairs(1), text=text) for text in (INSTRUCTION, "the two images"))
    mixed = {**inputs, **{name: other[name] for name in other if name.startswith("qformer")}}
    options = {"decoder_input_ids": torch.tensor([[0]])} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        first, second = (model(**some, **options).logits for some in (inputs, mixed))
    assert (first - second).abs().max() > 0.1


@pytest.fixture(params=["ours", "plain"])
def folder(request, instructblip_dir, plain_instructblip_dir):
    return instructblip_dir if request.param == "ours" else plain_instructblip_dir


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
    for file, changes in (
        ("generation_config", {"pad_token_id": -1}),
        ("processor_config", {"num_query_tokens": None}),
    ):
        path = folder / f"{file}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

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
