"""`blip2idc merge`: what leaves is a stock checkpoint with the same logits."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    Blip2ForConditionalGeneration,
    GenerationConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
)

from modeling_blip2idc import load_idc, make_canvas
from modeling_blip2idc.__main__ import main
from modeling_blip2idc.hub import merge as merging
from modeling_blip2idc.hub.merge import merge
from modeling_blip2idc.hub.saving import fresh_folder, name_base, temporary_folder
from modeling_blip2idc.loading import load
from tests.support.adapters import adapter_of
from tests.support.source_tree import ROOT
from tests.support.tiny_blip2 import random_pairs, tiny_instructblip, tiny_pair

PAIRS = random_pairs(3)

# Run where this package cannot be imported.
STRANGER = """
import json, sys
sys.modules["modeling_blip2idc"] = None
import numpy as np, torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, Blip2ForConditionalGeneration, Blip2Processor

folder, *canvases = sys.argv[1:]
found = []
for model_class, processor_class in (
    (Blip2ForConditionalGeneration, Blip2Processor), (AutoModelForImageTextToText, AutoProcessor)
):
    model = model_class.from_pretrained(folder).eval()
    processor = processor_class.from_pretrained(folder)
    images = [Image.open(file) for file in canvases]
    inputs = processor(images=images, text=[""] * len(images), return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs, interpolate_pos_encoding=True).logits
        ids = model.generate(**inputs, interpolate_pos_encoding=True, generation_config=model.generation_config)
    found.append({
        "classes": [type(model).__name__, type(processor).__name__, type(model).__module__.split(".")[0]],
        "logits": logits.tolist(), "ids": ids.tolist(), "input_ids": inputs["input_ids"].tolist(),
    })
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    return adapter_of(tmp_path_factory.mktemp("merge"), tiny_pair())


@pytest.fixture(scope="module")
def merged(adapter):
    return merge(adapter[0], adapter[0].parent / "merged")


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits


def canvases(processor, folder):
    files = []
    for index, pair in enumerate(PAIRS):
        canvas, _ = make_canvas(*pair, processor.image_processor.size, processor.concat_axis)
        files.append(folder / f"{index}.png")
        canvas.save(files[-1])
    return files


def test_stock_transformers_says_the_same_without_this_package(adapter, merged, tmp_path):
    _, model, processor = adapter
    inputs = processor(images=PAIRS)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-I", "-c", STRANGER, str(merged), *map(str, canvases(processor, tmp_path))]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    stock, auto = json.loads(done.stdout.strip().splitlines()[-1])
    assert stock == auto
    assert stock["classes"] == ["Blip2ForConditionalGeneration", "Blip2Processor", "transformers"]
    assert stock["input_ids"] == inputs["input_ids"].tolist()
    torch.testing.assert_close(torch.tensor(stock["logits"]), logits(model, inputs), rtol=0, atol=1e-5)
    assert stock["ids"] == model.generate(**inputs).tolist()
    without = load_idc(adapter[0].parent / "base")[0]
    assert (logits(without, inputs) - logits(model, inputs)).abs().max() > 0.1  # the adapter matters


def test_nothing_of_ours_is_in_it(merged, adapter):
    config = json.loads((merged / "config.json").read_text())
    assert config["model_type"] == "blip-2" and config["architectures"] == ["Blip2ForConditionalGeneration"]
    assert not any(key in config for key in ("auto_map", "no_change_captions", "custom_pipelines"))
    assert {path.suffix for path in merged.iterdir()} == {".json", ".safetensors", ".md", ".jinja"}
    for path in merged.iterdir():
        if path.suffix in (".json", ".jinja"):
            assert "idc" not in path.read_text().lower(), path.name
        assert path.suffix == ".safetensors" or str(merged.parent) not in path.read_text()
    info = Blip2ForConditionalGeneration.from_pretrained(merged, output_loading_info=True)[1]
    assert not info["missing_keys"] and not info["unexpected_keys"]


def test_captions_stop_in_stock_generate_and_by_the_file(merged, adapter):
    _, _, processor = adapter
    stop = processor.stop_token_id
    assert GenerationConfig.from_pretrained(merged).max_new_tokens == 12
    saved = GenerationConfig.from_pretrained(merged).eos_token_id
    assert stop in (saved if isinstance(saved, list) else [saved])
    model = Blip2ForConditionalGeneration.from_pretrained(merged)
    own = model.language_model.generation_config.eos_token_id  # what stock generate goes by
    assert stop in (own if isinstance(own, list) else [own])


