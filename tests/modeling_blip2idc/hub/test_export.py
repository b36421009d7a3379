"""A folder for a process without this package: `trust_remote_code` and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import get_peft_model
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from modeling_blip2idc import (
    Blip2IDCForConditionalGeneration,
    Blip2IDCProcessor,
    ImageDifferenceCaptioningPipeline,
    export_remote_code,
    lora_config,
)
from tests.support.tiny_blip2 import random_pairs

ROOT = Path(__file__).parents[3]

# What a stranger runs. Blocking the name keeps an installed copy of the package out, too.
STRANGER = """
import json, sys
sys.modules["modeling_blip2idc"] = None
import numpy as np, torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, pipeline
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
folder, bare, again = sys.argv[1:]
rng = np.random.default_rng(0)
pairs = [tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)) for _ in range(3)]

def captions(model, processor):
    inputs = processor(images=pairs)
    output = model.eval().generate(**inputs, max_new_tokens=6, return_dict_in_generate=True, output_logits=True)
    ids = output.sequences[:, inputs["input_ids"].shape[1] :]
    return processor.post_process_captions(ids), model.sequence_confidence(output).tolist()

found = {}
for name in (folder, bare):
    config = AutoConfig.from_pretrained(name, trust_remote_code=True)
    found["model_type"], found["no_change"] = config.model_type, config.no_change_captions[0]
    model = AutoModelForImageTextToText.from_pretrained(name, config=config, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
    found["loaded " + ("bare" if name == bare else "exported")] = captions(model, processor)
found["classes"] = [type(model).__name__, type(processor).__name__, type(model).__module__.split(".")[0]]

model.save_pretrained(again)
processor.save_pretrained(again)
model = AutoModelForImageTextToText.from_pretrained(again, trust_remote_code=True)
found["saved again"] = captions(model, AutoProcessor.from_pretrained(again, trust_remote_code=True))

for task in ("image-difference-captioning", None):
    pipe = pipeline(task, model=folder, trust_remote_code=True, device="cpu")
    found[f"pipeline {task}"] = pipe(pairs, batch_size=2, max_new_tokens=6)
try:
    AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=False)
except ValueError as error:
    found["untrusted"] = str(error)
try:
    pipeline("image-difference-captioning", model=bare, trust_remote_code=True)
except KeyError as error:
    found["bare pipeline"] = str(error)
found["peft"] = "peft" in sys.modules  # it is needed for adapters only
print(json.dumps(found))
"""


@pytest.fixture
def exported(tiny_model, tiny_processor, tmp_path):
    export_remote_code(tiny_model, tiny_processor, tmp_path / "exported")
    return tmp_path / "exported"


def test_in_a_process_without_this_package(exported, tiny_model, tiny_processor, tmp_path):
    for part in (tiny_model, tiny_processor):
        part.save_pretrained(tmp_path / "bare")
    (tmp_path / "stranger").mkdir()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    folders = [str(exported), str(tmp_path / "bare"), str(tmp_path / "again")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, *folders],
        cwd=tmp_path / "stranger", env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])

    pairs = random_pairs(3)
    pipe = ImageDifferenceCaptioningPipeline(model=tiny_model, processor=tiny_processor, device="cpu")
    expected = pipe(pairs, max_new_tokens=6)
    captions = [result[0]["generated_text"] for result in expected]
    scores = pytest.approx([result[0]["score"] for result in expected], rel=1e-5)
    for name in ("loaded exported", "loaded bare", "saved again"):
        assert found[name] == [captions, scores], name
    for task in ("image-difference-captioning", None):
        results = found[f"pipeline {task}"]
        assert [result[0]["generated_text"] for result in results] == captions
        assert [result[0]["score"] for result in results] == scores
        assert [result[0]["changed"] for result in results] == [result[0]["changed"] for result in expected]
    assert (found["model_type"], found["no_change"]) == ("blip2idc", tiny_model.config.no_change_captions[0])
    assert found["classes"] == ["Blip2IDCForConditionalGeneration", "Blip2IDCProcessor", "transformers_modules"]
    assert not found["peft"]
    assert "trust_remote_code=True" in found["untrusted"]
    assert "image-difference-captioning" in found["bare pipeline"]


def test_nothing_names_a_path_of_this_machine(exported, tmp_path):
    texts = {path.name: path.read_text() for path in exported.iterdir() if path.suffix != ".safetensors"}
    assert {"config.json", "processor_config.json", "generation_config.json", "tokenizer.json"} <= texts.keys()
    for path in (str(tmp_path), str(tmp_path.parent), str(ROOT), str(Path.home())):
        named = [name for name, text in texts.items() if len(path) > 1 and path in text]
        assert not named, (path, named)
    config = json.loads(texts["config.json"])
    assert config["custom_pipelines"] == {
        "image-difference-captioning": {
            "impl": "pipeline_blip2idc.ImageDifferenceCaptioningPipeline",
            "pt": ["AutoModelForImageTextToText"],
            "type": "multimodal",
        }
    }
    assert config["auto_map"] == {
        "AutoConfig": "configuration_blip2idc.Blip2IDCConfig",
        "AutoModelForImageTextToText": "modeling_blip2idc.Blip2IDCForConditionalGeneration",
    }


def test_the_copied_code_is_that_of_the_package(exported):
    copies = sorted(exported.glob("*.py"))
    assert {"modeling_blip2idc.py", "pipeline_blip2idc.py", "processing_blip2idc.py"} <= {p.name for p in copies}
    for copy in copies:
        assert copy.read_text() == (ROOT / "modeling_blip2idc" / copy.name).read_text(), copy.name


def test_stock_classes_load_the_folder(exported, tiny_model):
    model = Blip2ForConditionalGeneration.from_pretrained(exported)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in tiny_model.state_dict().items())
    assert Blip2Processor.from_pretrained(exported).num_query_tokens == 4


def test_the_model_keeps_no_trace_of_it(exported, tiny_model, tiny_processor, tmp_path):
    """A later save would promise a pipeline whose code it does not write."""
    export_remote_code(tiny_model, tiny_processor, tmp_path / "other")
    tiny_model.save_pretrained(tmp_path / "later")
    assert "custom_pipelines" not in json.loads((tmp_path / "later" / "config.json").read_text())


def test_a_t5_model(tiny_t5_model, tiny_t5_processor, tmp_path):
    export_remote_code(tiny_t5_model, tiny_t5_processor, tmp_path)
    model = Blip2IDCForConditionalGeneration.from_pretrained(tmp_path).eval()
    inputs = Blip2IDCProcessor.from_pretrained(tmp_path)(images=random_pairs(2))
    assert torch.equal(model.generate(**inputs), tiny_t5_model.generate(**inputs))


def test_what_cannot_be_exported(tiny_model, tiny_processor, plain_dir, tmp_path):
    stock = Blip2ForConditionalGeneration.from_pretrained(plain_dir)
    with pytest.raises(ValueError, match="Blip2ForConditionalGeneration has no code.*load_idc"):
        export_remote_code(stock, tiny_processor, tmp_path / "x")
    with pytest.raises(ValueError, match="merge_and_unload"):
        export_remote_code(get_peft_model(tiny_model, lora_config()), tiny_processor, tmp_path / "x")
    assert not (tmp_path / "x").exists()
