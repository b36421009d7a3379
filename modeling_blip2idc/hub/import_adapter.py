"""Bringing in adapters that were published as pickles, such as those of BLIP2IDC's authors."""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, PreTrainedConfig

from ..loading.load import base_of, check_folder
from ..pipeline_blip2idc import CAPTIONERS
from .adapter_weights import SAFETENSORS, check_adapter, read_adapter_config, read_adapter_weights
from .compact import name_base
from .fresh_folder import fresh_folder
from .import_card import write_import_card

# What the released adapters name, and the revision that `train_BLIP2IDC.py` of github.com/gautierevn/BLIP2IDC loads.
RELEASED_BASE = "Salesforce/blip2-opt-2.7b"
RELEASED_REVISION = "51572668da0eb669e01a189dc22abe6088589a24"
RELEASED_NEW_TOKENS = 77  # that script's, when it captions


def import_adapter(
    folder: str | os.PathLike,
    out: str | os.PathLike | None = None,
    base: str | os.PathLike | None = None,
    revision: str | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Path, dict[str, Any]]:
    """
    Turns a folder of peft (0.5 or later: `adapter_model.bin` or `.safetensors`, `adapter_config.json`) into an adapter
    as `train_trainer.py` leaves them: safetensors, processor, generation settings, card. Only tensors are read from
    a pickle, and they must be exactly those that the configuration asks for on the base model. Of that the
    configuration and the tokenizer are read, not the weights.

    The stop token, unless the folder has a processor of its own, is the tokenizer's EOS token (`</s>`): the authors'
    `train_BLIP2IDC.py` pads every caption with it, and learns the padding. Generation also stops where the base does.

    Args:
        folder (`str` or `os.PathLike`):
            The adapter's.
        out (`str` or `os.PathLike`, *optional*, defaults to `folder` with `-imported` behind its name):
            Where to; it must not be there, or be empty.
        base (`str` or `os.PathLike`, *optional*):
            Hub id or folder of the base model. By default the one that `adapter_config.json` names, or else
            `"Salesforce/blip2-opt-2.7b"`.
        revision (`str`, *optional*):
            Of the base on the Hub. By default the one that the configuration names, or else, of
            `"Salesforce/blip2-opt-2.7b"`, the one that the authors' script names.
        dtype (`torch.dtype`, *optional*):
            Of the new file. By default 16-bit weights stay as they are, bit by bit, and others are rounded to
            bfloat16.

    Returns:
        `tuple[pathlib.Path, dict]`: the new folder, and what its card says: `name`, `sha256` of the old weights'
        `file`, `base`, `revision`, `rank`, `lora_alpha`, `lora_dropout`, `targets`, `modules` by tower, `parameters`,
        `dtypes` (the old and the new one), `bytes`, `stop_token`.

    Raises:
        `OSError`: if a file is missing, the base cannot be read, or `out` is not empty.
        `ValueError`: if the weights are no tensors, no LoRA, not for this base, or not finite; and as for
            [`check_adapter`].
    """
    folder = Path(folder)
    out = folder.with_name(folder.resolve().name + "-imported") if out is None else Path(out)
    if not folder.is_dir():
        raise FileNotFoundError(f"No such folder: {str(folder)!r}.")
    with fresh_folder(out) as partial:
        config = read_adapter_config(folder)
        base, revision = _base(folder, config, base, revision)
        base_config, (model_class, processor_class) = _base_config(base, revision)
        file, weights = read_adapter_weights(folder)
        check_adapter(file, config, weights, model_class, base_config)
        converted = {name: _as(tensor, dtype) for name, tensor in weights.items()}
        if lost := [name for name, tensor in converted.items() if not tensor.isfinite().all()]:
            raise ValueError(f"{file}: {lost[0]!r} has values that are too large for {dtype}; take another dtype.")
        save_file(converted, partial / SAFETENSORS, metadata={"format": "pt"})

        config.base_model_name_or_path, config.revision, config.inference_mode = str(base), revision, True
        if isinstance(config.target_modules, set):
            config.target_modules = sorted(config.target_modules)  # the same file every time
        config.save_pretrained(str(partial))
        name_base(partial, base)
        processor = _processor(folder, processor_class, base, revision)
        processor.save_pretrained(partial)
        _generation_config(folder, base_config, processor).save_pretrained(partial)
        facts = {
            "name": folder.resolve().name,
            "file": file.name,
            "sha256": _sha256(file),
            "base": Path(base).resolve().name if os.path.isdir(base) else str(base),
            "hub": not os.path.isdir(base),
            "revision": revision,
            "rank": config.r,
            "lora_alpha": config.lora_alpha,
            "lora_dropout": config.lora_dropout,
            "targets": config.target_modules,
            "modules": _modules(weights),
            "parameters": sum(tensor.numel() for tensor in weights.values()),
            "dtypes": (_dtype(weights), _dtype(converted)),
            "bytes": (partial / SAFETENSORS).stat().st_size,
            "stop_token": processor.stop_token,
        }
        write_import_card(partial, facts)
    return out, facts


