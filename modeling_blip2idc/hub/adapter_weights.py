"""Reading the weights of a LoRA adapter that somebody else wrote: tensors only, and only those that fit."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from peft import LoraConfig

SAFETENSORS, PICKLE = "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."


def read_adapter_config(folder: Path) -> "LoraConfig":
    """
    Reads `adapter_config.json` of any peft from 0.5 on.

    Args:
        folder (`pathlib.Path`):
            Of the adapter.

    Returns:
        `peft.LoraConfig`

    Raises:
        `FileNotFoundError`: if there is none. `ValueError`: if it is unreadable, or not of a LoRA.
    """
    from peft import PeftConfig

    file = folder / "adapter_config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: name the folder of a peft adapter.")
    try:
        config = PeftConfig.from_pretrained(str(folder))
        for name in ("base_model_name_or_path", "revision"):
            if not isinstance(value := getattr(config, name), str | None):
                raise TypeError(f"{name} is {value!r}")
    except Exception as error:  # values of another kind make it fail in as many ways
        raise ValueError(f"{file} is no configuration of an adapter: {_one_line(error)}") from error
    if config.peft_type != "LORA":
        raise ValueError(f"{file}: peft_type is {config.peft_type!r}, only 'LORA' can be imported.")
    return config


def read_adapter_weights(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """
    Reads `adapter_model.safetensors`, or else `adapter_model.bin`, out of which nothing but tensors is unpickled.

    Args:
        folder (`pathlib.Path`):
            Of the adapter.

    Returns:
        `tuple[pathlib.Path, dict[str, torch.Tensor]]`: the file, and its tensors by name, on the CPU.

    Raises:
        `FileNotFoundError`: if there is neither. `ValueError`: if it is damaged, or holds anything but tensors.
    """
    file = next((folder / name for name in (SAFETENSORS, PICKLE) if (folder / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{folder} has neither {SAFETENSORS} nor {PICKLE}: name the folder of a peft adapter.")
    try:
        if file.name == SAFETENSORS:
            weights = load_file(file)
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file provokes
        raise ValueError(
            f"{file} is refused, nothing in it was run: it is damaged, or holds something else than tensors "
            f"({type(error).__name__})."
        ) from error
    if not isinstance(weights, dict):
        raise ValueError(f"{file} is refused: it holds a {type(weights).__name__}, not tensors by name.")
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{file} is refused: {str(name)[:80]!r} is a {type(tensor).__name__}, not a tensor.")
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or not tensor.is_floating_point():
            raise ValueError(
                f"{file} is refused: {name!r} is no plain tensor of floats ({tensor.dtype}, {tensor.layout})."
            )
    return file, {name: tensor.detach() for name, tensor in weights.items()}


def check_adapter(
    file: Path, config: "LoraConfig", weights: Mapping[str, torch.Tensor], base_class: type, base_config
) -> None:
    """
    Whether the weights are those, and all of those, that the adapter's configuration asks for on this base model,
    which is built without memory for its own weights.

    Args:
        file (`pathlib.Path`):
            Where the weights are from, for messages.
        config (`peft.LoraConfig`), weights (`dict[str, torch.Tensor]`):
            The adapter.
        base_class (`type`), base_config (`PreTrainedConfig`):
            The model it is for.

    Raises:
        `ValueError`: for other names, modules that the base has not, other ranks or sizes, missing weights, and
            weights that are not finite.
    """
    from peft import get_peft_model_state_dict

    if foreign := [name for name in weights if not name.startswith(PREFIX)]:
        raise ValueError(f"{file} is no adapter of peft: {foreign[0]!r} does not begin with {PREFIX!r}.")
    adapted = adapt_empty(file, config, base_class, base_config)
    expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    misfit = f"{file} does not fit its base model: "
    if unknown := sorted(set(weights) - set(expected)):
        raise ValueError(
            f"{misfit}{len(unknown)} of its {len(weights)} weights are for modules that the base has not, or that "
            f"target_modules of adapter_config.json leaves out, such as {unknown[0]!r}."
        )
    if missing := sorted(set(expected) - set(weights)):
        raise ValueError(f"{misfit}it lacks {len(missing)} of {len(expected)} weights, such as {missing[0]!r}.")
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{misfit}{name!r} has the shape {tuple(tensor.shape)}; with the rank {config.r} of "
                f"adapter_config.json it must be {tuple(expected[name].shape)}."
            )
    if bad := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{file}: {len(bad)} weights have values that are not finite, such as {bad[0]!r}.")


def adapt_empty(file: Path, config: "LoraConfig", base_class: type, base_config):
    """
    A base model with an adapter, both without memory for their weights.

    Args:
        file (`pathlib.Path`), config (`peft.LoraConfig`), base_class (`type`), base_config (`PreTrainedConfig`):
            As for [`check_adapter`].

    Returns:
        `peft.PeftModel`: on the device "meta".

    Raises:
        `ValueError`: the base has no such modules, or a value of the configuration is of a wrong kind.
    """
    from peft import get_peft_model

    config = copy.deepcopy(config)
    config.init_lora_weights = False  # some ways to start read the base's weights
    config.base_model_name_or_path = None  # which peft else complains about: this base was not loaded from anywhere
    named = file.parent / "adapter_config.json"
    try:
        with torch.device("meta"):
            return get_peft_model(base_class(base_config), config)
    except ValueError as error:
        raise ValueError(f"{named} does not fit its base model: {_one_line(error)}") from error
    except Exception as error:  # values of another kind make it fail in as many ways
        raise ValueError(
            f"{named}: a value is not as it should be ({type(error).__name__}: {_one_line(error)})"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]


__all__ = ["adapt_empty", "check_adapter", "read_adapter_config", "read_adapter_weights"]
