"""A damaged file in a folder that is to be published: one line that names it, for each kind of folder."""

import json
import shutil
import struct

import pytest
from peft import get_peft_model

from modeling_blip2idc import load_idc, lora_config
from modeling_blip2idc.hub.saving import name_base
from modeling_blip2idc.hub.merge import merge
from modeling_blip2idc.hub.push import push
from modeling_blip2idc.loading.load import EMBEDDED
from tests.support.tiny_blip2 import tiny_pair

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # peft's

CONFIGS = ("config.json", "generation_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json")
INDEX, REPORT = "model.safetensors.index.json", "report.json"
# Of each kind of folder, which is "pushed" there: its text files, those of a base beside it included; its weights.
KINDS = {
    "ours": ([*CONFIGS, REPORT], ["model.safetensors"]),
    "sharded": ([*CONFIGS, INDEX], ["model-00002-of-00002.safetensors"]),
    "plain": ([*CONFIGS, "README.md"], ["model.safetensors"]),
    "adapter": ([*CONFIGS, "adapter_config.json", REPORT, "README.md"], ["adapter_model.safetensors"]),
    "merged": (
        [*CONFIGS, "adapter_config.json", *(f"../plain/{name}" for name in CONFIGS)],
        ["adapter_model.safetensors", "../plain/model.safetensors"],
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    model, processor = tiny_pair()
    for kind, size in (("ours", "1GB"), ("sharded", "250KB")):
        model.save_pretrained(root / kind, max_shard_size=size)
        processor.save_pretrained(root / kind)
    merge(root / "ours", root / "plain")
    for kind, base in (("merged", root / "plain"), ("adapter", EMBEDDED)):
        model, processor = load_idc(base)
        get_peft_model(model, lora_config(r=2, init_lora_weights=False)).save_pretrained(root / kind)
        for part in (model.generation_config, processor):
            part.save_pretrained(root / kind)
        name_base(root / kind, base)
    report = json.loads((EMBEDDED / REPORT).read_text())
    (root / "ours" / REPORT).write_text(json.dumps(report))
    lora = {
        "tuning": "lora",
        "rank": 2,
        "lora_alpha": 16,
        "lora_dropout": 0,
        "towers": ["language"],
        "targets": "full",
    }
    report["about"].update(lora, scratch=None, embed=False)
    (root / "adapter" / REPORT).write_text(json.dumps(report))
    return root


@pytest.fixture
def folder(folders, tmp_path):
    """Makes a folder of a kind, whose files may be damaged."""

    def make(kind):
        if kind == "merged":
            shutil.copytree(folders / "plain", tmp_path / "plain")
        return shutil.copytree(folders / kind, tmp_path / "pushed")

    return make


def refused(folder, name, says="", kind=None):
    with pytest.raises((ValueError, OSError)) as caught:
        push(folder, "ann/x", token="ann-write", merge=kind == "merged", dry_run=True)
    said = str(caught.value)
    assert (folder / name).resolve().as_posix() in said.replace("pushed/../", "") and says in said, said
    assert "\n" not in said and len(said) < 600, said
    return said


@pytest.mark.parametrize("kind", KINDS)
def test_texts(folder, kind):
    folder = folder(kind)
    assert push(folder, "ann/x", token="ann-write", merge=kind == "merged", dry_run=True).files  # as it is
    for name in KINDS[kind][0]:
        file = folder / name
        whole = file.read_bytes()
        damages = {"'utf-8' codec can't decode": b"\xe9\xff" + whole}
        if name.endswith(".json"):
            damages |= {"it is empty": b"", "has to be a JSON object": b"[]", "JSONDecodeError": whole[:-9]}
        for says, damage in damages.items():
            file.write_bytes(damage)
            refused(folder, name, says, kind)
        file.write_bytes(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_weights(folder, kind):
    folder = folder(kind)
    for name in KINDS[kind][1]:
        file = folder / name
        whole = file.read_bytes()
        (size,) = struct.unpack("<Q", whole[:8])
        damages = {
            "empty": b"",
            "the header cut": whole[: 8 + size // 2],
            "the body cut": whole[:-9],
            "too long": whole + b"more",
            "an absurd length": struct.pack("<Q", 2**63) + whole[8:],
            "a bit of the header": whole[:8] + bytes([whole[8] ^ 1]) + whole[9:],
            "a pointer to a large file": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
        }
        for damage in damages.values():
            file.write_bytes(damage)
            assert "damaged" in refused(folder, name, "", kind)
        file.write_bytes(whole)


VALUES = [
    ("ours", "config.json", "vision_config", 3),
    ("ours", "config.json", "model_type", "bert"),
    ("ours", "config.json", "dtype", []),
    ("ours", "generation_config.json", "max_new_tokens", "many"),
    ("ours", "processor_config.json", "image_processor", "stock"),
    ("ours", "processor_config.json", "num_query_tokens", "eight"),
    ("ours", "tokenizer.json", "model", 3),
    ("ours", "tokenizer_config.json", "model_max_length", "long"),
    ("ours", REPORT, "scores", []),
    ("ours", REPORT, "about", []),
    ("sharded", INDEX, "weight_map", []),
    ("sharded", INDEX, "weight_map", "model.safetensors"),
    ("sharded", INDEX, "weight_map", {}),
    ("sharded", INDEX, "weight_map", {"query_tokens": 3}),
    ("sharded", INDEX, "weight_map", {"query_tokens": "../ours/model.safetensors"}),
    ("plain", "tokenizer.json", "added_tokens", {}),
    ("plain", "config.json", "dtype", 3),
    ("adapter", "adapter_config.json", "r", "eight"),
    ("adapter", "adapter_config.json", "target_modules", "("),
    ("adapter", "adapter_config.json", "base_model_name_or_path", 3),
    ("adapter", "adapter_config.json", "revision", []),
    ("adapter", "processor_config.json", "image_processor", 3),
    ("adapter", REPORT, "about", "me"),
    ("merged", "adapter_config.json", "r", "eight"),
    ("merged", "processor_config.json", "image_processor", 3),
    ("merged", "../plain/config.json", "text_config", []),
    ("merged", "../plain/generation_config.json", "max_new_tokens", "many"),
]


@pytest.mark.parametrize(("kind", "name", "key", "value"), VALUES)
def test_values_of_a_wrong_kind(folder, kind, name, key, value):
    folder = folder(kind)
    values = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**values, key: value}))
    refused(folder, name, kind=kind)


@pytest.mark.parametrize("kind", ["sharded", "adapter", "merged"])
def test_weights_that_are_not_there(folder, kind):
    folder, name = folder(kind), KINDS[kind][1][-1]
    (folder / name).unlink()
    said = refused(folder, name if kind != "adapter" else ".", kind=kind)
    assert name.removeprefix("../plain/") in said


def test_a_tensor_of_another_name(folder):
    """One bit of the header that leaves it readable."""
    folder = folder("ours")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes().replace(b'"query_tokens"', b'"query_tokenr"', 1))
    assert "'query_token" in refused(folder, "model.safetensors", "the weights are not those of its config.json")
