"""`blip2idc import-adapter` on folders as peft 0.5 wrote them, the authors' in particular; and what it refuses."""

import json
import math
import os
import pickle
import shutil
import struct

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Blip2Config, Blip2ForConditionalGeneration, GenerationConfig, OPTConfig, pipeline

from modeling_blip2idc import Blip2IDCProcessor, load_idc, lora_config
from modeling_blip2idc.__main__ import main
from modeling_blip2idc.hub.import_adapter import RELEASED_BASE, RELEASED_REVISION, import_adapter
from tests.support.adapters import NAME, PEFT_05, TARGETS, write_old
from tests.support.tiny_blip2 import random_pairs, tiny_pair

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # peft's, of fields that it has renamed


def logits(model, processor, count=3):
    with torch.no_grad():
        return model(**processor(images=random_pairs(count))).logits


def expected_logits(base, old, processor):
    model = PeftModel.from_pretrained(Blip2ForConditionalGeneration.from_pretrained(base), old).eval()
    with torch.no_grad():
        inputs = processor(images=random_pairs(3))
        return model(**inputs, interpolate_pos_encoding=True).logits


@pytest.fixture(scope="module")
def imported(weights, plain_dir, tmp_path_factory):
    """A folder with an adapter, its base and what was made of it, `new`; and the facts."""
    root = tmp_path_factory.mktemp("imported")
    (root / "base").symlink_to(plain_dir)
    old = write_old(root / NAME, weights)
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    _, facts = import_adapter(old, root / "new", root / "base")
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
    return root, facts


class TestResult:
    def test_the_same_logits(self, imported):
        root, facts = imported
        model, processor = load_idc(root / "new")
        expected = expected_logits(root / "base", root / NAME, processor)
        assert torch.equal(logits(model, processor), expected)
        assert not torch.equal(logits(load_idc(root / "base")[0], processor), expected)
        assert facts["dtypes"] == ("float16", "float16")
        assert facts["modules"] == {"vit": 2, "qformer": 7, "language": 6}

    def test_the_pipeline_takes_it(self, imported):
        model, processor = load_idc(imported[0] / "new")
        pairs = random_pairs(3)
        inputs = processor(images=pairs)
        captions = processor.post_process_captions(model.generate(**inputs)[:, inputs["input_ids"].shape[1] :])
        pipe = pipeline("image-difference-captioning", model=str(imported[0] / "new"))
        assert [row[0]["generated_text"] for row in pipe(pairs)] == captions
        assert pipe.processor.stop_token == "</s>" and pipe.model.generation_config.eos_token_id[0] == 2

    def test_what_is_in_the_folder(self, imported, weights):
        root, out = imported[0], imported[0] / "new"
        new = load_file(out / "adapter_model.safetensors")
        assert new.keys() == weights.keys()
        assert all(torch.equal(new[name], weights[name]) and new[name].dtype == torch.float16 for name in new)
        config = json.loads((out / "adapter_config.json").read_text())
        assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (8, 16, 0.05)
        assert config["target_modules"] == sorted(TARGETS) and config["inference_mode"] is True
        assert config["base_model_name_or_path"] == "../base"
        assert not list(out.glob("*.bin"))
        texts = [path.read_text() for path in out.iterdir() if path.suffix in (".json", ".md", ".py", ".jinja")]
        assert not any(str(root) in text for text in texts)
        assert [path.name for path in root.iterdir() if "partial" in path.name] == []
        assert out.stat().st_mode == (root / NAME).stat().st_mode

    def test_captions_end_as_the_authors_do(self, imported):
        """Their script pads with the tokenizer's EOS token and learns it; the base stops at a line break."""
        root = imported[0]
        _, processor = load_idc(root / "new")
        line_break = Blip2IDCProcessor.from_pretrained(root / "base").stop_token_id
        config = GenerationConfig.from_pretrained(root / "new")
        assert config.eos_token_id == [2, line_break] and line_break != 2
        assert config.max_new_tokens == 77
        assert processor.stop_token == "</s>" and processor.stop_token_id == 2

    def test_the_card_says_what_is_known(self, imported, old, base, tmp_path):
        root, facts = imported
        card = (root / "new" / "README.md").read_text()
        assert NAME in card and facts["sha256"] in card and "code_release/weights/spot_sota" in card
        assert "license: unknown" in card and "rank 8, alpha 16, dropout 0.05" in card
        assert f"{facts['parameters']:,} parameters on 15 modules" in card and "float16, as they were" in card
        assert "`qformer.encoder.layer.*.crossattention.attention.query`, `qkv`" in card
        assert "not scored" in card and "base_model:" not in card and "model-index" not in card
        other = shutil.copytree(old, tmp_path / "mine")
        assert "code_release" not in (import_adapter(other, base=base)[0] / "README.md").read_text()

    def test_float32_becomes_bfloat16_unless_asked(self, base, tmp_path, weights):
        torch.manual_seed(2)
        wide = {name: tensor.float() + 1e-4 * torch.randn(tensor.shape) for name, tensor in weights.items()}
        old = write_old(tmp_path / "wide", wide)
        out, facts = import_adapter(old, base=base)
        assert out == tmp_path / "wide-imported" and facts["dtypes"] == ("float32", "bfloat16")
        new = load_file(out / "adapter_model.safetensors")
        assert all(torch.equal(new[name], tensor.bfloat16()) for name, tensor in wide.items())
        kept, _ = import_adapter(old, tmp_path / "kept", base, dtype="float32")
        assert torch.equal(logits(*load_idc(kept)), expected_logits(base, old, load_idc(kept)[1]))
        # the weights move by up to 0.2 % (2 ** -9), the logits of this random model by some percent of their spread
        moved = (logits(*load_idc(out)) - logits(*load_idc(kept))).abs().max() / logits(*load_idc(kept)).std()
        assert 0 < moved < 0.1

    def test_safetensors_and_our_own_adapters(self, base, tmp_path):
        model, processor = load_idc(base)
        torch.manual_seed(3)
        model = get_peft_model(model, lora_config(init_lora_weights=False)).eval()
        model.save_pretrained(tmp_path / "ours")
        processor.concat_axis = "horizontal"
        processor.save_pretrained(tmp_path / "ours")
        GenerationConfig(max_new_tokens=9, num_beams=2).save_pretrained(tmp_path / "ours")
        out, _ = import_adapter(tmp_path / "ours", base=base, dtype="float32")
        again, own = load_idc(out)
        assert torch.equal(logits(again, own), logits(model, processor))
        assert own.concat_axis == "horizontal" and own.stop_token == "\n"
        assert (again.generation_config.max_new_tokens, again.generation_config.num_beams) == (9, 2)


