"""The one loader: the same model for the same folder in every way, or the same refusal. Adapters: test_adapters.py."""

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Blip2ForConditionalGeneration,
    Blip2ForImageTextRetrieval,
    Blip2Processor,
    GPT2Config,
    GPT2LMHeadModel,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    pipeline,
)

from modeling_blip2idc import (
    Blip2IDCForConditionalGeneration,
    Blip2IDCProcessor,
    InstructBlipIDCForConditionalGeneration,
    InstructBlipIDCProcessor,
    embedded_model,
    load_idc,
)
from modeling_blip2idc.checkpoints_blip2idc import DEFAULT, EMBEDDED
from modeling_blip2idc.loading import load
from tests.support.pipelines import LOADERS, TASK
from tests.support.tiny_blip2 import random_pairs

STOCK = {
    "plain_dir": (Blip2ForConditionalGeneration, Blip2Processor),
    "plain_instructblip_dir": (InstructBlipForConditionalGeneration, InstructBlipProcessor),
}


def without(file, *names):
    values = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in values.items() if name not in names}))


@pytest.mark.parametrize("kind", ["tiny_model_dir", "tiny_t5_dir", "instructblip_dir", *STOCK])
def test_full_models(kind, request, caplog):
    folder = request.getfixturevalue(kind)
    with caplog.at_level(logging.WARNING):
        model, processor = load_idc(folder)
    assert caplog.messages == []
    instruct = "instructblip" in kind
    assert type(model) is (InstructBlipIDCForConditionalGeneration if instruct else Blip2IDCForConditionalGeneration)
    assert type(processor) is (InstructBlipIDCProcessor if instruct else Blip2IDCProcessor) and not model.training
    assert processor.stop_token == ("</s>" if instruct or "t5" in kind else "\n")
    assert processor.num_query_tokens == model.config.num_query_tokens == 4
    assert processor.image_token_id == model.config.image_token_index
    assert model.generation_config.eos_token_id == processor.stop_token_id
    assert len(processor.post_process_captions(model.generate(**processor(images=random_pairs(2))))) == 2
    for name, way in (LOADERS | {"from_pretrained": type(model).from_pretrained}).items():
        again = way(folder)
        assert type(again) is type(model), name
        assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in model.state_dict().items()), name


@pytest.mark.parametrize("kind", STOCK)
def test_what_an_old_checkpoint_does_not_say_is_filled_in(kind, request, tmp_path):
    """Checkpoints from before the <image> token: as a folder by each loader, and as objects of the stock classes."""
    source = request.getfixturevalue(kind)
    folder = shutil.copytree(source, tmp_path / "old")
    without(folder / "config.json", "image_token_index", "image_token_id")
    without(folder / "processor_config.json", "num_query_tokens")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, "pad_token_id": 1}))
    model, processor = load_idc(folder)
    expected_model, expected = load_idc(source)
    assert model.config.image_token_index == expected.image_token_id and processor.num_query_tokens == 4
    # a caption ends as the processor says: in BLIP-2 with OPT at a line break
    assert processor.stop_token_id in torch.tensor(model.generation_config.eos_token_id)
    pair, options = random_pairs(1)[0], {"device": "cpu", "max_new_tokens": 4}
    said = pipeline(TASK, model=expected_model, processor=expected, **options)(pair)
    stock = {part: of.from_pretrained(folder) for part, of in zip(("model", "processor"), STOCK[kind], strict=True)}
    for how in ({"model": model, "processor": processor}, {"model": str(folder)}, stock):
        assert pipeline(TASK, **how, **options)(pair) == said


def test_keywords_of_from_pretrained(tiny_model_dir, tmp_path):
    hub = {"local_files_only": True, "token": "hf_x", "cache_dir": str(tmp_path / "cache"), "trust_remote_code": False}
    options = {"dtype": "bfloat16", "attn_implementation": "eager"}
    shutil.copytree(tiny_model_dir, tmp_path / "repo" / "inner")
    model, processor = load_idc(
        tmp_path / "repo", subfolder="inner", revision="main", device_map="cpu", **hub, **options
    )
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16} and model.device.type == "cpu"
    assert model.vision_model.config._attn_implementation == "eager"
    with pytest.raises(FileNotFoundError, match="No model in .*other'"):
        load_idc(tmp_path / "repo", subfolder="other")
    model_kwargs = {"subfolder": "inner", "attn_implementation": "eager"}
    pipe = pipeline(TASK, model=str(tmp_path / "repo"), dtype="bfloat16", device_map="cpu", model_kwargs=model_kwargs)
    assert pipe.model.dtype == torch.bfloat16 and pipe.model.vision_model.config._attn_implementation == "eager"
    assert pipe.processor.to_dict() == processor.to_dict()


