"""LoRA: how many parameters, that they learn, and adapter folders. Which modules: test_towers.py."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import OPTConfig

from modeling_blip2idc import Blip2IDCConfig, Blip2IDCForConditionalGeneration, count_trainable, load_idc, lora_config
from tests.support.tiny_blip2 import CAPTIONS, random_pairs, tiny_pair

# The list in the released adapters (github.com/gautierevn/BLIP2IDC, adapter_config.json).
AUTHORS_LIST = [f"qformer.encoder.layer.{layer}.crossattention.attention.query" for layer in range(12)] + [
    "value", "key", "qkv", "q_proj", "k_proj", "v_proj",
]  # fmt: skip


def real_geometry():
    """BLIP-2 OPT-2.7b, without memory for its weights."""
    text = OPTConfig(
        vocab_size=50304, hidden_size=2560, num_hidden_layers=32, ffn_dim=10240, num_attention_heads=32,
        word_embed_proj_dim=2560,
    )  # fmt: skip
    with torch.device("meta"):
        return Blip2IDCForConditionalGeneration(Blip2IDCConfig(text_config=text.to_dict(), image_token_index=50265))


def adapted(model, config):
    with torch.device("meta"):
        return get_peft_model(model, config)


def trained_modules(peft_model):
    return set(peft_model.base_model.targeted_module_names)


@pytest.fixture(scope="module")
def real():
    return real_geometry()


@pytest.fixture
def adapt(real):
    """Puts one adapter at a time on the real geometry."""
    made = []

    def clear():
        while made:
            made.pop().unload()
        real.requires_grad_(True)

    def adapt(config):
        clear()
        made.append(adapted(real, config))
        return made[0]

    yield adapt
    clear()


@pytest.mark.parametrize(
    ("targets", "total", "qformer", "modules"),
    [("full", 6_414_336, 442_368 + 282_624, 189), ("authors", 6_266_880, 294_912 + 282_624, 177)],
)
def test_counts_on_the_real_geometry(adapt, targets, total, qformer, modules):
    model = adapt(lora_config(targets=targets))
    assert count_trainable(model) == {
        "vit": 1_757_184,
        "qformer": qformer,
        "query_tokens": 0,
        "language_projection": 0,
        "language": 3_932_160,
        "other": 0,
        "total": total,
    }
    assert total == 1_757_184 + qformer + 3_932_160
    assert len(trained_modules(model)) == modules
    trained = [(n, p.numel()) for n, p in model.named_parameters() if p.requires_grad and ".qformer." in n]
    assert sum(count for name, count in trained if ".crossattention." in name) == 282_624


def test_authors_targets_are_the_modules_of_their_list(adapt):
    ours = trained_modules(adapt(lora_config(targets="authors")))
    theirs = trained_modules(adapt(LoraConfig(target_modules=AUTHORS_LIST)))
    assert ours == theirs and len(ours) == 177
    assert not any(".attention.attention.query" in name for name in ours)


@pytest.mark.parametrize("targets", ["full", "authors"])
@pytest.mark.parametrize(
    "towers",
    [("vit",), ("qformer",), ("language",), ("vit", "qformer"), ("language", "vit"), ("qformer", "language")],
    ids="-".join,
)
def test_any_combination_of_towers(adapt, towers, targets):
    qformer = {"full": 724_992, "authors": 577_536}[targets]
    each = {"vit": 1_757_184, "qformer": qformer, "language": 3_932_160}
    counts = count_trainable(adapt(lora_config(towers, targets)))
    assert {tower: counts[tower] for tower in each} == {tower: each[tower] * (tower in towers) for tower in each}
    assert counts["total"] == sum(each[tower] for tower in towers)


def test_rank_and_one_tower_by_name(adapt):
    assert count_trainable(adapt(lora_config("vit", r=32)))["total"] == 4 * 1_757_184
    config = lora_config(r=32, lora_alpha=64, lora_dropout=0.1, bias="none", use_rslora=True)
    assert (config.r, config.lora_alpha, config.lora_dropout, config.use_rslora) == (32, 64, 0.1, True)
    assert (lora_config().r, lora_config().lora_alpha, lora_config().lora_dropout) == (8, 16, 0.05)


@pytest.mark.parametrize("towers", ["vision", ("vit", "text"), (), ""])
def test_unknown_towers_are_refused(towers):
    with pytest.raises(ValueError, match="towers is .*'vit', 'qformer', 'language'"):
        lora_config(towers)


def test_unknown_targets_are_refused():
    with pytest.raises(ValueError, match="targets is 'all'.*'full' or 'authors'"):
        lora_config(targets="all")


def test_count_trainable_of_a_full_model(tiny_model):
    counts = count_trainable(tiny_model)
    parts = {
        "vit": tiny_model.vision_model,
        "qformer": tiny_model.qformer,
        "language": tiny_model.language_model,
        "language_projection": tiny_model.language_projection,
    }
    assert {part: counts[part] for part in parts} == {
        part: sum(p.numel() for p in module.parameters()) for part, module in parts.items()
    }
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


class TestAdapterFolders:
    @pytest.fixture
    def adapter(self, plain_dir, tmp_path):
        """An adapter beside its base, which it names by a relative path."""
        (tmp_path / "base").symlink_to(plain_dir)
        model, _ = load_idc(plain_dir)
        torch.manual_seed(0)
        peft_model = get_peft_model(model, lora_config(init_lora_weights=False)).eval()
        peft_model.peft_config["default"].base_model_name_or_path = "../base"
        peft_model.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter", peft_model

    def rewrite(self, folder, **changes):
        file = folder / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    def test_loads_with_its_base_beside_it(self, adapter):
        folder, expected = adapter
        model, processor = load_idc(folder)
        assert isinstance(model, PeftModel) and not model.training
        inputs = processor(images=random_pairs(3))
        output = model.generate(**inputs, return_dict_in_generate=True, output_logits=True)
        assert torch.equal(output.sequences, expected.generate(**inputs))
        assert not torch.equal(output.sequences, expected.unload().generate(**inputs))
        assert model.sequence_confidence(output).shape == (3,)

    def test_its_own_processor_wins(self, adapter):
        folder, _ = adapter
        _, processor = tiny_pair(height=28, width=56)
        processor.concat_axis = "horizontal"
        processor.save_pretrained(folder)
        assert load_idc(folder)[1].concat_axis == "horizontal"

    def test_an_absolute_base(self, adapter, plain_dir):
        folder, _ = adapter
        self.rewrite(folder, base_model_name_or_path=str(plain_dir))
        assert isinstance(load_idc(folder)[0], PeftModel)

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_a_bin_of_an_old_peft(self, adapter):
        folder, expected = adapter
        from safetensors.torch import load_file

        weights = load_file(folder / "adapter_model.safetensors")
        torch.save({name: tensor.half() for name, tensor in weights.items()}, folder / "adapter_model.bin")
        (folder / "adapter_model.safetensors").unlink()
        model, processor = load_idc(folder)
        pixels = processor(images=random_pairs(1))["pixel_values"]
        with torch.no_grad():
            torch.testing.assert_close(
                model(pixel_values=pixels).logits, expected(pixel_values=pixels).logits, rtol=0.1, atol=0.1
            )

    def test_other_modules_are_named(self, adapter):
        folder, _ = adapter
        self.rewrite(folder, target_modules=["c_attn", "c_proj"])
        with pytest.raises(ValueError, match="adapter.*does not fit its base model.*plain_opt.*c_attn"):
            load_idc(folder)

    def test_modules_of_another_size_are_named(self, adapter):
        folder, _ = adapter
        self.rewrite(folder, r=4)
        with pytest.raises(ValueError, match="does not fit its base model.*size mismatch"):
            load_idc(folder)

    def test_weights_that_the_config_does_not_place(self, adapter):
        folder, _ = adapter
        self.rewrite(folder, target_modules=lora_config(["language", "qformer"]).target_modules)
        with pytest.raises(ValueError, match="does not fit.* the base has no module for 4 weights, such as .*qkv"):
            load_idc(folder)

    def test_weights_that_the_config_asks_for(self, adapter):
        folder, _ = adapter
        self.rewrite(folder, target_modules=lora_config().target_modules + r"|vision_model\..*\.fc1")
        with pytest.raises(ValueError, match="does not fit.* it lacks 4 weights, such as .*fc1"):
            load_idc(folder)

    def test_a_missing_base_is_named(self, adapter):
        folder, _ = adapter
        self.rewrite(folder, base_model_name_or_path="./elsewhere")
        with pytest.raises(FileNotFoundError, match="base model of the adapter .*adapter.*elsewhere"):
            load_idc(folder)
        self.rewrite(folder, base_model_name_or_path=None)
        with pytest.raises(ValueError, match="names no base_model_name_or_path"):
            load_idc(folder)
