"""The configuration: which checkpoints it takes, and what it adds."""

import json
import logging

import pytest
from transformers import AutoConfig, Blip2Config, BlipConfig

from modeling_blip2idc import Blip2IDCConfig
from modeling_blip2idc.configuration_blip2idc import NO_CHANGE_CAPTIONS
from tests.support.tiny_blip2 import opt_tokenizer, tiny_config


def test_loads_a_plain_blip2_without_a_warning(plain_dir, caplog):
    with caplog.at_level(logging.WARNING):
        config = Blip2IDCConfig.from_pretrained(plain_dir)
    assert caplog.messages == []
    assert config.model_type == "blip2idc"
    expected = Blip2Config.from_pretrained(plain_dir)
    assert config.vision_config.to_dict() == expected.vision_config.to_dict()
    assert config.text_config.to_dict() == expected.text_config.to_dict()
    assert (config.num_query_tokens, config.image_token_index) == (4, expected.image_token_index)


def test_auto_config_gives_this_class(tiny_model_dir, caplog):
    with caplog.at_level(logging.WARNING):
        config = AutoConfig.from_pretrained(tiny_model_dir)
    assert type(config) is Blip2IDCConfig and caplog.messages == []


def test_the_registered_pipeline_wins_over_a_repositorys_copy():
    """A process without this package reads the copy of this class, which keeps the entry (hub/test_saving.py)."""
    own, other = {"image-difference-captioning": {"impl": "a.B"}}, {"another-task": {"impl": "c.D"}}
    values = Blip2IDCConfig().to_dict()
    assert not hasattr(Blip2IDCConfig.from_dict({**values, "custom_pipelines": own}), "custom_pipelines")
    config = Blip2IDCConfig.from_dict({**values, "custom_pipelines": {**own, **other}})
    assert config.custom_pipelines == other
    assert (
        type("Copy", (Blip2IDCConfig,), {"__module__": "transformers_modules.x"})
        .from_dict({**values, "custom_pipelines": own})
        .custom_pipelines
        == own
    )


def test_no_change_captions_are_saved(tmp_path):
    config = Blip2IDCConfig(no_change_captions=["all is as it was"])
    config.save_pretrained(tmp_path)
    assert list(Blip2IDCConfig.from_pretrained(tmp_path).no_change_captions) == ["all is as it was"]
    assert all(caption == caption.lower().rstrip(".") for caption in NO_CHANGE_CAPTIONS)
    assert "the scene is the same as before" in Blip2IDCConfig().no_change_captions


@pytest.mark.parametrize("value", [3, "there is no change"])
def test_no_change_captions_are_a_list(value):
    with pytest.raises(Exception, match="no_change_captions"):
        Blip2IDCConfig(no_change_captions=value)


def test_another_model_is_refused_by_name(tmp_path):
    BlipConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path.name}.*not a BLIP-2.*'blip'"):
        Blip2IDCConfig.from_pretrained(tmp_path)


def test_a_config_without_a_model_type_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 3}))
    with pytest.raises(ValueError, match="model_type in its config.json is None"):
        Blip2IDCConfig.from_pretrained(tmp_path)


def test_a_rectangular_image_size_is_refused():
    """transformers' type allows it, its model divides the list by an integer."""
    config = tiny_config(opt_tokenizer()).to_dict()
    config["vision_config"]["image_size"] = [56, 28]
    with pytest.raises(ValueError, match="image_size.*one integer"):
        Blip2IDCConfig(**{key: config[key] for key in ("vision_config", "qformer_config", "text_config")})