class TestEmbedded:
    def test_names(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("mini", "modeling_blip2idc/mini"):
            assert load_idc(name)[0].name_or_path == str(EMBEDDED["mini"]) == embedded_model("mini")
        assert load_idc()[0].name_or_path == str(EMBEDDED[DEFAULT])
        assert pipeline(TASK, model=embedded_model("mini")).model.name_or_path == str(EMBEDDED["mini"])

    def test_a_folder_of_that_name_wins(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        shutil.copytree(EMBEDDED["mini"], "mini")
        assert load_idc("mini")[0].name_or_path == "mini"
        assert load_idc("modeling_blip2idc/mini")[0].name_or_path == str(EMBEDDED["mini"])
        shutil.rmtree("mini")
        Path("mini").mkdir()
        with pytest.raises(FileNotFoundError, match="No model in 'mini'"):
            load_idc("mini")

    def test_one_that_is_missing(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setitem(EMBEDDED, "mini_photos", tmp_path / "nowhere")
        with pytest.raises(FileNotFoundError, match="model 'mini_photos' is missing.*`make mini-photos` makes it"):
            load_idc("mini_photos")
        with pytest.raises(ValueError, match="no embedded model is called 'maxi'; their names are mini_photos, mini"):
            embedded_model("maxi")

    @pytest.mark.parametrize("there", [("mini",), ("mini", "mini_photos")])
    def test_the_photograph_model_is_the_default_where_it_is_there(self, there, tmp_path):
        code = shutil.ignore_patterns("mini*", "__pycache__")
        package = shutil.copytree(EMBEDDED["mini"].parent, tmp_path / "modeling_blip2idc", ignore=code)
        for name in there:
            shutil.copytree(EMBEDDED["mini"], package / name)
        shown = "from transformers import pipeline; from modeling_blip2idc import load_idc; from pathlib import Path; "
        shown += "found = load_idc()[0], pipeline('image-difference-captioning').model; "
        shown += "print(*(Path(model.name_or_path).name for model in found))"
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-c", shown]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [there[-1]] * 2


@pytest.fixture(params=["qformer.", "query_tokens", "retrieval", "truncated"])
def broken(request, plain_dir, tmp_path):
    """Folders whose weights are not those of a captioner, and what is said of them."""
    folder = shutil.copytree(plain_dir, tmp_path / "model")
    weights = folder / "model.safetensors"
    if request.param == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
        return folder, "incomplete|damaged|not fully covered"
    if request.param == "retrieval":
        stock = Blip2ForConditionalGeneration.from_pretrained(plain_dir)
        Blip2ForImageTextRetrieval(stock.config).save_pretrained(folder)
        return folder, "model' lacks .* of the weights.*'language_"
    kept = {name: tensor for name, tensor in load_file(weights).items() if not name.startswith(request.param)}
    save_file(kept, weights, metadata={"format": "pt"})
    return folder, f"model' lacks {44 if 'qformer' in request.param else 1} of the weights.*'{request.param}"


@pytest.mark.parametrize("way", LOADERS)
def test_missing_weights_are_refused(way, broken):
    """transformers would fill them with random numbers."""
    folder, message = broken
    with pytest.raises(Exception, match=message) as caught:
        LOADERS[way](folder)
    if "lacks" in message:
        assert type(caught.value) is ValueError


@pytest.mark.parametrize("way", ["load_idc", "pipeline"])
def test_another_architecture_is_refused(way, tmp_path):
    GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=5)).save_pretrained(tmp_path / "gpt2")
    with pytest.raises(ValueError, match="gpt2' is neither a BLIP-2 nor an InstructBLIP model.*'gpt2'"):
        LOADERS[way](tmp_path / "gpt2")


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 not whole", pickle.dumps(print)])
def test_damaged_weights_are_named(content, tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"pytorch_model\.bin is damaged, or holds something else than tensors$"):
        load_idc(folder)


def test_the_folder_of_a_run(tiny_model_dir, tmp_path):
    shutil.copytree(tiny_model_dir, tmp_path / "final")
    expected = load_idc(tmp_path / "final")[0].state_dict()
    for there in ((), ("adapter_config.json", "config.json")):  # which `pipeline` looks for
        for name in there:
            (tmp_path / name).write_text("{}")
        model, processor = load_idc(tmp_path)
        assert processor.num_query_tokens == 4
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    shutil.copytree(tiny_model_dir, tmp_path, dirs_exist_ok=True)  # a model that has such a folder is itself
    assert load.check_folder(str(tmp_path)) == str(tmp_path)


def test_no_model(tmp_path):
    for name in (tmp_path / "nothing", "./nothing", "a/b/c", "nothing/", "~/nothing", "no thing"):
        with pytest.raises(FileNotFoundError, match=rf"No such folder: '{name}', which is not a Hub id either\."):
            load_idc(name)
    with pytest.raises(FileNotFoundError, match=f"No model in .*{tmp_path.name}.*config.json"):
        load_idc(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="is a file; name the folder"):
        load_idc(tmp_path / "model.safetensors")
