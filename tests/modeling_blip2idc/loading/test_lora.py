"""LoRA: the exact modules in each family of models, how many parameters, and that they learn."""

from itertools import combinations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    Blip2Config,
    GPT2Config,
    GPT2LMHeadModel,
    InstructBlipConfig,
    LlamaConfig,
    OPTConfig,
    T5Config,
)

from modeling_blip2idc import (
    Blip2IDCConfig,
    Blip2IDCForConditionalGeneration,
    check_towers,
    count_trainable,
    lora_config,
)
from modeling_blip2idc.loading.lora import TARGETS, TOWERS
from modeling_blip2idc.pipeline_blip2idc import CAPTIONERS
from tests.support.adapters import TARGETS as AUTHORS_LIST
from tests.support.tiny_blip2 import CAPTIONS, random_pairs, tiny_instructblip, tiny_pair

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
        expected = {tower: names_of_tiny(family, tower, targets) for tower in towers}
        assert set(adapted.base_model.targeted_module_names) == set().union(*expected.values()), towers
        counts = {tower: len(names) for tower, names in expected.items()}
        assert check_towers(model.config, towers, targets) == check_towers(adapted, towers, targets) == counts
        trained = count_trainable(adapted)
        assert trained["total"] == sum(trained[tower] for tower in towers)
        model = adapted.unload()


OPT_27B = OPTConfig(
    vocab_size=50304, hidden_size=2560, num_hidden_layers=32, ffn_dim=10240, num_attention_heads=32,
    word_embed_proj_dim=2560,
)  # fmt: skip
FLAN_T5_XL = T5Config(
    vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_heads=32, feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
)  # fmt: skip
VICUNA_7B = LlamaConfig(vocab_size=32001)  # else LLaMA's defaults, which are those of 7B
# configs, the number of the language model's adapted projections, and its parameters at rank 8
FULL_SIZE = {
    "blip2-opt-2.7b": (Blip2Config, OPT_27B, 32 * 3, 3_932_160),
    "blip2-flan-t5-xl": (Blip2Config, FLAN_T5_XL, (24 + 2 * 24) * 3, 7_077_888),
    "instructblip-vicuna-7b": (InstructBlipConfig, VICUNA_7B, 32 * 3, 6_291_456),
}


@pytest.mark.parametrize("name", FULL_SIZE)
def test_counts_at_full_size(name):
    config_class, text, projections, language = FULL_SIZE[name]
    with torch.device("meta"):
        model = CAPTIONERS[config_class.model_type][0](config_class(text_config=text.to_dict()))
    for targets, own, kept in (("full", 442_368, 3), ("authors", 294_912, 2)):
        with torch.device("meta"):
            adapted = get_peft_model(model, lora_config(targets=targets))
        expected = {"vit": 1_757_184, "qformer": own + 282_624, "language": language}
        found = {part: count for part, count in count_trainable(adapted).items() if count}
        assert found == {**expected, "total": sum(expected.values())}
        counts = {"vit": 39, "qformer": 12 * kept + 18, "language": projections}
        assert check_towers(adapted, targets=targets) == counts
        if name == "blip2-opt-2.7b":
            assert found["total"] == {"full": 6_414_336, "authors": 6_266_880}[targets]
        names = set(adapted.base_model.targeted_module_names)
        model = adapted.unload()
    if name == "blip2-opt-2.7b":  # the list in the released adapters
        with torch.device("meta"):
            theirs = get_peft_model(model, LoraConfig(target_modules=AUTHORS_LIST))
        assert set(theirs.base_model.targeted_module_names) == names and len(names) == 177


@pytest.mark.parametrize("arguments", [("vision",), (("vit", "text"),), ((),), ("",), ("vit", "all")])
def test_unknown_towers_and_targets_are_refused(arguments):
    message = "targets is 'all'.*'full' or 'authors'" if "all" in arguments else "towers is .*'vit', 'qformer', 'lang"
    for function in (lora_config, lambda *args: check_towers(Blip2IDCConfig(), *args)):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


def test_count_trainable_of_a_full_model(tiny_model):
    counts = count_trainable(tiny_model)
    parts = {"vit": "vision_model", "language": "language_model"} | {n: n for n in ("qformer", "language_projection")}
    for part, name in parts.items():
        assert counts[part] == sum(p.numel() for p in getattr(tiny_model, name).parameters())
    assert counts["query_tokens"] == 4 * 32 and counts["other"] == 0
    assert counts["total"] == sum(p.numel() for p in tiny_model.parameters())
    tiny_model.vision_model.requires_grad_(False)
    wrapped = torch.nn.ModuleDict({"module": tiny_model})
    assert count_trainable(wrapped) == {**counts, "vit": 0, "total": counts["total"] - counts["vit"]}
    tiny_model.auxiliary = torch.nn.Linear(3, 2)
    assert count_trainable(tiny_model)["other"] == 8


@pytest.mark.parametrize("t5", [False, True], ids=["opt", "t5"])
def test_an_adapter_learns_and_merges(t5):
    model, processor = tiny_pair(t5=t5)
    pairs = random_pairs(2)
    batch = processor(images=pairs, captions=CAPTIONS[:2])
    peft_model = get_peft_model(model, lora_config(r=16, lora_alpha=64, lora_dropout=0.0))
    frozen = {name: p.clone() for name, p in peft_model.named_parameters() if not p.requires_grad}
    trained = [p for p in peft_model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(peft_model(**batch).loss)
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(p, frozen[name]) for name, p in peft_model.named_parameters() if not p.requires_grad)
    assert all(p.grad.abs().sum() > 0 for p in trained)
    peft_model.eval()
    ids = peft_model.generate(**processor(images=pairs))
    merged = peft_model.merge_and_unload()
    assert type(merged) is Blip2IDCForConditionalGeneration
    assert torch.equal(merged.generate(**processor(images=pairs)), ids)


class TestCheckTowers:
    @pytest.mark.parametrize("towers", ["language", ("vit", "language"), TOWERS])
    def test_a_tower_without_targets_is_named(self, towers):
        """A language model whose attention is one module, `c_attn`, that is not a target."""
        gpt2 = Blip2Config(text_config=GPT2Config(n_layer=1, n_embd=32, n_head=2).to_dict())
        message = "towers has 'language', for which Blip2IDC.* 'gpt2' has no module.*that it has: 'vit', 'qformer'"
        with pytest.raises(ValueError, match=message):
            check_towers(gpt2, towers)
        assert check_towers(gpt2, ("qformer", "vit")) == {"vit": 39, "qformer": 54}

    def test_a_model_without_any(self):
        model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=5))
        with pytest.raises(ValueError, match="'vit', 'qformer', 'language', for which GPT2LMHeadModel.*it has: none"):
            check_towers(model)
        with pytest.raises(ValueError, match="config is of a 'gpt2' model, neither BLIP-2 nor InstructBLIP"):
            check_towers(GPT2Config())
