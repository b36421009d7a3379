"""Folders to be published, made of a model or an adapter: files are written anew, and none copied but those named."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import GenerationConfig
from transformers.utils import has_file
from transformers.utils.hub import resolve_revision

from ..loading.load import EMBEDDED, EMBEDDED_NAME, base_of, load_idc
from .adapter_base import load_on_base, read_base
from .adapter_weights import PICKLE, SAFETENSORS, check_adapter, read_adapter_config, read_adapter_weights
from .export import export_remote_code, export_without_weights
from .read_folder import (
    INDEX,
    WEIGHTS,
    check_texts,
    read_generation,
    read_object,
    read_parts,
    read_processor,
)

EXTRAS = ("report.json", "curves.png", "examples.png", "LICENSE")
DTYPES = ("bfloat16", "float16", "float32", "keep")
HALVES = {torch.float16, torch.bfloat16}
DTYPE_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}  # of safetensors


def check_source(source: Path, dtype: str | None = None, merge: bool = False) -> None:
    """
    Refuses what cannot be published, as far as small files tell.

    Args:
        source (`pathlib.Path`):
            Folder with `config.json` or `adapter_config.json`.
        dtype (`str`, *optional*):
            Of the weights, one of `DTYPES`.
        merge (`bool`, *optional*, defaults to `False`):
            Whether an adapter is to be merged.

    Raises:
        `OSError`, `ValueError`: a text file is damaged; there are no safetensors; an adapter is no LoRA, or its base
            is a folder.
    """
    if dtype not in (None, *DTYPES):
        raise ValueError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
    check_texts(source)
    if not (source / "adapter_config.json").is_file():
        if merge:
            raise ValueError(f"merge: {source} is no adapter, but a whole model already")
        pickles = sorted(path.name for path in source.glob("pytorch_model*.bin"))
        if not any((source / name).is_file() for name in (WEIGHTS, INDEX)):
            if pickles:
                raise ValueError(
                    f"{source / pickles[0]} is a pickle, which is not published: load the model and save it again, "
                    "which writes safetensors (`blip2idc import-adapter` does so for an adapter)"
                )
            raise FileNotFoundError(f"{source / WEIGHTS} is missing: config.json has no weights beside it")
        return
    if not (source / SAFETENSORS).is_file() and (source / PICKLE).is_file():
        raise ValueError(
            f"{source / PICKLE} is a pickle, which is not published: `blip2idc import-adapter {source}` makes a "
            "folder with safetensors of it"
        )
    named = read_adapter_config(source).base_model_name_or_path
    base, _ = base_of(str(source), str(source / "adapter_config.json"))
    if os.path.isdir(base) and not merge and not _is_embedded(base):
        raise ValueError(
            f"the adapter's base is the folder {named!r} of this machine, so that nobody could load it: publish the "
            "base and name its repository in adapter_config.json (base_model_name_or_path), or push the merged model "
            "with --merge"
        )


def stage_adapter(source: Path, out: Path, dtype: str | None = None, token: str | None = None) -> dict[str, Any]:
    """
    Writes an adapter, and what is needed to load it, into an empty folder.

    Args:
        source (`pathlib.Path`), out (`pathlib.Path`):
            From where, and where to.
        dtype (`str`, *optional*):
            One of `DTYPES`. By default 16-bit weights stay as they are, and others are rounded to bfloat16.
        token (`str`, *optional*):
            For a base on the Hub, of which configuration and tokenizer are read; by default the one that is logged in.

    Returns:
        `dict`: `adapter` (`True`), `base` (`None`: the embedded model), `revision`, `rank`, `lora_alpha`,
        `parameters`, `dtype`, `rounded` (whether 32 bits became 16).

    Raises:
        `OSError`, `ValueError`: the base cannot be read, or the weights do not fit it, or the dtype.
    """
    config = read_adapter_config(source)
    file, weights = read_adapter_weights(source)
    base, named_revision = base_of(str(source), str(source / "adapter_config.json"))
    embedded = _is_embedded(base)
    revision = None if embedded else named_revision or _commit(base, token)
    model, processor_class = read_base(base, revision, token)
    check_adapter(file, config, weights, type(model), model.config)
    converted = {name: _as(tensor, dtype) for name, tensor in weights.items()}
    if lost := [name for name, tensor in converted.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{file}: {lost[0]!r} has values that are too large for {dtype}; give another dtype")
    save_file(converted, out / SAFETENSORS, metadata={"format": "pt"})

    config.base_model_name_or_path = EMBEDDED_NAME if embedded else base
    config.revision, config.inference_mode = revision, True
    stock = next(base for base in type(model).__mro__ if base.__module__.startswith("transformers.models."))
    config.auto_mapping = {"base_model_class": stock.__name__, "parent_library": stock.__module__}  # everybody has it
    if isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)  # the same file every time
    config.save_pretrained(str(out))
    of_base = {"revision": revision or "main", "token": token}
    if (source / "processor_config.json").is_file():
        processor = read_processor(source, processor_class)
    else:
        processor = processor_class.from_pretrained(base, **of_base)
    _settle(model.config, processor)
    export_without_weights(model, processor, out)
    settings = read_generation(source)
    if settings is None and has_file(base, "generation_config.json", **of_base):
        settings = GenerationConfig.from_pretrained(base, **of_base)
    if settings is not None:
        settings.save_pretrained(out)
    before, after = ({tensor.dtype for tensor in tensors.values()} for tensors in (weights, converted))
    return {
        "adapter": True,
        "base": None if embedded else base,
        "revision": revision,
        "rank": config.r,
        "lora_alpha": config.lora_alpha,
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "dtype": _named(after),
        "rounded": before - HALVES != set() and after <= HALVES,
    }


def stage_model(source: Path, out: Path, dtype: str | None = None, token: str | None = None) -> dict[str, Any]:
    """
    As [`stage_adapter`], for a whole model: ours, plain BLIP-2 or InstructBLIP, or an adapter, which is merged into
    its base. It becomes one of ours. Weights of ours that keep their dtype are linked, not read.

    Args:
        source (`pathlib.Path`), out (`pathlib.Path`), token (`str`, *optional*):
            As there.
        dtype (`str`, *optional*):
            As there; by default weights stay as they are.

    Returns:
        `dict`: `adapter` (`False`), `merged`, `ours` (whether it was one of ours before), `model`, `parameters`,
        `dtype`, `rounded`.

    Raises:
        `OSError`, `ValueError`: the weights are damaged, not finite, or not those that the configuration asks for.
    """
    merged = (source / "adapter_config.json").is_file()
    values = {} if merged else read_object(source / "config.json")
    ours = values.get("model_type") in ("blip2idc", "instructblipidc")
    if not merged:
        model, processor, settings, files = read_parts(source)
    if ours and dtype in (None, "keep") and values.get("image_token_index") is not None:
        before = after = _check_weights(files, model)
        _settle(model.config, processor)
        export_without_weights(model, processor, out)
        if settings is not None:
            settings.save_pretrained(out)
        for file in files:
            _link(file, out / file.name)
    else:
        model, processor = load_on_base(source, token) if merged else load_idc(source)
        before = {model.dtype}
        if merged:
            model = model.merge_and_unload(safe_merge=True)
        if dtype not in (None, "keep"):
            model = model.to(getattr(torch, dtype))
        if bad := [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]:
            raise ValueError(f"{len(bad)} weights are not finite in {model.dtype}, such as {bad[0]!r}")
        export_remote_code(model, processor, out)
        after = {model.dtype}
    return {
        "adapter": False,
        "merged": merged,
        "ours": merged or ours,
        "model": type(model).__name__,
        "parameters": model.num_parameters(),
        "dtype": _named(after),
        "rounded": before - HALVES != set() and after <= HALVES,
    }


def _is_embedded(base: str) -> bool:
    return Path(base).resolve() == EMBEDDED.resolve()


def _commit(base: str, token: str | None) -> str | None:
    return getattr(resolve_revision(base, token=token), "resolved", None)


def _settle(config, processor) -> None:
    """What checkpoints from before the <image> token leave out; as [`load_idc`] does."""
    if processor.num_query_tokens is None:
        processor.num_query_tokens = config.num_query_tokens
    if config.image_token_index is None:
        if processor.image_token_id >= config.text_config.vocab_size:
            raise ValueError("the base has no embedding to spare for the <image> token: push the merged model (merge)")
        config.image_token_index = processor.image_token_id


def _check_weights(files: list[Path], model) -> set[torch.dtype]:
    """Dtypes of the weights, whose names and shapes must be the model's."""
    found, dtypes = {}, set()
    for file in (file for file in files if file.suffix == ".safetensors"):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                part = weights.get_slice(name)
                found[name] = tuple(part.get_shape())
                dtypes.add(getattr(torch, DTYPE_NAMES.get(part.get_dtype(), "uint8")))
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing = expected.keys() - found.keys() - set(model.all_tied_weights_keys)
    wrong = [name for name in found if found[name] != expected.get(name)]
    if missing or wrong:
        raise ValueError(
            f"{files[0]}: the weights are not those of its config.json: {len(missing)} are missing, {len(wrong)} have "
            f"another name or shape, such as {sorted([*missing, *wrong])[0]!r}"
        )
    return dtypes


def _link(file: Path, there: Path) -> None:
    try:
        there.symlink_to(file.resolve())  # no second copy of many gigabytes
    except OSError:  # not every system lets everybody
        shutil.copyfile(file, there)


def _as(tensor: torch.Tensor, dtype: str | None) -> torch.Tensor:
    if dtype == "keep" or dtype is None and tensor.dtype in HALVES:
        return tensor.contiguous()
    return tensor.to(torch.bfloat16 if dtype is None else getattr(torch, dtype)).contiguous()


def _named(dtypes: set[torch.dtype]) -> str:
    return " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))


__all__ = ["DTYPES", "EXTRAS", "check_source", "stage_adapter", "stage_model"]
