"""What is published is put together in a folder of its own: files are written anew, and only named ones are copied."""

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import GenerationConfig, PreTrainedConfig
from transformers.utils import has_file
from transformers.utils.hub import resolve_revision

from ..loading.load import EMBEDDED, base_of, load_idc
from ..pipeline_blip2idc import CAPTIONERS, add_image_token
from .merge import load_merged
from .saving import export_remote_code, name_base

EXTRAS = ("report.json", "curves.png", "examples.png", "LICENSE")
DTYPES = ("bfloat16", "float16", "float32", "keep")
HALVES = {torch.float16, torch.bfloat16}
ADAPTER, WEIGHTS = "adapter_model.safetensors", "model.safetensors"


def prepare_upload(
    source: Path, out: Path, dtype: str | None = None, merge: bool = False, token: str | None = None
) -> dict[str, Any]:
    """
    Writes a model or an adapter, and all that is needed to load it, into an empty folder.

    Args:
        source (`pathlib.Path`):
            Folder of a model of ours, of plain BLIP-2 or InstructBLIP, which becomes one of ours, or of an adapter.
        out (`pathlib.Path`):
            The empty folder.
        dtype (`str`, *optional*):
            Of the weights, one of `DTYPES`. By default a model keeps its own; an adapter of 32 bits becomes bfloat16.
        merge (`bool`, *optional*, defaults to `False`):
            Whether an adapter is merged into its base.
        token (`str`, *optional*):
            For a base on the Hub, by default the one that is logged in.

    Returns:
        `dict`: what a card says. `adapter` (whether it is one), `parameters`, `dtype`, `rounded` (whether 32 bits
        became 16). Of an adapter `kind`, `base` (`None`: the embedded model) and `revision`; of a model `model` (its
        class) and `merged`.

    Raises:
        `OSError`, `ValueError`: the model, the adapter or its base cannot be loaded; a file of weights is damaged or a
            pickle; nobody else could load the base; weights are not finite.
    """
    if dtype not in (None, *DTYPES):
        raise ValueError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    adapter = (source / "adapter_config.json").is_file()
    if merge and not adapter:
        raise ValueError(f"{source} has no adapter to merge: it is a whole model already")
    check_weights(source)
    facts = _prepare_adapter(source, out, dtype, token) if adapter and not merge else _prepare_model(
        source, out, dtype, merge
    )  # fmt: skip
    for name in EXTRAS:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    return facts


