"""Towers and targets of LoRA: the exact modules in each family of models, and the counts at full size."""

from itertools import combinations

import pytest
import torch
from peft import get_peft_model
from transformers import (
    AutoConfig,
    Blip2Config,
    GPT2Config,
    GPT2LMHeadModel,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    LlamaConfig,
    T5Config,
)

from modeling_blip2idc import (
    Blip2IDCConfig,
    Blip2IDCForConditionalGeneration,
    InstructBlipIDCForConditionalGeneration,
    check_towers,
    count_trainable,
    lora_config,
)
from modeling_blip2idc.loading.lora import TARGETS, TOWERS
from tests.support.tiny_blip2 import tiny_instructblip, tiny_pair

TINY = {
    "blip2-opt": tiny_pair,
    "blip2-t5": lambda: tiny_pair(t5=True),
    "instructblip-llama": tiny_instructblip,
    "instructblip-t5": lambda: tiny_instructblip(t5=True),
}
COMBINATIONS = [towers for size in (1, 2, 3) for towers in combinations(TOWERS, size)]


def names_of_tiny(family: str, tower: str, targets: str) -> set[str]:
    """Of two layers in each tower, the first of the Q-Former's with cross-attention."""
    layers = range(2)
    if tower == "vit":
        return {f"vision_model.encoder.layers.{i}.self_attn.qkv" for i in layers}
    if tower == "qformer":
        projections = ("query", "key", "value") if targets == "full" else ("key", "value")
        own = {f"qformer.encoder.layer.{i}.attention.attention.{name}" for i in layers for name in projections}
        cross = {f"qformer.encoder.layer.0.crossattention.attention.{name}" for name in ("query", "key", "value")}
        return own | cross
    if family.endswith("t5"):
        blocks = [f"{stack}.block.{i}.layer.0.SelfAttention" for stack in ("encoder", "decoder") for i in layers]
        blocks += [f"decoder.block.{i}.layer.1.EncDecAttention" for i in layers]
        return {f"language_model.{block}.{name}" for block in blocks for name in "qkv"}
    where = "model.decoder" if family == "blip2-opt" else "model"
    return {f"language_model.{where}.layers.{i}.self_attn.{name}_proj" for i in layers for name in "qkv"}


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("family", TINY)
def test_modules(family, targets):
    model, _ = TINY[family]()
    for towers in COMBINATIONS:
        adapted = get_peft_model(model, lora_config(towers, targets))
        found = set(adapted.base_model.targeted_module_names)
        expected = {tower: names_of_tiny(family, tower, targets) for tower in towers}
        assert found == set().union(*expected.values()), towers
        counts = {tower: len(names) for tower, names in expected.items()}
        assert check_towers(model.config, towers, targets) == check_towers(adapted, towers, targets) == counts
        model = adapted.unload()


FLAN_T5_XL = T5Config(
    vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_heads=32, feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
)  # fmt: skip
VICUNA_7B = LlamaConfig(vocab_size=32001)  # else LLaMA's defaults, which are those of 7B
# configs, and inputs + outputs of the language model's adapted projections, with their number; OPT is in test_peft
FULL_SIZE = {
    "blip2-flan-t5-xl": (Blip2Config, FLAN_T5_XL, (24 + 2 * 24) * 3, 2048 + 32 * 64),
    "instructblip-vicuna-7b": (InstructBlipConfig, VICUNA_7B, 32 * 3, 4096 + 4096),
    "instructblip-flan-t5-xl": (InstructBlipConfig, FLAN_T5_XL, (24 + 2 * 24) * 3, 2048 + 32 * 64),
}


@pytest.mark.parametrize("name", FULL_SIZE)
def test_counts_at_full_size(name):
    config_class, text, projections, width = FULL_SIZE[name]
    config = config_class(text_config=text.to_dict())
    instructblip = config_class is InstructBlipConfig
    model_class = InstructBlipIDCForConditionalGeneration if instructblip else Blip2IDCForConditionalGeneration
    with torch.device("meta"):
        model = model_class(config)
    rank = 8
    for targets, kept in (("full", 3), ("authors", 2)):
        with torch.device("meta"):
            adapted = get_peft_model(model, lora_config(targets=targets, r=rank))
        counts = count_trainable(adapted)
        vit = 39 * rank * (1408 + 3 * 1408)
        own = 12 * kept * rank * (768 + 768)
        cross = 6 * rank * ((768 + 768) + 2 * (1408 + 768))
        expected = {"vit": vit, "qformer": own + cross, "language": projections * rank * width}
        assert {part: count for part, count in counts.items() if count} == {
            **expected,
            "total": sum(expected.values()),
        }
        assert (vit, own, cross) == (1_757_184, 442_368 if targets == "full" else 294_912, 282_624)
        assert check_towers(adapted, targets=targets) == {
            "vit": 39,
            "qformer": 12 * kept + 18,
            "language": projections,
        }
        model = adapted.unload()


class TestCheckTowers:
    @pytest.fixture
    def gpt2(self):
        """A language model whose attention is one module, `c_attn`, that is no target."""
        return Blip2Config(text_config=GPT2Config(n_layer=1, n_embd=32, n_head=2).to_dict())

    @pytest.mark.parametrize("towers", ["language", ("vit", "language"), TOWERS])
    def test_a_tower_without_targets_is_named(self, gpt2, towers):
        message = "towers has 'language', for which Blip2IDC.* 'gpt2' has no module.*that it has: 'vit', 'qformer'"
        with pytest.raises(ValueError, match=message):
            check_towers(gpt2, towers)
        assert check_towers(gpt2, ("qformer", "vit")) == {"vit": 39, "qformer": 54}

    def test_a_model_without_any(self):
        model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=5))
        with pytest.raises(ValueError, match="'vit', 'qformer', 'language', for which GPT2LMHeadModel.*it has: none"):
            check_towers(model)

    def test_a_config_of_something_else(self):
        with pytest.raises(ValueError, match="config is of a 'gpt2' model, neither BLIP-2 nor InstructBLIP"):
            check_towers(GPT2Config())

    def test_wrong_arguments_come_first(self):
        for arguments, message in ((("vision",), "towers is .*'vision'"), (("vit", "all"), "targets is 'all'")):
            with pytest.raises(ValueError, match=message):
                check_towers(Blip2IDCConfig(), *arguments)

    @pytest.mark.parametrize("kind", ["tiny_model_dir", "plain_dir", "instructblip_dir", "plain_instructblip_dir"])
    def test_no_weights_are_read(self, kind, request, tmp_path):
        config = (request.getfixturevalue(kind) / "config.json").read_text()
        (tmp_path / "config.json").write_text(config)
        assert check_towers(AutoConfig.from_pretrained(tmp_path)) == {"vit": 2, "qformer": 9, "language": 6}

    def test_a_stock_model(self, plain_instructblip_dir):
        model = InstructBlipForConditionalGeneration.from_pretrained(plain_instructblip_dir)
        assert check_towers(model, "language") == {"language": 6}
