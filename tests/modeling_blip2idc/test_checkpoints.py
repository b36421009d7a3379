"""Folders of models: interchangeable with the stock classes, dtypes, and whole weights."""

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, Blip2ForConditionalGeneration

from modeling_blip2idc import Blip2IDCForConditionalGeneration
from tests.support.tiny_blip2 import FAMILIES, logits, random_pairs, stock_of, tiny, tiny_pair


@pytest.fixture(params=FAMILIES)
def pair(request):
    """Model and processor."""
    return tiny(request.param)


def test_a_plain_blip2_loads_without_a_warning(plain_dir, caplog):
    with caplog.at_level(logging.WARNING):
        model = Blip2IDCForConditionalGeneration.from_pretrained(plain_dir).eval()
    assert caplog.messages == []
    inputs = tiny_pair()[1](images=random_pairs(2))
    stock = Blip2ForConditionalGeneration.from_pretrained(plain_dir).eval()
    assert torch.equal(logits(model, inputs), logits(stock, inputs, interpolate_pos_encoding=True))


def test_the_stock_class_and_the_auto_class_load_ours(pair, tmp_path):
    model, processor = pair
    model.save_pretrained(tmp_path)
    inputs = processor(images=random_pairs(2), size={"height": 28, "width": 28})
    ours = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    stock = type(stock_of(model)).from_pretrained(tmp_path).eval()
    assert type(ours) is type(model)
    for each in (ours, stock):
        assert torch.equal(logits(each, inputs), logits(model, inputs))


def test_bfloat16_comes_back_as_bfloat16(tiny_model, tmp_path):
    tiny_model.to(torch.bfloat16).save_pretrained(tmp_path)
    model = Blip2IDCForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    pixels = torch.randn(2, 3, 56, 28)
    assert torch.equal(model.generate(pixels), tiny_model.generate(pixels))


@pytest.mark.parametrize("part", ["qformer.", "language_projection.", "query_tokens"])
def test_missing_weights_are_refused(pair, tmp_path, part):
    """Stock classes give them random values, and warn."""
    model, _ = pair
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(part)}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for load in (type(model).from_pretrained, AutoModelForImageTextToText.from_pretrained):
        with pytest.raises(ValueError, match=f"lacks {len(weights) - len(kept)} of the weights.*'{part}"):
            load(tmp_path)


def test_arguments_of_from_pretrained(tiny_model_dir):
    model, info = Blip2IDCForConditionalGeneration.from_pretrained(
        tiny_model_dir, dtype="bfloat16", attn_implementation="eager", output_loading_info=True
    )
    assert not info["missing_keys"]  # of OPT, lm_head is tied
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.config.text_config._attn_implementation == "eager"
