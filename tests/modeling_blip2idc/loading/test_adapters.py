"""Folders of adapters: of every method of peft, in every way, wherever their base is; and what is refused."""

import json
import pickle
import shutil

import peft
import pytest
import torch
from peft import AutoPeftModel, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, Blip2ForConditionalGeneration, GenerationConfig, pipeline

from modeling_blip2idc import Blip2IDCForConditionalGeneration, Blip2IDCProcessor, load_idc, lora_config
from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
from tests.support.adapters import name_base
from tests.support.pipelines import LOADERS, TASK, logits_of, texts
from tests.support.tiny_blip2 import random_pairs

MODULES = {"target_modules": ["q_proj", "v_proj"]}
METHODS = {
    "lora": peft.LoraConfig(r=4, **MODULES),
    "rslora": peft.LoraConfig(r=4, use_rslora=True, **MODULES),
    "dora": peft.LoraConfig(r=4, use_dora=True, **MODULES),
    "lora, projection, tokens": peft.LoraConfig(
        r=4, modules_to_save=["language_projection"], trainable_token_indices=[5, 6], **MODULES
    ),
    "vera": peft.VeraConfig(r=4, **MODULES),
    "vblora": peft.VBLoRAConfig(r=4, num_vectors=16, vector_length=8, **MODULES),
    "loha": peft.LoHaConfig(r=4, **MODULES),
    "lokr": peft.LoKrConfig(r=4, **MODULES),
    "adalora": peft.AdaLoraConfig(total_step=10, tinit=1, tfinal=2, **MODULES),
    "ia3": peft.IA3Config(feedforward_modules=[], **MODULES),
    "oft": peft.OFTConfig(r=4, oft_block_size=0, **MODULES),
    "boft": peft.BOFTConfig(boft_block_size=4, **MODULES),
    "fourierft": peft.FourierFTConfig(n_frequency=20, **MODULES),
    "layer norms": peft.LNTuningConfig(target_modules=["layernorm"]),
}


def train(base, config):
    """An adapter that changes what its base says, as if it was trained."""
    torch.manual_seed(0)
    adapted = get_peft_model(load_idc(base)[0], config).eval()
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return adapted


def rewrite(folder, **changes):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.fixture(scope="module")
def inputs(plain_dir):
    return load_idc(plain_dir)[1](images=random_pairs(2))


@pytest.fixture
def adapter(plain_dir, tmp_path):
    """An adapter of ours beside its base, which it names by a relative path; and the model as it was trained."""
    (tmp_path / "base").symlink_to(plain_dir)
    adapted = train(plain_dir, lora_config())
    adapted.save_pretrained(tmp_path / "adapter")
    name_base(tmp_path / "adapter", tmp_path / "base")
    rewrite(tmp_path / "adapter", base_model_name_or_path="../base")
    return tmp_path / "adapter", adapted


@pytest.mark.parametrize("method", METHODS)
def test_every_method_in_every_way(method, plain_dir, inputs, tmp_path):
    adapted = train(plain_dir, METHODS[method])
    adapted.save_pretrained(tmp_path)
    expected = logits_of(adapted, inputs)
    assert (expected - logits_of(load_idc(plain_dir)[0], inputs)).abs().max() > 0.5
    for name, way in LOADERS.items():
        model = way(tmp_path)
        torch.testing.assert_close(logits_of(model, inputs), expected, rtol=0, atol=1e-4, msg=name)
        assert isinstance(model, PeftModel) == (name != "from_pretrained")


def test_a_learned_prompt_is_refused(plain_dir, tmp_path):
    """peft puts it before the text of some kinds of models only, and would leave it out without a word."""
    config = peft.PromptTuningConfig(
        num_virtual_tokens=4, num_layers=2, token_dim=32, num_attention_heads=4, base_model_name_or_path=str(plain_dir)
    )
    config.save_pretrained(tmp_path)
    for way in LOADERS.values():
        with pytest.raises(ValueError, match=r"learned prompt \(PROMPT_TUNING\).* Use LoRA"):
            way(tmp_path)


@pytest.mark.parametrize("kind", ["tiny_model_dir", "plain_dir"])
def test_auto_classes(kind, request, inputs, tmp_path):
    """What is saved names the stock class, which `AutoPeftModel` may import; its weights are ours."""
    base = request.getfixturevalue(kind)
    adapted = train(base, lora_config())
    adapted.save_pretrained(tmp_path)
    stock = AutoPeftModel.from_pretrained(tmp_path)
    assert type(stock.get_base_model()) is Blip2ForConditionalGeneration
    auto = AutoModelForImageTextToText.from_pretrained(tmp_path)
    for model in (stock, auto):
        found = logits_of(model, inputs, interpolate_pos_encoding=True)
        torch.testing.assert_close(found, logits_of(adapted, inputs), rtol=0, atol=1e-4)
    pairs, processor = random_pairs(3), load_idc(base)[1]
    expected = pipeline(TASK, model=adapted, processor=processor, device="cpu", max_new_tokens=6)(pairs)
    pipe = pipeline(TASK, model=stock, processor=processor, device="cpu", max_new_tokens=6)
    assert texts(pipe(pairs)) == texts(expected)
    assert type(stock.get_base_model()) is Blip2ForConditionalGeneration  # what was handed in stays what it was