def test_two_stop_tokens(tmp_path):
    """As an imported adapter has: its own, and the base's."""
    folder, _, _ = adapter_of(tmp_path, tiny_pair(), stop_token="</s>")
    out = merge(folder, tmp_path / "merged")
    text = json.loads((out / "config.json").read_text())["text_config"]
    assert text["eos_token_id"][0] == 2 and len(text["eos_token_id"]) == 2
    assert set(GenerationConfig.from_pretrained(out).eos_token_id) == set(text["eos_token_id"])
    assert Blip2ForConditionalGeneration.from_pretrained(out).language_model.generation_config.eos_token_id[0] == 2
    assert load_idc(out)[1].stop_token == "</s>"


def test_it_comes_back(merged, adapter):
    _, model, processor = adapter
    again, own = load_idc(merged)
    inputs = own(images=PAIRS)
    for name in ("concat_axis", "draft", "stop_token", "prompt", "num_query_tokens"):
        assert getattr(own, name) == getattr(processor, name)
    assert own.image_processor.size == processor.image_processor.size
    torch.testing.assert_close(logits(again, inputs), logits(model, inputs), rtol=0, atol=1e-5)


def test_a_canvas_side_by_side_comes_back(tmp_path):
    folder, model, processor = adapter_of(
        tmp_path, tiny_pair(height=28, width=56), concat_axis="horizontal", prompt="a"
    )
    out = merge(folder, tmp_path / "merged")
    again, own = load_idc(out)
    assert (own.concat_axis, own.prompt) == ("horizontal", "a")
    torch.testing.assert_close(
        logits(again, own(images=PAIRS)), logits(model, processor(images=PAIRS)), rtol=0, atol=1e-5
    )
    card = (out / "README.md").read_text()
    assert "56x28 pixels" in card and "before to the left of after" in card and "text='a'" in card
    assert "vLLM takes 28x28 pixels only" in card and "weights of `base`" in card


def test_a_full_model_of_any_kind(tiny_model_dir, plain_dir, tmp_path):
    model, processor = load_idc(tiny_model_dir)
    inputs = processor(images=PAIRS)
    for name, source in (("ours", tiny_model_dir), ("plain", plain_dir)):
        out = merge(source, tmp_path / name)
        stock = Blip2ForConditionalGeneration.from_pretrained(out).eval()
        assert torch.equal(logits(stock, {**inputs, "interpolate_pos_encoding": True}), logits(model, inputs))
        assert "the weights are the same" in (out / "README.md").read_text()


def test_the_embedded_model(tmp_path):
    out = merge(ROOT / "modeling_blip2idc" / "mini", tmp_path / "mini")
    card = (out / "README.md").read_text()
    assert "128x128 pixels" in card and "interpolate" not in card and "vLLM serves such a model" in card
    model, processor = load_idc()
    stock, plain = AutoModelForImageTextToText.from_pretrained(out).eval(), AutoProcessor.from_pretrained(out)
    inputs = processor(images=PAIRS)
    canvas = [make_canvas(*pair, processor.image_processor.size)[0] for pair in PAIRS]
    theirs = plain(images=canvas, text=[""] * 3, return_tensors="pt")
    torch.testing.assert_close(logits(stock, theirs), logits(model, inputs), rtol=0, atol=1e-5)
    ids = stock.generate(**theirs, generation_config=stock.generation_config)[:, inputs["input_ids"].shape[1] :]
    said = [text.strip() for text in plain.batch_decode(ids, skip_special_tokens=True)]
    assert said == processor.post_process_captions(model.generate(**inputs)[:, inputs["input_ids"].shape[1] :])


def test_the_snippet_of_the_card_runs(merged, adapter, tmp_path, monkeypatch, capsys):
    _, model, processor = adapter
    canvases(processor, tmp_path)[0].rename(tmp_path / "canvas.png")
    monkeypatch.chdir(tmp_path)
    code = (merged / "README.md").read_text().split("```python\n")[1].split("```")[0]
    exec(code.replace("<this repository>", str(merged)), {})  # noqa: S102
    inputs = processor(images=[PAIRS[0]])
    expected = processor.post_process_captions(model.generate(**inputs)[:, inputs["input_ids"].shape[1] :])
    assert capsys.readouterr().out.strip() == expected[0]


