"""What `load_idc` hands on to `from_pretrained`: attention by part of the model, quantization."""

import pytest
import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from modeling_blip2idc import load_idc
from tests.support.tiny_blip2 import random_pairs, tiny_instructblip

PARTS = ("vision_config", "qformer_config", "text_config")


@pytest.fixture(scope="module")
def instructblip_t5_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instructblip_t5")
    for part in tiny_instructblip(t5=True):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(params=["tiny_model_dir", "tiny_t5_dir", "instructblip_dir", "instructblip_t5_dir"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def asked(monkeypatch):
    """Arguments that reach `from_pretrained` of a model, which is not called."""
    arguments = {}

    def note(cls, *args, **kwargs):
        arguments.update(kwargs)
        raise InterruptedError

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(note))
    return arguments


@pytest.mark.parametrize(
    ("implementation", "parts"),
    [
        (None, ["sdpa", "sdpa", "sdpa"]),
        ("eager", ["eager", "eager", "eager"]),
        ({"vision_config": "eager", "qformer_config": "sdpa", "text_config": "eager"}, ["eager", "sdpa", "eager"]),
    ],
)
def test_attention_by_name_and_by_part(folder, implementation, parts):
    model, processor = load_idc(folder, attn_implementation=implementation)
    assert [getattr(model.config, part)._attn_implementation for part in PARTS] == parts
    for module, part in zip((model.vision_model, model.qformer, model.language_model), parts, strict=True):
        assert module.config._attn_implementation == part
    inputs = processor(images=random_pairs(2))
    options = {"decoder_input_ids": torch.tensor([[0], [0]])} if processor.is_encoder_decoder else {}
    with torch.no_grad():
        logits = [each(**inputs, **options).logits for each in (model, load_idc(folder)[0])]
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)


def test_flash_attention_leaves_out_what_has_none(folder, asked):
    """For the whole of a BLIP-2, transformers refuses it because of the Q-Former."""
    with pytest.raises(InterruptedError):
        load_idc(folder, attn_implementation="flash_attention_2")
    text = "sdpa" if "t5" in folder.name else "flash_attention_2"
    assert asked["attn_implementation"] == dict(zip(PARTS, ("flash_attention_2", "sdpa", text), strict=True))


def test_a_quantized_model_is_put_where_it_stays(folder, asked):
    config = BitsAndBytesConfig(load_in_4bit=True)
    with pytest.raises(InterruptedError):
        load_idc(folder, dtype="bfloat16", device_map={"": "cuda:1"}, quantization_config=config)
    assert asked["quantization_config"] is config
    assert (asked["dtype"], asked["device_map"]) == ("bfloat16", {"": "cuda:1"})
