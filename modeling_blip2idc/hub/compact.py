"""The form in which a training run leaves its result: small, without code, without paths of this machine."""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..loading.load import EMBEDDED, EMBEDDED_NAME

CODE_KEYS = ("auto_map", "custom_pipelines")


def save_compact(model, processor, folder: str | os.PathLike) -> None:
    """
    Saves model and processor for use with this package: weights rounded to float16, no copies of our code.

    `config.json` keeps the dtype float32, so that loading widens the weights again and computes in float32. For a
    folder that works without the package use [`export_remote_code`].

    Args:
        model ([`Blip2IDCForConditionalGeneration`]):
            A full model.
        processor ([`Blip2IDCProcessor`]):
            Its processor.
        folder (`str` or `os.PathLike`):
            Is made; files of the same names are replaced.

    Raises:
        `ValueError`: if a weight is not finite in float16, whose largest number is 65504.
    """
    folder = Path(folder)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    weights = folder / "model.safetensors"
    # copies: the tensors that are read are the file that is written
    halves = {k: v.to(torch.float16, copy=True).contiguous() for k, v in load_file(weights).items()}
    if lost := sorted(k for k, v in halves.items() if not v.isfinite().all()):
        raise ValueError(f"{len(lost)} weights are not finite in float16, such as {lost[0]!r}; {folder} is in float32")
    save_file(halves, weights, metadata={"format": "pt"})
    for file in folder.glob("*_blip2idc.py"):
        file.unlink()
    for path in (folder / "config.json", folder / "processor_config.json", *folder.rglob("tokenizer_config.json")):
        if path.exists():
            _write(path, _without_code(path))


def name_base(folder: str | os.PathLike, base: str | os.PathLike, revision: str | None = None) -> None:
    """
    Makes a saved adapter name its base so that another machine can find it: a Hub id as it is, a folder by its path
    from the adapter's, the embedded model by `EMBEDDED_NAME`. Unless it is a Hub id, `config.json` of the base is put
    beside the adapter, from which `pipeline` sees what kind of model it is. A folder without an adapter is left alone.

    Args:
        folder (`str` or `os.PathLike`):
            Of the adapter.
        base (`str` or `os.PathLike`):
            Hub id or folder of the base model.
        revision (`str`, *optional*):
            Commit of a base on the Hub that the adapter was trained on: the weights there may be others tomorrow. By
            default, what the adapter names already.
    """
    file = Path(folder) / "adapter_config.json"
    if not file.is_file():
        return
    if os.path.isdir(base):
        _write(Path(folder) / "config.json", _without_code(Path(base) / "config.json"))
        embedded = Path(base).resolve() == EMBEDDED.resolve()
        base = EMBEDDED_NAME if embedded else Path(os.path.relpath(base, folder)).as_posix()
    values = {**json.loads(file.read_text(encoding="utf-8")), "base_model_name_or_path": os.fspath(base)}
    _write(file, values if revision is None else {**values, "revision": revision})


def _without_code(path: Path) -> dict:
    def clean(values):  # a processor's file nests those of its parts
        return {k: clean(v) if isinstance(v, dict) else v for k, v in values.items() if k not in CODE_KEYS}

    return clean(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


__all__ = ["name_base", "save_compact"]
