"""Folders of tiny adapters: as peft 0.5 wrote them and the authors of BLIP2IDC published theirs, and as we do."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from transformers import Blip2ForConditionalGeneration

from modeling_blip2idc import load_idc, lora_config
from modeling_blip2idc.hub.saving import name_base

# adapter_config.json of the released adapters, field by field (github.com/gautierevn/BLIP2IDC, code_release/weights).
TARGETS = [f"qformer.encoder.layer.{layer}.crossattention.attention.query" for layer in range(12)] + [
    "value", "key", "qkv", "q_proj", "k_proj", "v_proj",
]  # fmt: skip
PEFT_05 = {
    "auto_mapping": {
        "base_model_class": "Blip2ForConditionalGeneration",
        "parent_library": "transformers.models.blip_2.modeling_blip_2",
    },
    "base_model_name_or_path": "Salesforce/blip2-opt-2.7b",
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layers_pattern": None,
    "layers_to_transform": None,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "modules_to_save": None,
    "peft_type": "LORA",
    "r": 8,
    "revision": None,
    "target_modules": TARGETS,
    "task_type": None,
}
NAME = "spot_1e-4_rank_8_seed_1234__8_15.bin.opt"


def write_old(folder: Path, weights: dict, **changes) -> Path:
    """A folder of these weights; `changes` to its adapter_config.json."""
    folder.mkdir()
    torch.save(weights, folder / "adapter_model.bin")
    (folder / "adapter_config.json").write_text(json.dumps({**PEFT_05, **changes}, indent=2))
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n- PEFT 0.5.0.dev0\n")
    return folder


def random_weights(base: Path) -> dict[str, torch.Tensor]:
    """Of every module of the authors' list, in float16 as their script makes them."""
    torch.manual_seed(1)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, init_lora_weights=False)
    adapted = get_peft_model(Blip2ForConditionalGeneration.from_pretrained(base), config)
    return {name: tensor.half() for name, tensor in get_peft_model_state_dict(adapted).items()}


def adapter_of(folder, parts, **changes):
    """A base, and an adapter beside it whose weights matter; the adapter's model and processor."""
    for part in parts:
        part.save_pretrained(folder / "base")
    model, processor = load_idc(folder / "base")
    for name, value in changes.items():
        setattr(processor, name, value)
    torch.manual_seed(0)
    get_peft_model(model, lora_config(init_lora_weights=False)).save_pretrained(folder / "adapter")
    name_base(folder / "adapter", folder / "base")
    processor.save_pretrained(folder / "adapter")
    model.generation_config.max_new_tokens = 12
    model.generation_config.save_pretrained(folder / "adapter")
    model, processor = load_idc(folder / "adapter")
    assert isinstance(model, PeftModel)
    return folder / "adapter", model, processor