def check_weights(folder: Path) -> None:
    """
    Refuses files of weights that are pickles, or that are shorter or longer than their header says.

    Args:
        folder (`pathlib.Path`):
            Of a model or an adapter.

    Raises:
        `ValueError`: names the file.
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


def _prepare_model(source: Path, out: Path, dtype: str | None, merge: bool) -> dict[str, Any]:
    model, processor, *_ = load_merged(source) if merge else load_idc(source)
    loaded = model.dtype
    config, _ = PreTrainedConfig.get_config_dict(source)
    if config.get("model_type") == model.config.model_type and dtype in (None, "keep"):
        # no second copy of many gigabytes; the files may also be narrower than the dtype they are loaded in
        export_remote_code(model, processor, out, state_dict={})
        for file in source.glob(f"{WEIGHTS.partition('.')[0]}*.safetensors*"):
            _link(file, out / file.name)
    else:
        if dtype not in (None, "keep"):
            model = model.to(getattr(torch, dtype))
        check_finite(model.state_dict(), f"{source} in {model.dtype}")
        export_remote_code(model, processor, out)
    return {
        "adapter": False,
        "merged": merge,
        "model": type(model).__name__,
        "parameters": model.num_parameters(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "rounded": loaded not in HALVES and model.dtype in HALVES,
    }


def _prepare_adapter(source: Path, out: Path, dtype: str | None, token: str | None) -> dict[str, Any]:
    base, revision = base_of(str(source), str(source / "adapter_config.json"))
    embedded = Path(base).resolve() == EMBEDDED.resolve()
    if os.path.isdir(base) and not embedded:
        raise ValueError(
            f"the adapter's base is the folder {base!r} of this machine, so that nobody else could load it: publish "
            "the base and name its repository in adapter_config.json (base_model_name_or_path), or push the merged "
            "model with --merge"
        )
    revision = None if embedded else commit_of(base, revision, token)
    model, processor_class = empty_model(base, revision, token)
    config, weights = read_adapter(source, model)
    converted = convert(weights, dtype, source / ADAPTER)
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
        "base": None if embedded else base,
        "revision": revision,
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "dtype": dtype_names(converted.values()),
        "rounded": any(
            tensor.dtype not in HALVES and converted[name].dtype in HALVES for name, tensor in weights.items()
        ),
    }


def commit_of(base: str, revision: str | None = None, token: str | None = None) -> str | None:
    """The commit that a revision of a model on the Hub is at; the revision as it is where nobody can tell."""
    return getattr(resolve_revision(base, revision, token=token), "resolved", revision)


def empty_model(base: str | os.PathLike, revision: str | None = None, token: str | None = None):
    """
    A base model without memory for its weights, of which only the configuration is read.

    Args:
        base (`str` or `os.PathLike`):
            Folder or Hub id.
        revision (`str`, *optional*), token (`str`, *optional*):
            On the Hub.

    Returns:
        `tuple`: one of our models on the device "meta", and the class of its processor.

    Raises:
        `OSError`: there is no such model. `ValueError`: it is neither BLIP-2 nor InstructBLIP.
    """
    where = {"revision": revision or "main", "token": token}
    model_type = PreTrainedConfig.get_config_dict(base, **where)[0].get("model_type")
    if model_type not in CAPTIONERS:
        raise ValueError(f"the base {str(base)!r} is a {model_type!r}, neither BLIP-2 nor InstructBLIP")
    model_class, processor_class = CAPTIONERS[model_type]
    with torch.device("meta"):
        return model_class(model_class.config_class.from_pretrained(base, **where)), processor_class


def read_adapter_config(folder: Path):
    """
    Reads `adapter_config.json`.

    Args:
        folder (`pathlib.Path`):
            Of the adapter.

    Returns:
        `peft.PeftConfig`

    Raises:
        `FileNotFoundError`: there is none. `ValueError`: it cannot be read.
    """
    from peft import PeftConfig

    if not (file := folder / "adapter_config.json").is_file():
        raise FileNotFoundError(f"{file} is missing: name the folder of a peft adapter")
    try:
        return PeftConfig.from_pretrained(str(folder))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is not the configuration of an adapter: {error}") from error


def read_adapter(folder: Path, base):
    """
    Reads an adapter, whose weights must be finite, and those that its configuration asks for on its base, all of them.

    Args:
        folder (`pathlib.Path`):
            Of the adapter. Of a pickle only tensors are read.
        base (`PreTrainedModel`):
            As [`empty_model`] makes it; gets the layers of the adapter.

    Returns:
        `tuple[peft.PeftConfig, dict[str, torch.Tensor]]`: the configuration, and the weights by name, on the CPU.

    Raises:
        `OSError`: a file is missing. `ValueError`: a file is damaged, or the adapter does not fit the base.
    """
    from peft import PeftModel
    from peft.utils import load_peft_weights

    file = next((folder / name for name in (ADAPTER, "adapter_model.bin") if (folder / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{folder} has neither {ADAPTER} nor adapter_model.bin")
    config = read_adapter_config(folder)
    try:
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
    check_finite(weights, file)
    if config.peft_type != "LORA":  # some kinds compute with the weights of their base before they have their own
        load_idc(folder)
        return config, weights
    misfit = f"{file} does not fit its base model: "
    empty = copy.deepcopy(config)
    empty.inference_mode, empty.base_model_name_or_path = True, None
    empty.init_lora_weights = False  # some ways to start read the base's weights
    try:
        with torch.device("meta"):
            adapted = PeftModel(base, empty)
        result = adapted.load_adapter(str(folder), "default", torch_device="cpu", low_cpu_mem_usage=True)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # no such modules; other shapes
        raise ValueError(misfit + " ".join(str(error).split())[:500]) from error
    for what, keys in (("the base has no module for", result.unexpected_keys), ("it lacks", result.missing_keys)):
        if keys:
            raise ValueError(f"{misfit}{what} {len(keys)} weights, such as {sorted(keys)[0]!r}")
    return config, weights


def convert(weights: dict[str, torch.Tensor], dtype: str | None, file: Path) -> dict[str, torch.Tensor]:
    """
    The weights of an adapter in the dtype in which they are kept.

    Args:
        weights (`dict[str, torch.Tensor]`):
            By name.
        dtype (`str`, *optional*):
            One of `DTYPES`. By default weights of 16 bits stay as they are, and others are rounded to bfloat16.
        file (`pathlib.Path`):
            Where they are from, for messages.

    Raises:
        `ValueError`: a value is too large for the dtype.
    """
    converted = {}
    for name, tensor in weights.items():
        kept = dtype == "keep" or (dtype is None and tensor.dtype in HALVES)
        wanted = tensor.dtype if kept else getattr(torch, dtype or "bfloat16")
        converted[name] = tensor.to(wanted).contiguous()
    if lost := [name for name, tensor in converted.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{file}: {lost[0]!r} has values that are too large for {dtype}; give another dtype")
    return converted


def check_finite(weights: dict[str, torch.Tensor], where: Any) -> None:
    """
    Refuses weights that are not finite.

    Args:
        weights (`dict[str, torch.Tensor]`):
            By name.
        where (`Any`):
            What they are of, for messages.

    Raises:
        `ValueError`: names one of them.
    """
    if bad := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{where}: {len(bad)} weights are not finite, such as {bad[0]!r}")


def dtype_names(weights) -> str:
    """The dtypes of tensors, in words."""
    return " and ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in weights}))


def _link(file: Path, there: Path) -> None:
    try:
        there.symlink_to(file.resolve())  # no second copy of many gigabytes
    except OSError:  # not every system lets everybody
        shutil.copyfile(file, there)


__all__ = ["DTYPES", "commit_of", "convert", "dtype_names", "empty_model", "prepare_upload", "read_adapter"]