class TestBase:
    def test_the_released_one_is_the_default(self, old, tmp_path, monkeypatch):
        """By name and revision; here it cannot be had."""
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        for config in ({}, {"base_model_name_or_path": None}):
            (old / "adapter_config.json").write_text(json.dumps({**PEFT_05, **config}))
            asked = []

            def unreachable(name, revision=None, asked=asked, **kwargs):
                asked.append((name, revision))
                raise OSError("We couldn't connect\nto the Hub")

            monkeypatch.setattr("transformers.PreTrainedConfig.get_config_dict", unreachable)
            with pytest.raises(OSError, match=r"blip2-opt-2.7b' cannot be read.*give base.*We couldn't connect\)"):
                import_adapter(old, tmp_path / "new")
            assert asked == [(RELEASED_BASE, RELEASED_REVISION)]
        assert not (tmp_path / "new").exists()

    def test_a_folder_of_another_machine(self, old, base):
        (old / "adapter_config.json").write_text(
            json.dumps({**PEFT_05, "base_model_name_or_path": "/elsewhere/blip2"})
        )
        with pytest.raises(FileNotFoundError, match=r"base model of the adapter .* is missing.*Give base"):
            import_adapter(old)
        assert import_adapter(old, base=base)

    def test_from_before_the_image_token(self, old, base, plain_dir, tmp_path):
        """As checkpoints of 2023 are: neither the configuration nor the processor names it."""
        expected = logits(*load_idc(import_adapter(old, tmp_path / "new", base)[0]))
        shutil.copytree(plain_dir, tmp_path / "older")
        for name, key in (("config", "image_token_index"), ("processor_config", "num_query_tokens")):
            file = tmp_path / "older" / f"{name}.json"
            values = json.loads(file.read_text())
            values.pop(key)
            file.write_text(json.dumps(values))
        model, processor = load_idc(import_adapter(old, tmp_path / "newer", tmp_path / "older")[0])
        assert torch.equal(logits(model, processor), expected)

    def test_at_its_full_size(self, tmp_path, plain_dir):
        """The authors' 177 modules and 6,266,880 parameters on OPT-2.7b; no weights of the base are needed."""
        text = OPTConfig(
            vocab_size=50304, hidden_size=2560, num_hidden_layers=32, ffn_dim=10240, num_attention_heads=32,
            word_embed_proj_dim=2560,
        )  # fmt: skip
        shutil.copytree(plain_dir, tmp_path / "base", ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
        Blip2Config(text_config=text.to_dict(), image_token_index=50265).save_pretrained(tmp_path / "base")
        weights = {}

        def add(module, rows, columns):
            weights[f"base_model.model.{module}.lora_A.weight"] = torch.zeros(8, columns, dtype=torch.float16)
            weights[f"base_model.model.{module}.lora_B.weight"] = torch.zeros(rows, 8, dtype=torch.float16)

        for i in range(39):
            add(f"vision_model.encoder.layers.{i}.self_attn.qkv", 3 * 1408, 1408)
        for i in range(12):
            for part in ("key", "value"):
                add(f"qformer.encoder.layer.{i}.attention.attention.{part}", 768, 768)
            if i % 2 == 0:
                for part, columns in (("query", 768), ("key", 1408), ("value", 1408)):
                    add(f"qformer.encoder.layer.{i}.crossattention.attention.{part}", 768, columns)
        for i in range(32):
            for part in ("q", "k", "v"):
                add(f"language_model.model.decoder.layers.{i}.self_attn.{part}_proj", 2560, 2560)
        old = write_old(tmp_path / NAME, weights)
        out, facts = import_adapter(old, tmp_path / "new", tmp_path / "base")
        assert facts["modules"] == {"vit": 39, "qformer": 42, "language": 96} and facts["parameters"] == 6_266_880
        size = (out / "adapter_model.safetensors").stat().st_size
        assert 2 * 6_266_880 < size == facts["bytes"] < 13e6


def test_the_command_says_what_it_made(old, base, tmp_path, capsys):
    for out, dtype, says in (("new", [], "float16, 0.0"), ("wide", ["--dtype", "float32"], "float32 (was float16)")):
        assert main(["import-adapter", str(old), "--out", str(tmp_path / out), "--base", str(base), *dtype]) == 0
        said, err = capsys.readouterr()
        assert err == "" and said.startswith(f"{tmp_path / out}: 15 modules, rank 8, ") and says in said
    assert load_idc(tmp_path / "new")


def test_of_the_embedded_geometry(tmp_path, base, weights):
    """A base that our own class saved, and an adapter of it as safetensors without a processor."""
    for part in tiny_pair():
        part.save_pretrained(tmp_path / "idc")
    old = write_old(tmp_path / "old", weights)
    save_file(weights, old / "adapter_model.safetensors")
    (old / "adapter_model.bin").write_bytes(b"not read")
    out, facts = import_adapter(old, base=tmp_path / "idc")
    assert facts["file"] == "adapter_model.safetensors" and load_idc(out)[1].stop_token == "</s>"


class Runs:
    """A pickle that makes a folder when it is opened by `pickle.load`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"mkdir {self.path}",)


TENSORS = r"adapter_model\.bin is refused, .*something else than tensors"
EXTRAS = [3, "text", None, [torch.ones(2)], {"inner": torch.ones(2)}]
EXTRAS += [torch.ones(2, dtype=torch.int64), torch.eye(2).to_sparse(), torch.ones(2, device="meta")]
NOT_FINITE = r"1 weights are not finite, such as '.*\.layers\.0\.self_attn\.qkv\.lora_A\.weight'"


def spoiled(weights, value):
    name = next(name for name in weights if name.endswith("layers.0.self_attn.qkv.lora_A.weight"))
    return {**weights, name: weights[name].index_fill(0, torch.tensor([0]), value)}


# Makes what adapter_model.bin holds of the right weights; and what is said of it.
CONTENTS = [
    *((lambda weights, extra=extra: {**weights, "step": extra}, TENSORS) for extra in EXTRAS),
    (lambda weights: [*weights.values()], TENSORS),
    (lambda weights: {0: torch.ones(2)}, TENSORS),
    (lambda weights: {"layers.0.weight": torch.ones(2)}, "has no module for 1 weights, such as 'layers.0.weight'"),
    (lambda weights: {}, "it lacks 30 weights"),
    (lambda weights: dict([*weights.items()][1:]), "it lacks 1 weights, such as .*qkv.lora_A"),
    (
        lambda weights: weights | {n.replace("layers.1.", "layers.7."): weights[n] for n in weights if "qkv" in n},
        "no module for 2 weights, such as .*layers.7.self_attn.qkv",
    ),
    (lambda weights: spoiled(weights, math.nan), NOT_FINITE),
    (lambda weights: spoiled(weights, math.inf), NOT_FINITE),
]


class TestRefused:
    def refused(self, folder, base, match, error=ValueError):
        out = folder.parent / "never"
        with pytest.raises(error, match=match) as caught:
            import_adapter(folder, out, base)
        assert not out.exists() and not list(folder.parent.glob(".never*"))
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
    def test_a_pickle_that_runs_something(self, old, base, tmp_path, weights, form):
        trap, file = tmp_path / "executed", old / "adapter_model.bin"
        content = {**weights, "x": Runs(trap)}
        if form == "bare":
            file.write_bytes(pickle.dumps(content))
        else:
            torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
        self.refused(old, base, r"adapter_model\.bin is refused, and nothing in it was run")
        assert not trap.exists()
        if form != "legacy":
            with_pickle = pickle.loads(pickle.dumps(Runs(trap)))  # noqa: S301  the trap works
            assert with_pickle == 0 and trap.exists()

    @pytest.mark.parametrize(("content", "match"), CONTENTS)
    def test_other_weights(self, old, base, weights, content, match):
        torch.save(content(weights), old / "adapter_model.bin")
        self.refused(old, base, match)

    def test_a_damaged_file(self, old, base):
        file = old / "adapter_model.bin"
        for content in (b"", b"no pickle", file.read_bytes()[:5000]):
            file.write_bytes(content)
            self.refused(old, base, r"adapter_model\.bin is refused.*damaged")
        file.unlink()
        self.refused(old, base, "has neither adapter_model.safetensors nor adapter_model.bin", FileNotFoundError)
        (old / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2**40))
        self.refused(old, base, r"adapter_model\.safetensors is refused.*damaged")

    def test_values_too_large_for_the_dtype(self, base, tmp_path, weights):
        old = write_old(tmp_path / "large", {name: tensor.float() * 1e6 for name, tensor in weights.items()})
        with pytest.raises(ValueError, match=r"too large for float16; give another dtype"):
            import_adapter(old, base=base, dtype="float16")

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"peft_type": "IA3", "feedforward_modules": []}, "only LORA can be imported"),
            ({"peft_type": "NOTHING"}, "adapter_config.json is not the configuration of an adapter"),
            ({"target_modules": ["c_attn"]}, "does not fit its base model .*c_attn"),
            ({"r": 16}, "does not fit its base model .*size mismatch for .*qkv.lora_A"),
        ],
    )
    def test_configurations(self, old, base, changes, match):
        file = old / "adapter_config.json"
        file.write_text(json.dumps({**PEFT_05, **changes}))
        self.refused(old, base, match)
        file.write_text("{")
        self.refused(old, base, "adapter_config.json is not the configuration of an adapter")
        file.unlink()
        self.refused(old, base, "neither config.json nor adapter_config.json", FileNotFoundError)

    def test_a_base_of_another_kind(self, old, tmp_path):
        (tmp_path / "bert").mkdir()
        (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
        self.refused(old, tmp_path / "bert", "is a 'bert', neither BLIP-2 nor InstructBLIP")

    def test_errors_are_one_line_and_status_1(self, old, base, tmp_path, weights, capsys):
        torch.save({**weights, "x": Runs(tmp_path / "executed")}, old / "adapter_model.bin")
        assert main(["import-adapter", str(old), "--base", str(base)]) == 1
        err = capsys.readouterr().err
        assert err.startswith("blip2idc: error: ") and "adapter_model.bin is refused" in err and err.count("\n") == 1
        assert main(["import-adapter", str(tmp_path / "nothing")]) == 1
        assert "No such folder" in capsys.readouterr().err