def _base(folder: Path, config, base, revision: str | None) -> tuple[str | os.PathLike, str | None]:
    if base is not None:
        check_folder(os.fspath(base))
    elif config.base_model_name_or_path:
        try:
            base, named = base_of(str(folder), str(folder / "adapter_config.json"))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error} Give base, a folder or a Hub id.") from error
        revision = revision or named
    else:
        base = RELEASED_BASE
    if os.path.isdir(base):
        return base, None
    return base, revision or (RELEASED_REVISION if str(base) == RELEASED_BASE else None)


def _base_config(base, revision: str | None) -> tuple[PreTrainedConfig, tuple[type, type]]:
    try:
        model_type = PreTrainedConfig.get_config_dict(base, revision=revision or "main")[0].get("model_type")
        if model_type not in CAPTIONERS:
            raise ValueError(f"The base {str(base)!r} is a {model_type!r}, neither BLIP-2 nor InstructBLIP.")
        config = CAPTIONERS[model_type][0].config_class.from_pretrained(base, revision=revision or "main")
    except OSError as error:
        raise OSError(
            f"The base model {str(base)!r} cannot be read, of which the configuration and the tokenizer are needed: "
            f"give base, a folder, or go online. ({str(error).strip().splitlines()[0]})"
        ) from error
    return config, CAPTIONERS[model_type]


def _processor(folder: Path, processor_class: type, base, revision: str | None):
    if (folder / "processor_config.json").is_file():
        return processor_class.from_pretrained(folder)
    processor = processor_class.from_pretrained(base, revision=revision or "main")
    processor.stop_token = processor.tokenizer.eos_token
    return processor


def _generation_config(folder: Path, base_config, processor) -> GenerationConfig:
    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    text = base_config.text_config
    eos = text.eos_token_id if isinstance(text.eos_token_id, list) else [text.eos_token_id]
    stops = [processor.stop_token_id, *(token for token in eos if token not in (None, processor.stop_token_id))]
    longest = RELEASED_NEW_TOKENS
    if not text.is_encoder_decoder and (positions := getattr(text, "max_position_embeddings", None)):
        longest = min(longest, positions - base_config.num_query_tokens - 1)
    return GenerationConfig(
        bos_token_id=getattr(text, "bos_token_id", None),
        pad_token_id=text.pad_token_id,
        eos_token_id=stops if len(stops) > 1 else stops[0],
        max_new_tokens=longest,
        **({"decoder_start_token_id": text.decoder_start_token_id} if text.is_encoder_decoder else {}),
    )


def _as(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    if dtype is None:
        dtype = tensor.dtype if tensor.dtype in (torch.float16, torch.bfloat16) else torch.bfloat16
    return tensor.to(dtype, copy=True).contiguous()  # copies: safetensors has no shared memory


def _dtype(weights: dict[str, torch.Tensor]) -> str:
    return " and ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in weights.values()}))


def _modules(weights: dict[str, torch.Tensor]) -> dict[str, int]:
    parts = {"vision_model": "vit", "qformer": "qformer", "language_model": "language"}
    names = [name.split(".")[2] for name in weights if ".lora_A." in name]
    return {tower: names.count(part) for part, tower in parts.items()}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


__all__ = ["RELEASED_BASE", "RELEASED_REVISION", "import_adapter"]
