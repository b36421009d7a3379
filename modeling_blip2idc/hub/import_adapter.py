"""Bringing in adapters that were published as pickles, such as those of BLIP2IDC's authors."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, PreTrainedConfig

from ..checkpoints_blip2idc import with_adapter
from ..loading.load import base_of, check_folder, commit_of, load_idc
from ..pipeline_blip2idc import CAPTIONERS
from .model_card import write_imported_card
from .saving import fresh_folder, name_base, remove_code

ADAPTER = "adapter_model.safetensors"
HALVES = {torch.float16, torch.bfloat16}
# What the released adapters name, and the revision that `train_BLIP2IDC.py` of github.com/gautierevn/BLIP2IDC loads.
RELEASED_BASE = "Salesforce/blip2-opt-2.7b"
RELEASED_REVISION = "51572668da0eb669e01a189dc22abe6088589a24"
RELEASED_NEW_TOKENS = 77  # that script's, when it captions


def import_adapter(
    folder: str | os.PathLike,
    out: str | os.PathLike | None = None,
    base: str | os.PathLike | None = None,
    revision: str | None = None,
    dtype: str | None = None,
) -> tuple[Path, dict[str, Any]]:
    """
    Turns a folder of peft (0.5 or later: `adapter_model.bin` or `.safetensors`, `adapter_config.json`) into an adapter
    as `train_trainer.py` leaves them: safetensors, processor, generation settings, card. Only tensors are read from
    a pickle, and they must be exactly those that the configuration asks for on the base model. Of the base, the
    configuration and the tokenizer are read, not the weights.

    The stop token, unless the folder has a processor of its own, is the tokenizer's EOS token (`</s>`): the authors'
    `train_BLIP2IDC.py` pads every caption with it, and learns the padding. Generation also stops where the base does.

    Args:
        folder (`str` or `os.PathLike`):
            The adapter's.
        out (`str` or `os.PathLike`, *optional*, defaults to `folder` with `-imported` behind its name):
            The new folder. It must not exist, or be empty.
        base (`str` or `os.PathLike`, *optional*):
            Hub id or folder of the base model. By default the one that `adapter_config.json` names, or else
            `"Salesforce/blip2-opt-2.7b"`.
        revision (`str`, *optional*):
            Of the base on the Hub. By default the one that the configuration names, or else, of
            `"Salesforce/blip2-opt-2.7b"`, the one that the authors' script names. The new adapter names its commit.
        dtype (`str`, *optional*):
            Of the new weights. By default weights of 16 bits stay as they are, and others are rounded to bfloat16.

    Returns:
        `tuple[pathlib.Path, dict]`: the new folder, and what its card says: `name`, `sha256` of the old weights'
        `file`, `base`, `revision`, `rank`, `lora_alpha`, `lora_dropout`, `targets`, `modules` by tower, `parameters`,
        `dtypes` (the old and the new one), `bytes`, `stop_token`.

    Raises:
        `OSError`: a file is missing, the base cannot be read, or `out` is not empty.
        `ValueError`: the adapter is not a LoRA, or as for [`read_adapter`].
    """
    folder = Path(folder)
    out = folder.with_name(folder.resolve().name + "-imported") if out is None else Path(out)
    check_folder(str(folder.resolve()))
    with fresh_folder(out) as partial:
        config = read_adapter_config(folder)
        if config.peft_type != "LORA":
            raise ValueError(
                f"{folder}: the adapter is of the type {config.peft_type.value}, only LORA can be imported"
            )
        base, revision = _base(folder, config, base, revision)
        try:
            model, processor_class = empty_model(base, revision)
        except OSError as error:
            raise OSError(
                f"The base model {str(base)!r} cannot be read, of which the configuration and the tokenizer are "
                f"needed: give base, a folder, or go online. ({str(error).strip().splitlines()[0]})"
            ) from error
        weights, file = read_adapter(folder, model), weights_file(folder)
        converted = convert(weights, dtype)
        # copies: safetensors has no shared memory
        save_file({name: tensor.clone() for name, tensor in converted.items()}, partial / ADAPTER, {"format": "pt"})
        config.inference_mode = True
        config.save_pretrained(str(partial))
        name_base(partial, base, revision)
        if (folder / "processor_config.json").is_file():
            processor = processor_class.from_pretrained(folder)
        else:
            processor = processor_class.from_pretrained(base, revision=revision or "main")
            processor.stop_token = processor.tokenizer.eos_token
        processor.save_pretrained(partial)
        remove_code(partial)
        _generation_config(folder, model.config, processor).save_pretrained(partial)
        names = [name.split(".")[2] for name in weights if ".lora_A." in name]
        towers = {"vit": "vision_model", "qformer": "qformer", "language": "language_model"}
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        facts = {
            "name": folder.resolve().name,
            "file": file.name,
            "sha256": digest,
            "base": Path(base).resolve().name if os.path.isdir(base) else str(base),
            "hub": not os.path.isdir(base),
            "revision": revision,
            "rank": config.r,
            "lora_alpha": config.lora_alpha,
            "lora_dropout": config.lora_dropout,
            "targets": [targets] if isinstance(targets := config.target_modules, str) else sorted(targets),
            "modules": {tower: names.count(part) for tower, part in towers.items()},
            "parameters": sum(tensor.numel() for tensor in weights.values()),
            "dtypes": (dtype_names(weights), dtype_names(converted)),
            "bytes": (partial / ADAPTER).stat().st_size,
            "stop_token": processor.stop_token,
        }
        write_imported_card(partial, facts)
    return out, facts


def read_adapter_config(folder: Path):
    """`adapter_config.json` as a `peft.PeftConfig`; an `OSError` or `ValueError` names the file."""
    from peft import PeftConfig

    if not (file := folder / "adapter_config.json").is_file():
        raise FileNotFoundError(f"{file} is missing: name the folder of a peft adapter")
    try:
        return PeftConfig.from_pretrained(str(folder))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is not the configuration of an adapter: {error}") from error


def read_adapter(folder: Path, base) -> dict[str, torch.Tensor]:
    """
    Reads the weights of an adapter by name, all that its configuration asks for on its base, and no others; of a
    pickle only tensors. The base, as [`empty_model`] makes it, gets the layers of the adapter. Raises an `OSError` for
    a missing file, and a `ValueError` for one that is damaged, or does not fit the base, or has weights that are not
    finite.
    """
    from peft.utils import load_peft_weights

    file = weights_file(folder)
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # of an old protocol
            weights = dict(load_peft_weights(str(folder), device="cpu"))
        for name, tensor in weights.items():
            if not (isinstance(name, str) and tensor.is_floating_point() and str(tensor.device) == "cpu"):
                raise TypeError(f"{name!r} is not a tensor of floats")
            tensor.contiguous()  # a sparse one cannot be
    except Exception as error:  # whatever a damaged or hostile file provokes
        raise ValueError(
            f"{file} is refused, and nothing in it was run: it is damaged, or holds something else than tensors "
            f"({type(error).__name__})"
        ) from error
    if bad := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{file}: {len(bad)} weights are not finite, such as {bad[0]!r}")
    config = read_adapter_config(folder)
    if config.peft_type == "LORA" and config.init_lora_weights in (True, False, "gaussian"):
        with torch.device("meta"), warnings.catch_warnings(action="ignore", category=UserWarning):  # nothing is copied
            with_adapter(base, str(folder), base.config.name_or_path, {})
    else:  # some kinds compute with the weights of their base before they have their own
        load_idc(folder)
    return weights


def weights_file(folder: Path) -> Path:
    """The file that peft reads the weights of an adapter from."""
    for name in (ADAPTER, "adapter_model.bin"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has neither {ADAPTER} nor adapter_model.bin")


def convert(weights: dict[str, torch.Tensor], dtype: str | None) -> dict[str, torch.Tensor]:
    """
    The weights of an adapter, by name, in the dtype in which they are kept: `dtype`, their own for "keep", or by
    default their own of 16 bits, and else bfloat16. Raises a `ValueError` for a value that is too large for the dtype.
    """
    converted = {}
    for name, tensor in weights.items():
        kept = dtype == "keep" or (dtype is None and tensor.dtype in HALVES)
        converted[name] = tensor if kept else tensor.to(getattr(torch, dtype or "bfloat16"))
        if not converted[name].isfinite().all():
            raise ValueError(f"{name!r} has values that are too large for {dtype}; give another dtype")
    return converted


def empty_model(base: str | os.PathLike, revision: str | None = None, token: str | None = None):
    """
    One of our models on the device "meta", of which only the configuration of `base` (folder or Hub id) is read, and
    the class of its processor. Raises an `OSError` where there is no such model, and a `ValueError` for one of another
    kind.
    """
    where = {"revision": revision or "main", "token": token}
    model_type = PreTrainedConfig.get_config_dict(base, **where)[0].get("model_type")
    if model_type not in CAPTIONERS:
        raise ValueError(f"the base {str(base)!r} is a {model_type!r}, neither BLIP-2 nor InstructBLIP")
    model_class, processor_class = CAPTIONERS[model_type]
    with torch.device("meta"):
        return model_class(model_class.config_class.from_pretrained(base, **where)), processor_class


def dtype_names(weights: dict[str, torch.Tensor]) -> str:
    """The dtypes of tensors, in words."""
    return " and ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in weights.values()}))


def _base(folder: Path, config, base, revision: str | None) -> tuple[str | os.PathLike, str | None]:
    """Id or folder of the base, and the commit of it on the Hub."""
    if base is not None:
        base = check_folder(os.fspath(base))
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
    revision = revision or (RELEASED_REVISION if str(base) == RELEASED_BASE else None)
    return base, commit_of(base, revision) or revision


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


__all__ = ["RELEASED_BASE", "RELEASED_REVISION", "import_adapter"]