def test_a_chat_is_bos_and_the_users_words(merged):
    """What a server that makes prompts from messages puts behind the image tokens."""
    tokenizer = AutoProcessor.from_pretrained(merged).tokenizer
    picture, words = {"type": "image"}, {"type": "text", "text": "the ball"}
    for content, prompt in (("", "</s>"), ([picture], "</s>"), ([picture, words], "</s>the ball")):
        message = [{"role": "user", "content": content}]
        assert tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True) == prompt
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert ids == tokenizer(prompt.removeprefix("</s>"))["input_ids"] and ids[0] == 2
    assert (merged / "chat_template.jinja").read_text() == merging.CHAT_TEMPLATE


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_narrower_dtype(adapter, tmp_path, dtype, capsys):
    folder, model, _ = adapter
    assert main(["merge", str(folder), str(tmp_path / "out"), "--dtype", dtype]) == 0
    assert "loads without this package" in capsys.readouterr().out
    stock = Blip2ForConditionalGeneration.from_pretrained(tmp_path / "out", dtype=torch.float32)
    exact = model.get_base_model().vision_model.encoder.layers[0].self_attn.qkv
    weight = exact.base_layer.weight + exact.get_delta_weight("default")
    rounded = weight.to(getattr(torch, dtype)).float()  # merged first, rounded once
    assert torch.equal(stock.vision_model.encoder.layers[0].self_attn.qkv.weight, rounded)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype
    assert f"They are in {dtype}" in (tmp_path / "out" / "README.md").read_text()


def test_instructblip(tmp_path):
    folder, model, processor = adapter_of(tmp_path, tiny_instructblip())
    out = merge(folder, tmp_path / "merged")
    inputs = processor(images=PAIRS)
    stock = InstructBlipForConditionalGeneration.from_pretrained(out).eval()
    plain = AutoProcessor.from_pretrained(out)
    assert type(plain) is InstructBlipProcessor
    canvas = [make_canvas(*pair, processor.image_processor.size)[0] for pair in PAIRS]
    theirs = plain(images=canvas, text=[processor.prompt] * 3, return_tensors="pt")
    assert torch.equal(theirs["input_ids"], inputs["input_ids"])
    theirs = {**theirs, "interpolate_pos_encoding": True}
    torch.testing.assert_close(logits(stock, theirs), logits(model, inputs), rtol=0, atol=1e-5)
    card = (out / "README.md").read_text()
    assert "What changed between the two images?" in card and "vLLM" not in card


def test_t5(tmp_path):
    folder, model, processor = adapter_of(tmp_path, tiny_pair(t5=True))
    out = merge(folder, tmp_path / "merged")
    inputs = processor(images=PAIRS)
    stock = Blip2ForConditionalGeneration.from_pretrained(out).eval()
    config = stock.generation_config
    assert torch.equal(
        stock.generate(**inputs, interpolate_pos_encoding=True, generation_config=config), model.generate(**inputs)
    )
    assert load_idc(out)[1].stop_token == "</s>"


