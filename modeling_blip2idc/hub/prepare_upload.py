"""What is published is put together in a folder of its own: files are written anew, and only named ones are copied."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import GenerationConfig, PreTrainedConfig
from transformers.utils import has_file

from ..loading.load import base_of, commit_of, embedded_name, load_idc
from ..pipeline_blip2idc import add_image_token
from .import_adapter import (
    ADAPTER,
    HALVES,
    convert,
    dtype_names,
    empty_model,
    read_adapter,
    read_adapter_config,
)
from .merge import check_logits, load_merged, probe_logits
from .saving import export_remote_code, name_base

EXTRAS = ("report.json", "curves.png", "examples.png", "LICENSE")
DTYPES = ("bfloat16", "float16", "float32", "keep")


def prepare_upload(
    source: Path, out: Path, dtype: str | None = None, merge: bool = False, token: str | None = None
) -> dict[str, Any]:
    """
    Writes the model or adapter in `source` (plain BLIP-2 and InstructBLIP become ours), and all that is needed to load
    it, into the empty folder `out`. By default a model keeps its dtype, and an adapter of 32 bits becomes bfloat16;
    with `merge` an adapter is merged into its base. Returns what a card says: `adapter` (whether it is one),
    `parameters`, `dtype`, `rounded` (whether 32 bits became 16); of an adapter `kind`, `base` (an
    embedded model as an adapter names it) and `revision`; of a model `model` (its class) and `merged`. Raises an
    `OSError` or `ValueError` if the model, the adapter or its base cannot be loaded, or nobody else could load the
    base; if a file of weights is damaged or a pickle; or if weights are not finite.
    """
    if dtype not in (None, *DTYPES):
        raise ValueError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    adapter = (source / "adapter_config.json").is_file()
    if merge and not adapter:
        raise ValueError(f"{source} has no adapter to merge: it is a whole model already")
    check_files(source)
    facts = _prepare_adapter(source, out, dtype, token) if adapter and not merge else _prepare_model(
        source, out, dtype, merge, token
    )  # fmt: skip
    for name in EXTRAS:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    return facts


def check_files(folder: Path) -> None:
    """
    Raises a `ValueError` that names the file, for weights that are a pickle, or shorter or longer than their header
    says, and for configurations that are damaged, of which most errors of transformers do not name the file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files and (pickles := sorted([*folder.glob("adapter_model*.bin"), *folder.glob("pytorch_model*.bin")])):
        raise ValueError(
            f"{pickles[0]} is a pickle, which is not published: `blip2idc import-adapter` converts an adapter; load "
            "and save a model again, which writes safetensors"
        )
    for file in files:
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file} is damaged, or not whole ({error})") from error
    for file in sorted([*folder.glob("*config.json"), *folder.glob("tokenizer.json")]):
        try:
            if not isinstance(json.loads(file.read_text(encoding="utf-8")), dict):
                raise ValueError("it is not a JSON object")
        except ValueError as error:
            raise ValueError(f"{file} is damaged ({error})") from error


def _prepare_model(source: Path, out: Path, dtype: str | None, merge: bool, token: str | None) -> dict[str, Any]:
    model, processor, *_ = load_merged(source, token=token) if merge else load_idc(source)
    loaded = model.dtype
    config = {} if merge else PreTrainedConfig.get_config_dict(source)[0]
    ours = config.get("model_type") == model.config.model_type and config.get("image_token_index") is not None
    if ours and dtype in (None, "keep"):
        # no second copy of many gigabytes; the files may also be narrower than the dtype they are loaded in
        export_remote_code(model, processor, out, state_dict={})
        single = source / "model.safetensors"
        for file in [single] if single.is_file() else source.glob("model*.safetensors*"):
            try:
                (out / file.name).symlink_to(file.resolve())
            except OSError:  # not every system lets everybody
                shutil.copyfile(file, out / file.name)
    else:
        if dtype not in (None, "keep"):
            model = model.to(getattr(torch, dtype))
        if bad := [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]:
            raise ValueError(f"{source}: {len(bad)} weights are not finite in {model.dtype}, such as {bad[0]!r}")
        export_remote_code(model, processor, out)
    facts = {
        "adapter": False,
        "merged": merge,
        "model": type(model).__name__,
        "parameters": model.num_parameters(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "rounded": loaded not in HALVES and model.dtype in HALVES,
    }
    if merge:
        expected = probe_logits(model, processor)
        del model  # there may not be room for two
        check_logits(expected, *load_idc(out), "the saved model")
    return facts


def _prepare_adapter(source: Path, out: Path, dtype: str | None, token: str | None) -> dict[str, Any]:
    base, revision = base_of(str(source), str(source / "adapter_config.json"))
    embedded = embedded_name(base)
    if os.path.isdir(base) and not embedded:
        raise ValueError(
            f"the adapter's base is the folder {base!r} of this machine, so that nobody else could load it: publish "
            "the base and name its repository in adapter_config.json (base_model_name_or_path), or push the merged "
            "model with --merge"
        )
    revision = None if embedded else commit_of(base, revision, token) or revision
    model, processor_class = empty_model(base, revision, token)
    config, weights = read_adapter_config(source), read_adapter(source, model)
    converted = convert(weights, dtype)
    save_file(converted, out / ADAPTER, metadata={"format": "pt"})
    of_base = {"revision": revision or "main", "token": token}
    if (source / "processor_config.json").is_file():
        processor = processor_class.from_pretrained(source)
    else:
        processor = processor_class.from_pretrained(base, **of_base)
    add_image_token(model, processor)
    if (source / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(source)
    elif has_file(base, "generation_config.json", **of_base):
        model.generation_config = GenerationConfig.from_pretrained(base, **of_base)
    shutil.copyfile(source / "adapter_config.json", out / "adapter_config.json")
    name_base(out, base, revision)
    export_remote_code(model, processor, out, state_dict={})
    kind = f"An adapter of the type {config.peft_type.value}"
    if config.peft_type == "LORA":
        kind = f"A LoRA of rank {config.r} (alpha {config.lora_alpha:g})"
    return {
        "adapter": True,
        "kind": kind,
        "base": embedded or base,
        "revision": revision,
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "dtype": dtype_names(converted),
        "rounded": any(
            tensor.dtype not in HALVES and converted[name].dtype in HALVES for name, tensor in weights.items()
        ),
    }


__all__ = ["DTYPES", "prepare_upload"]
