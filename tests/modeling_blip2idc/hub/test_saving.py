"""Folders with all of our code, for processes without this package, or with none of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import Blip2ForConditionalGeneration, Blip2Processor, pipeline

from modeling_blip2idc import (
    Blip2IDCForConditionalGeneration,
    Blip2IDCProcessor,
    ImageDifferenceCaptioningPipeline,
    export_remote_code,
    load_idc,
    lora_config,
)
from modeling_blip2idc.hub.saving import name_base, remove_code, save_compact
from tests.support.source_tree import ROOT
from tests.support.tiny_blip2 import random_pairs, tiny_pair

# What a stranger does with folders. Blocking the name keeps an installed copy of the package out, too.
STRANGER = """
import json, sys
sys.modules["modeling_blip2idc"] = None
import numpy as np, torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, pipeline
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
rng = np.random.default_rng(0)
pairs = [tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)) for _ in range(3)]

def captions(model, processor):
    inputs = processor(images=pairs)
    output = model.eval().generate(**inputs, max_new_tokens=6, return_dict_in_generate=True, output_logits=True)
    ids = output.sequences[:, inputs["input_ids"].shape[1] :]
    return processor.post_process_captions(ids), model.sequence_confidence(output).tolist()

def looked_at(folder):
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    found = {"model_type": config.model_type, "no_change": config.no_change_captions[0]}
    model = AutoModelForImageTextToText.from_pretrained(folder, config=config, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    found["loaded"] = captions(model, processor)
    found["classes"] = [type(model).__name__, type(processor).__name__, type(model).__module__.split(".")[0]]
    for task in ("image-difference-captioning", None):
        pipe = pipeline(task, model=folder, trust_remote_code=True, device="cpu")
        found[f"pipeline {task}"] = pipe(pairs, batch_size=2, max_new_tokens=6)
    pipe.save_pretrained(again := folder + "-again")
    model = AutoModelForImageTextToText.from_pretrained(again, trust_remote_code=True)
    found["saved again"] = captions(model, AutoProcessor.from_pretrained(again, trust_remote_code=True))
    try:
        AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=False)
    except ValueError as error:
        found["untrusted"] = str(error)
    return found