class TestSharedWeights:
    """OPT's embeddings and output layer share one weight, T5's encoder and decoder as well."""

    @pytest.fixture(params=["opt", "t5"])
    def trained(self, request, tmp_path):
        """Makes an adapter of everything that its configuration trains; its folder, and the logits that it makes."""

        def make(config):
            t5 = request.param == "t5"
            for part in tiny_pair(t5=t5):
                part.save_pretrained(tmp_path / "base")
            model, processor = load_idc(tmp_path / "base")
            torch.manual_seed(3)
            adapted = get_peft_model(model, config).eval()
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    torch.nn.init.normal_(parameter, std=0.3)
            adapted.save_pretrained(tmp_path / "adapter")
            processor.save_pretrained(tmp_path / "adapter")
            name_base(tmp_path / "adapter", tmp_path / "base")
            inputs = processor(images=PAIRS, captions=["the ball is gone"] * 3)
            return tmp_path / "adapter", logits(adapted, inputs), inputs

        return make

    @pytest.mark.parametrize(
        ("config", "untied"),
        [
            ({"target_modules": ["q_proj", "q"]}, False),
            ({"target_modules": ["lm_head"]}, True),
            ({"target_modules": ["embed_tokens", "shared"]}, True),
            ({"target_modules": ["lm_head", "embed_tokens", "shared"]}, True),
            ({"target_modules": ["q_proj", "q"], "trainable_token_indices": list(range(3, 200))}, True),
            ({"target_modules": ["q_proj", "q"], "modules_to_save": ["lm_head"]}, True),
            ({"target_modules": ["q_proj", "q"], "modules_to_save": ["embed_tokens"]}, True),
        ],
        ids=["elsewhere", "lm_head", "embeddings", "both", "tokens", "saved head", "saved embeddings"],
    )
    def test_a_merge_leaves_the_logits(self, trained, tmp_path, config, untied):
        adapter, expected, inputs = trained(LoraConfig(r=4, **config))
        out = merge(adapter, tmp_path / "merged")
        torch.testing.assert_close(logits(load_idc(out)[0], inputs), expected, rtol=1e-4, atol=1e-4)
        stock = Blip2ForConditionalGeneration.from_pretrained(out).eval()
        found = logits(stock, {**inputs, "interpolate_pos_encoding": True})
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        saved = json.loads((out / "config.json").read_text())
        if saved["text_config"]["model_type"] == "opt":  # T5's configuration always says that they are shared
            assert saved["text_config"]["tie_word_embeddings"] is not untied

    def test_another_kind_of_adapter(self, trained, tmp_path):
        adapter, expected, inputs = trained(IA3Config(target_modules=["q_proj", "q"], feedforward_modules=[]))
        found = logits(load_idc(merge(adapter, tmp_path / "merged"))[0], inputs)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_merge_that_changes_the_logits_is_refused(adapter, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "_tie_again", lambda model: model.language_projection.weight.data.mul_(1.5))
    with pytest.raises(ValueError, match=r"the merged model has other logits.*Nothing was written"):
        merge(adapter[0], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr(merging, "_save_stock_processor", lambda *args: args[0].tokenizer and _spoil(args[2]))
    with pytest.raises(ValueError, match=r"the saved model has other logits"):
        merge(adapter[0], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_in_16_bits_a_lost_matrix_is_seen(tmp_path, monkeypatch):
    """All is compared in float32, where rounding hides nothing."""
    model, processor = tiny_pair()
    folder, *_ = adapter_of(tmp_path, (model.bfloat16(), processor))
    weights = load_file(merge(folder, tmp_path / "merged") / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}

    def lose(model):
        next(p for name, p in model.named_parameters() if "lora_B" in name).data.zero_()

    monkeypatch.setattr(load, "_untie", lose)
    with pytest.raises(ValueError, match="the merged model has other logits"):
        merge(folder, tmp_path / "out")


def _spoil(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({name: 1.1 * weights[name] for name in weights}, folder / "model.safetensors", {"format": "pt"})


def test_what_cannot_be_merged_leaves_nothing(adapter, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for model, message in ((tmp_path / "empty", "No model in"), (tmp_path / "nothing", "No such folder")):
        assert main(["merge", str(model), str(tmp_path / "out")]) == 1
        err = capsys.readouterr().err
        assert err.startswith("blip2idc: error: ") and message in err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    (tmp_path / "mine.txt").write_text("kept")
    for out, message in ((tmp_path, "is not empty"), (tmp_path / "mine.txt", "is a file")):
        assert main(["merge", str(adapter[0]), str(out)]) == 1
        assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "mine.txt"]


def test_weights_that_overflow(tmp_path):
    model, processor = tiny_pair()
    torch.nn.init.constant_(model.language_projection.bias, 1e5)
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="1 weights are not finite in torch.float16.*language_projection.bias"):
        merge(tmp_path / "model", tmp_path / "out", torch.float16)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_interrupted_while_it_writes(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with fresh_folder(tmp_path / "out") as partial:
            assert partial.parent == tmp_path and not (tmp_path / "out").exists()
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with fresh_folder(tmp_path / "out") as partial:
        (partial / "file").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path):
    (tmp_path / "left [1]-notes").mkdir()
    with temporary_folder(tmp_path, "left [1]-") as at_work:
        if not (child := os.fork()):
            with temporary_folder(tmp_path, "left [1]-") as folder:
                (folder / "file").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        (left,) = (path for path in tmp_path.glob("*/file"))
        with temporary_folder(tmp_path, "left [1]-", 0o700) as new:
            assert not left.parent.exists() and at_work.is_dir() and new.stat().st_mode & 0o777 == 0o700
            assert len(list(tmp_path.glob("*.lock"))) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["left [1]-notes"]
