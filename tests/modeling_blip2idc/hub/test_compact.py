"""How a run leaves its result: 16 bits, no code, no paths."""

import json

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file
from transformers import Blip2ForConditionalGeneration, Blip2Processor, pipeline

from modeling_blip2idc import load_idc, lora_config
from modeling_blip2idc.hub.saving import name_base, save_compact
from tests.support.tiny_blip2 import random_pairs, tiny_pair


@pytest.fixture
def saved(tmp_path):
    model, processor = tiny_pair()
    save_compact(model, processor, tmp_path / "made" / "here")
    return tmp_path / "made" / "here", model, processor


def test_half_the_bytes_and_no_code(saved):
    folder, model, _ = saved
    weights = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    parameters = dict(model.named_parameters())
    assert set(weights) <= set(model.state_dict())
    assert all(torch.equal(weights[n], p.half()) for n, p in parameters.items() if n in weights)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    assert not any("auto_map" in path.read_text() for path in folder.glob("*.json"))


def test_it_computes_in_float32(saved):
    folder, model, _ = saved
    loaded, processor = load_idc(folder)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    rounded = {name: tensor.half().float() for name, tensor in model.state_dict().items()}
    model.load_state_dict(rounded)
    inputs = processor(images=random_pairs(3))
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)


def test_plain_blip2_loads_it(saved):
    folder, model, _ = saved
    plain, info = Blip2ForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert plain.num_parameters() == model.num_parameters()
    assert Blip2Processor.from_pretrained(folder).num_query_tokens == 4


def test_saved_again_over_itself(saved):
    folder, _, _ = saved
    before = load_file(folder / "model.safetensors")
    before = {name: tensor.clone() for name, tensor in before.items()}
    for dtype in ("float32", "float16"):
        model, processor = load_idc(folder, dtype=dtype)
        save_compact(model, processor, folder)
        after = load_file(folder / "model.safetensors")
        assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_weights_too_large_for_16_bits(tmp_path):
    model, processor = tiny_pair()
    torch.nn.init.constant_(model.language_projection.bias, 1e5)
    with pytest.raises(ValueError, match=r"1 weights are not finite in float16, such as 'language_projection.bias'"):
        save_compact(model, processor, tmp_path)
    assert load_idc(tmp_path)[0].language_projection.bias[0] == 1e5


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

    def named(self, folder):
        return json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]

    def test_a_folder_by_its_path_from_the_adapters(self, adapter, monkeypatch):
        root, expected, processor = adapter
        folder = root / "runs" / "a" / "final"
        monkeypatch.chdir(root)
        for base in (root / "models" / "base", "models/base"):  # absolute, and from the working folder
            name_base(folder, base)
            assert self.named(folder) == "../../../models/base"
        assert not any(str(root) in (folder / name).read_text() for name in ("adapter_config.json", "config.json"))
        monkeypatch.chdir("/")
        pairs = random_pairs(3)
        inputs = processor(images=pairs)
        ids = expected.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        captions = processor.post_process_captions(ids)
        assert len(set(captions)) == 3
        model, own = load_idc(folder)
        assert torch.equal(model.generate(**own(images=pairs))[:, inputs["input_ids"].shape[1] :], ids)
        pipe = pipeline("image-difference-captioning", model=str(folder))
        assert [row[0]["generated_text"] for row in pipe(pairs)] == captions

    def test_both_can_move_together(self, adapter):
        root, _, _ = adapter
        name_base(root / "runs" / "a" / "final", root / "models" / "base")
        inside = root / "elsewhere"
        inside.mkdir()
        for name in ("runs", "models"):
            (root / name).rename(inside / name)
        assert load_idc(inside / "runs" / "a" / "final")[0].peft_config
        pipeline("image-difference-captioning", model=str(inside / "runs" / "a" / "final"))

    def test_a_hub_id_as_it_is(self, adapter):
        folder = adapter[0] / "runs" / "a" / "final"
        name_base(folder, "Salesforce/blip2-opt-2.7b")
        assert self.named(folder) == "Salesforce/blip2-opt-2.7b"
        assert not (folder / "config.json").exists()
        commit = 40 * "a"
        for revision in (commit, None):  # the second time it stays
            name_base(folder, "Salesforce/blip2-opt-2.7b", revision)
            assert json.loads((folder / "adapter_config.json").read_text())["revision"] == commit

    def test_a_full_model_is_left_alone(self, saved):
        folder, _, _ = saved
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        name_base(folder, "somewhere")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
