"""InstructBLIP: its processor against the stock one, and what the Q-Former reads."""

import numpy as np
import pytest
import torch
from tokenizers import normalizers, pre_tokenizers
from transformers import InstructBlipProcessor

from modeling_blip2idc import make_canvas
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
    whole = ids_of(processor, f"{INSTRUCTION} {texts[0]}</s>")
    assert batch["input_ids"][0].tolist() == prefix[: QUERIES + 1] + whole


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


def test_t5_reads_the_instruction_and_learns_the_caption():
    _, processor = tiny_instructblip(t5=True)
    batch = processor(images=random_pairs(2), captions=CAPTIONS[:2])
    image = [processor.image_token_id] * QUERIES
    assert batch["input_ids"].tolist() == [image + processor.tokenizer(INSTRUCTION)["input_ids"]] * 2
    labels = processor.tokenizer(CAPTIONS[:2], padding=True, return_tensors="pt")
    expected = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
    assert torch.equal(batch["labels"], expected)
    assert ((batch["labels"] == processor.stop_token_id).sum(1) == 1).all()


def test_max_length_counts_the_instruction(llama):
    _, processor = llama
    taken = QUERIES + 1 + len(ids_of(processor, INSTRUCTION)) + 1
    batch = processor(images=random_pairs(1), captions=CAPTIONS[0], max_length=taken + 2)
    assert batch["labels"][0, taken - 1 :].tolist() == ids_of(processor, CAPTIONS[0])[:2] + [2]
    with pytest.raises(ValueError, match=f"max_length={taken} leaves no room.*takes {taken}"):
        processor(images=random_pairs(1), captions=CAPTIONS[0], max_length=taken)


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
