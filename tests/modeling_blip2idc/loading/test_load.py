"""`load_idc`: full models of both kinds, the embedded one, and folders that are neither. Adapters: test_peft.py."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BlipConfig, GPT2Config, GPT2LMHeadModel

from modeling_blip2idc import Blip2IDCForConditionalGeneration, Blip2IDCProcessor, load_idc
from modeling_blip2idc.loading import load
from tests.support.tiny_blip2 import random_pairs


def copy_of(folder, to):
    return shutil.copytree(folder, to / "copy")


def edit(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("kind", ["tiny_model_dir", "plain_dir", "tiny_t5_dir"])
def test_full_models(kind, request, caplog):
    folder = request.getfixturevalue(kind)
    with caplog.at_level(logging.WARNING):
        model, processor = load_idc(folder)
    assert caplog.messages == []
    assert type(model) is Blip2IDCForConditionalGeneration and type(processor) is Blip2IDCProcessor
    assert not model.training
    assert processor.num_query_tokens == model.config.num_query_tokens == 4
    assert processor.image_token_id == model.config.image_token_index
    assert model.generation_config.eos_token_id == processor.stop_token_id
    assert len(processor.post_process_captions(model.generate(**processor(images=random_pairs(2))))) == 2
    again = load_idc(str(folder))[0].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


def test_dtype_and_device(tiny_model_dir):
    model, _ = load_idc(tiny_model_dir, dtype="bfloat16", device_map="cpu")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.device.type == "cpu"


def test_what_an_old_checkpoint_does_not_say_is_filled_in(plain_dir, tmp_path):
    folder = copy_of(plain_dir, tmp_path)
    edit(folder, image_token_index=None)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, "pad_token_id": 1}))
    processor_config = json.loads((folder / "processor_config.json").read_text())
    processor_config["num_query_tokens"] = None
    (folder / "processor_config.json").write_text(json.dumps(processor_config))
    model, processor = load_idc(folder)
    assert model.config.image_token_index == 340 and processor.num_query_tokens == 4
    assert model.generation_config.eos_token_id == [202, 2]  # a caption ends with a line break
    inputs = processor(images=random_pairs(2))
    expected = load_idc(plain_dir)[0].generate(**inputs, max_new_tokens=4)
    assert torch.equal(model.generate(**inputs, max_new_tokens=4), expected)


def test_nothing_is_the_embedded_model(tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "EMBEDDED", tiny_model_dir)
    assert load_idc()[0].config.num_query_tokens == 4
    monkeypatch.setattr(load, "EMBEDDED", tmp_path / "mini")
    with pytest.raises(FileNotFoundError, match="embedded model is missing.*make mini"):
        load_idc()


def test_the_folder_of_a_run(tiny_model_dir, tmp_path):
    copy_of(tiny_model_dir, tmp_path).rename(tmp_path / "final")
    expected = load_idc(tmp_path / "final")[0].state_dict()
    for there in ((), ("adapter_config.json", "config.json")):  # which `pipeline` looks for
        for name in there:
            (tmp_path / name).write_text("{}")
        model, processor = load_idc(tmp_path)
        assert processor.num_query_tokens == 4
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    shutil.copytree(tiny_model_dir, tmp_path, dirs_exist_ok=True)  # a model that has such a folder is itself
    assert load.check_folder(str(tmp_path)) == str(tmp_path)


class TestNoModel:
    def test_no_folder(self, tmp_path):
        for name in (tmp_path / "nothing", "./nothing", "a/b/c", "nothing/", "~/nothing", "no thing"):
            with pytest.raises(FileNotFoundError, match=rf"No such folder: '{name}', which is not a Hub id either\."):
                load_idc(name)

    def test_an_empty_folder_and_a_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=f"No model in .*{tmp_path.name}.*config.json"):
            load_idc(tmp_path)
        (tmp_path / "model.safetensors").write_bytes(b"")
        with pytest.raises(FileNotFoundError, match="is a file; name the folder"):
            load_idc(tmp_path / "model.safetensors")

    def test_another_architecture(self, tmp_path):
        GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=5)).save_pretrained(tmp_path / "gpt2")
        BlipConfig().save_pretrained(tmp_path / "blip")
        for name in ("gpt2", "blip"):
            with pytest.raises(ValueError, match=f"{name}' is neither a BLIP-2 nor an InstructBLIP model.*'{name}'"):
                load_idc(tmp_path / name)

    def test_weights_of_another_model(self, tiny_model_dir, tmp_path):
        """transformers would fill what is missing with random numbers."""
        folder = copy_of(tiny_model_dir, tmp_path)
        weights = load_file(folder / "model.safetensors")
        kept = {name: tensor for name, tensor in weights.items() if not name.startswith("qformer")}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=f"copy' lacks {len(weights) - len(kept)} of the weights.*'qformer"):
            load_idc(folder)