@pytest.mark.parametrize("named", ["relative", "absolute", "embedded"])
def test_wherever_the_base_is(named, adapter, inputs, plain_dir):
    """With the `config.json` of its base beside it, by which `pipeline` knows what it is."""
    folder, adapted = adapter
    if named == "absolute":
        rewrite(folder, base_model_name_or_path=str(plain_dir))
    if named == "embedded":
        adapted = train(EMBEDDED["mini"], lora_config())
        adapted.save_pretrained(folder)
        name_base(folder, EMBEDDED["mini"])
        assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == (
            "modeling_blip2idc/mini"
        )
        inputs = load_idc()[1](images=random_pairs(2))
    assert (folder / "config.json").is_file()
    for name, way in LOADERS.items():
        torch.testing.assert_close(logits_of(way(folder), inputs), logits_of(adapted, inputs), msg=name)


def test_what_was_saved_with_it_wins_over_its_base(adapter):
    """The canvas that it was trained on, and how its captions were searched; also in a subfolder."""
    folder, _ = adapter
    rewrite(folder, base_model_name_or_path=str(folder.parent / "base"))
    processor = load_idc(folder)[1]
    processor.concat_axis, processor.image_processor.size = "horizontal", {"height": 28, "width": 56}
    processor.save_pretrained(folder)
    GenerationConfig(max_new_tokens=3, eos_token_id=7).save_pretrained(folder)
    pipe = pipeline(TASK, model=str(folder), device="cpu")
    model, own = load_idc(folder, device_map="cpu")
    moved, same = load_idc(shutil.copytree(folder, folder / "inner" / "adapter").parent, subfolder="adapter")
    for found in (pipe.processor, own, same):
        assert found.concat_axis == "horizontal" and dict(found.image_processor.size) == {"height": 28, "width": 56}
    for found in (pipe.model, model, moved, Blip2IDCForConditionalGeneration.from_pretrained(folder)):
        assert found.generation_config.max_new_tokens == 3 and 7 in torch.tensor(found.generation_config.eos_token_id)
    assert texts(pipe(random_pairs(3))) == texts(pipeline(TASK, model=model, processor=own)(random_pairs(3)))
    chosen = Blip2IDCProcessor.from_pretrained(folder.parent / "base")
    assert pipeline(TASK, model=str(folder), processor=chosen, device="cpu").processor is chosen


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_bin_of_an_old_peft(adapter, inputs):
    folder, adapted = adapter
    weights = load_file(folder / "adapter_model.safetensors")
    torch.save({name: tensor.half() for name, tensor in weights.items()}, folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    torch.testing.assert_close(logits_of(load_idc(folder)[0], inputs), logits_of(adapted, inputs), rtol=0.1, atol=0.1)
    for damaged in (b"", b"text", b"PK\3\4", pickle.dumps(print)):
        (folder / "adapter_model.bin").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"adapter_model\.bin is damaged, or holds something else than tensors"):
            load_idc(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_modules": ["c_attn", "c_proj"]}, "does not fit its base model.*plain_opt.*c_attn"),
        ({"r": 4}, "does not fit its base model.*size mismatch"),
        (
            {"target_modules": lora_config(["language", "qformer"]).target_modules},
            "the base has no module for 4 weights, such as .*qkv",
        ),
        ({"target_modules": lora_config().target_modules + r"|vision_model\..*\.fc1"}, "it lacks 4 weights.*fc1"),
        ({"base_model_name_or_path": "./elsewhere"}, "base model of the adapter .*adapter.*elsewhere"),
        ({"base_model_name_or_path": None}, "names no base_model_name_or_path"),
    ],
)
def test_an_adapter_that_does_not_fit(adapter, changes, message):
    folder, _ = adapter
    rewrite(folder, **changes)
    for way in LOADERS.values():
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            way(folder)


def test_a_model_with_an_adapter_is_saved_as_an_adapter(adapter, inputs, tmp_path):
    folder, adapted = adapter
    Blip2IDCForConditionalGeneration.from_pretrained(folder).save_pretrained(tmp_path / "again")
    rewrite(tmp_path / "again", base_model_name_or_path=str(tmp_path / "base"))
    torch.testing.assert_close(logits_of(load_idc(tmp_path / "again")[0], inputs), logits_of(adapted, inputs))
