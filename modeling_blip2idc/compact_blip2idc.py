"""Saving a small model in 16 bits and without code: the form of the embedded checkpoint."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

CODE_KEYS = ("auto_map", "custom_pipelines")


def save_compact(model, processor, folder):
    """Saves model and processor for use with this package: weights rounded to float16, no copies of our code.

    `config.json` keeps the dtype float32, so that loading widens the weights again and computes in float32. For a
    folder that works without the package use [`export_remote_code`].

    Args:
        model ([`Blip2IDCForConditionalGeneration`]): a full model.
        processor ([`Blip2IDCProcessor`]): its processor.
        folder (`str` or `Path`): is made; files of the same names are replaced.
    """
    folder = Path(folder)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    weights = folder / "model.safetensors"
    halves = {k: v.to(torch.float16).contiguous() for k, v in load_file(weights).items()}
    save_file(halves, weights, metadata={"format": "pt"})
    for file in folder.glob("*_blip2idc.py"):
        file.unlink()
    for name in ("config.json", "processor_config.json", "tokenizer_config.json"):
        path = folder / name
        if path.exists():
            kept = {k: v for k, v in json.loads(path.read_text()).items() if k not in CODE_KEYS}
            path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