found = [looked_at(folder) for folder in sys.argv[1:]]
assert "peft" not in sys.modules  # it is needed for adapters only
print(json.dumps(found))
"""


def code_in(folder):
    """Files of code, and those that the configurations name, with what they import."""
    named = {match for path in folder.glob("*.json") for match in re.findall(r'"(\w+)\.\w*IDC\w*"', path.read_text())}
    named |= {
        match for path in folder.glob("*.json") for match in re.findall(r'"(pipeline_\w+)\.\w+"', path.read_text())
    }
    files = {path.stem: path.read_text() for path in folder.glob("*.py")}
    while missing := {m for name in named & files.keys() for m in re.findall(r"from \.(\w+) ", files[name])} - named:
        named |= missing
    return set(files), named


@pytest.fixture
def exported(tiny_model, tiny_processor, tmp_path):
    export_remote_code(tiny_model, tiny_processor, tmp_path / "exported")
    return tmp_path / "exported"


class TestAllOfOurCode:
    def test_in_a_process_without_this_package(self, tiny_model_dir, instructblip_dir, tmp_path):
        ours = {"Blip2IDC": load_idc(tiny_model_dir), "InstructBlipIDC": load_idc(instructblip_dir)}
        for name, (model, processor) in ours.items():
            export_remote_code(model, processor, tmp_path / name)
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-I", "-c", STRANGER, *ours]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout.strip().splitlines()[-1])
        for (name, (model, processor)), found in zip(ours.items(), answers, strict=True):
            pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu")
            expected = pipe(random_pairs(3), max_new_tokens=6)
            captions = [result[0]["generated_text"] for result in expected]
            scores = pytest.approx([result[0]["score"] for result in expected], rel=1e-5)
            assert found["loaded"] == found["saved again"] == [captions, scores], name
            for task in ("image-difference-captioning", None):
                results = found[f"pipeline {task}"]
                assert [result[0]["generated_text"] for result in results] == captions
                assert [result[0]["score"] for result in results] == scores
                assert [result[0]["changed"] for result in results] == [result[0]["changed"] for result in expected]
            assert found["model_type"] == name.lower() and found["no_change"] == model.config.no_change_captions[0]
            classes = [f"{name}ForConditionalGeneration", f"{name}Processor", "transformers_modules"]
            assert found["classes"] == classes and "trust_remote_code=True" in found["untrusted"]

    def test_what_is_in_it(self, exported, tmp_path):
        files, named = code_in(exported)
        assert files == named and {"modeling_blip2idc", "pipeline_blip2idc", "processing_blip2idc"} <= files
        for copy in exported.glob("*.py"):
            assert copy.read_text() == (ROOT / "modeling_blip2idc" / copy.name).read_text(), copy.name
        texts = {path.name: path.read_text() for path in exported.iterdir() if path.suffix != ".safetensors"}
        assert {"config.json", "processor_config.json", "generation_config.json", "tokenizer.json"} <= texts.keys()
        for path in (str(tmp_path), str(tmp_path.parent), str(ROOT), str(Path.home())):
            named = [name for name, text in texts.items() if len(path) > 1 and path in text]
            assert not named, (path, named)
        assert set(json.loads(texts["config.json"])["custom_pipelines"]) == {"image-difference-captioning"}
        assert json.loads(texts["config.json"])["auto_map"] == {
            "AutoConfig": "configuration_blip2idc.Blip2IDCConfig",
            "AutoModelForImageTextToText": "modeling_blip2idc.Blip2IDCForConditionalGeneration",
        }

    def test_stock_classes_load_the_folder(self, exported, tiny_model):
        model = Blip2ForConditionalGeneration.from_pretrained(exported)
        assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in tiny_model.state_dict().items())
        assert Blip2Processor.from_pretrained(exported).num_query_tokens == 4

    def test_the_model_keeps_no_trace_of_it(self, exported, tiny_model, tiny_processor, tmp_path):
        """A later save would promise a pipeline whose code it does not write."""
        export_remote_code(tiny_model, tiny_processor, tmp_path / "other")
        tiny_model.save_pretrained(tmp_path / "later")
        files, named = code_in(tmp_path / "later")
        assert files == named and "pipeline_blip2idc" not in files

    def test_a_t5_model(self, tiny_t5_model, tiny_t5_processor, tmp_path):
        export_remote_code(tiny_t5_model, tiny_t5_processor, tmp_path)
        model = Blip2IDCForConditionalGeneration.from_pretrained(tmp_path).eval()
        inputs = Blip2IDCProcessor.from_pretrained(tmp_path)(images=random_pairs(2))
        assert torch.equal(model.generate(**inputs), tiny_t5_model.generate(**inputs))

    def test_what_cannot_be_exported(self, tiny_model, tiny_processor, plain_dir, tmp_path):
        stock = Blip2ForConditionalGeneration.from_pretrained(plain_dir)
        with pytest.raises(ValueError, match="Blip2ForConditionalGeneration has no code.*load_idc"):
            export_remote_code(stock, tiny_processor, tmp_path / "x")
        with pytest.raises(ValueError, match="merge_and_unload"):
            export_remote_code(get_peft_model(tiny_model, lora_config()), tiny_processor, tmp_path / "x")
        assert not (tmp_path / "x").exists()


class TestNoneOfOurCode:
    @pytest.fixture
    def saved(self, tmp_path):
        model, processor = tiny_pair()
        save_compact(model, processor, tmp_path / "made" / "here")
        return tmp_path / "made" / "here", model

    def test_half_the_bytes_and_no_code(self, saved):
        folder, model = saved
        weights = load_file(folder / "model.safetensors")
        assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
        parameters = dict(model.named_parameters())
        assert set(weights) <= set(model.state_dict())
        assert all(torch.equal(weights[n], p.half()) for n, p in parameters.items() if n in weights)
        assert code_in(folder) == (set(), set())
        assert not any(
            word in path.read_text() for path in folder.rglob("*.json") for word in ("auto_map", "custom_pi")
        )
        plain, info = Blip2ForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
        assert plain.num_parameters() == model.num_parameters()

    def test_it_computes_in_float32(self, saved):
        folder, model = saved
        loaded, processor = load_idc(folder)
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}
        model.load_state_dict({name: tensor.half().float() for name, tensor in model.state_dict().items()})
        inputs = processor(images=random_pairs(3))
        assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)

    def test_saved_again_over_itself(self, saved):
        folder, _ = saved
        before = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
        for dtype in ("float32", "float16"):
            save_compact(*load_idc(folder, dtype=dtype), folder)
            after = load_file(folder / "model.safetensors")
            assert after.keys() == before.keys()
            assert all(torch.equal(after[name], tensor) for name, tensor in before.items())

    def test_weights_too_large_for_16_bits(self, tmp_path):
        model, processor = tiny_pair()
        torch.nn.init.constant_(model.language_projection.bias, 1e5)
        with pytest.raises(
            ValueError, match=r"1 weights are not finite in float16, such as 'language_projection.bias'"
        ):
            save_compact(model, processor, tmp_path)

    def test_of_a_folder_with_half_of_it(self, exported):
        """As `model.save_pretrained` may leave it: the configuration names a pipeline whose code is missing."""
        (exported / "pipeline_blip2idc.py").unlink()
        remove_code(exported)
        assert code_in(exported) == (set(), set())
        assert load_idc(exported)[1].concat_axis == "vertical"


class TestNameBase:
    @pytest.fixture
    def adapter(self, tmp_path):
        for part in tiny_pair():
            part.save_pretrained(tmp_path / "models" / "base")
        model, processor = load_idc(tmp_path / "models" / "base")
        model = get_peft_model(model, lora_config(init_lora_weights=False)).eval()
        model.save_pretrained(tmp_path / "runs" / "a" / "final")
        processor.save_pretrained(tmp_path / "runs" / "a" / "final")
        return tmp_path, model, processor

    def config(self, folder):
        return json.loads((folder / "adapter_config.json").read_text())

    def test_a_folder_by_its_path_from_the_adapters(self, adapter, monkeypatch):
        root, expected, processor = adapter
        folder = root / "runs" / "a" / "final"
        monkeypatch.chdir(root)
        for base in (root / "models" / "base", "models/base"):  # absolute, and from the working folder
            name_base(folder, base)
            assert self.config(folder)["base_model_name_or_path"] == "../../../models/base"
        assert not any(str(root) in (folder / name).read_text() for name in ("adapter_config.json", "config.json"))
        monkeypatch.chdir("/")
        pairs = random_pairs(3)
        inputs = processor(images=pairs)
        ids = expected.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        captions = processor.post_process_captions(ids)
        assert len(set(captions)) == 3
        # both can move together
        inside = root / "elsewhere"
        inside.mkdir()
        for name in ("runs", "models"):
            (root / name).rename(inside / name)
        folder = inside / "runs" / "a" / "final"
        model, own = load_idc(folder)
        assert torch.equal(model.generate(**own(images=pairs))[:, inputs["input_ids"].shape[1] :], ids)
        pipe = pipeline("image-difference-captioning", model=str(folder))
        assert [row[0]["generated_text"] for row in pipe(pairs)] == captions

    def test_a_hub_id_and_its_commit(self, adapter):
        folder = adapter[0] / "runs" / "a" / "final"
        assert not (folder / "config.json").exists()
        commit = 40 * "a"
        for revision in (commit, None):  # the second time it stays
            name_base(folder, "Salesforce/blip2-opt-2.7b", revision)
            config = self.config(folder)
            assert (config["base_model_name_or_path"], config["revision"]) == ("Salesforce/blip2-opt-2.7b", commit)
        assert not (folder / "config.json").exists()

    def test_everybody_has_the_class_of_the_base(self, adapter, monkeypatch):
        root, expected, processor = adapter
        folder = root / "runs" / "a" / "final"
        name_base(folder, root / "models" / "base")
        assert self.config(folder)["auto_mapping"] == {
            "base_model_class": "Blip2ForConditionalGeneration",
            "parent_library": "transformers.models.blip_2.modeling_blip_2",
        }
        monkeypatch.chdir(folder)  # where the path leads to the base for peft as well
        inputs = processor(images=random_pairs(2))
        found = AutoPeftModel.from_pretrained(".").eval()(**inputs, interpolate_pos_encoding=True).logits
        assert torch.equal(found, expected(**inputs).logits)

    def test_a_full_model_is_left_alone(self, tmp_path):
        save_compact(*tiny_pair(), tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        name_base(tmp_path, "somewhere")
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
