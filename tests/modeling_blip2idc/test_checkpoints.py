"""Configs and folders of models: which are taken, what they add, and that the stock classes read them, too."""

import json

import pytest
import torch
from transformers import AutoModelForImageTextToText

from modeling_blip2idc import Blip2IDCConfig, InstructBlipIDCConfig, load_idc
from tests.support.tiny_blip2 import FAMILIES, logits, random_pairs, stock_of, tiny


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stock_class_and_the_auto_class_load_ours(family, tmp_path):
    model, processor = tiny(family)
    model.save_pretrained(tmp_path)
    inputs = processor(images=random_pairs(2), size={"height": 28, "width": 28})
    ours, info = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert type(ours) is type(model) and not info["missing_keys"]  # of OPT, lm_head is tied
    for each in (ours, type(stock_of(model)).from_pretrained(tmp_path)):
        assert torch.equal(logits(each.eval(), inputs), logits(model, inputs))


def test_no_change_captions_are_saved(tmp_path):
    Blip2IDCConfig(no_change_captions=["all is as it was"]).save_pretrained(tmp_path)
    assert list(Blip2IDCConfig.from_pretrained(tmp_path).no_change_captions) == ["all is as it was"]
    assert "the scene is the same as before" in Blip2IDCConfig().no_change_captions
    with pytest.raises(Exception, match="no_change_captions"):
        Blip2IDCConfig(no_change_captions="there is no change")


def test_another_model_type_is_refused(instructblip_dir, tiny_model_dir, tmp_path):
    with pytest.raises(ValueError, match="not a BLIP-2 model.*'instructblipidc', it must be 'blip-2' or 'blip2idc'"):
        Blip2IDCConfig.from_pretrained(instructblip_dir)
    with pytest.raises(ValueError, match="not an InstructBLIP.*'blip2idc', it must be 'instructblip' or"):
        InstructBlipIDCConfig.from_pretrained(tiny_model_dir)
    for config in ({"model_type": "git"}, {"hidden_size": 3}):
        (tmp_path / "config.json").write_text(json.dumps(config))
        message = f"{tmp_path.name}' is neither .* InstructBLIP model.*{config.get('model_type')}.*one of 'blip-2'"
        with pytest.raises(ValueError, match=message):
            load_idc(tmp_path)
