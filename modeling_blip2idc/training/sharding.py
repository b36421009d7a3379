"""Fully sharded data parallel training (FSDP 2) of BLIP-2: what accelerate has to be told, and what is saved."""

from collections.abc import Callable

from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule
from transformers.modeling_layers import GradientCheckpointingLayer


def prepare_sharding(plugin, model) -> None:
    """
    Before accelerate shards a model. Layers of all towers are sharded one by one, if nothing else is said: the list
    that a BLIP-2 model itself has names classes that are in no captioner. An embedding that T5's encoder and decoder
    share becomes one module, as torch wants each weight in one shard.

    Args:
        plugin (`accelerate.FullyShardedDataParallelPlugin`):
            Its `transformer_cls_names_to_wrap` is filled in where it is `None`.
        model (`PreTrainedModel` or `PeftModel`):
            With a `language_model`.

    Raises:
        `ValueError`: for FSDP version 1, under which a captioner cannot generate.
    """
    if plugin.fsdp_version != 2:
        raise ValueError("FSDP version 1 cannot generate captions: set fsdp_config to {'version': 2}")
    if plugin.transformer_cls_names_to_wrap is None:
        layers = (module for module in model.modules() if isinstance(module, GradientCheckpointingLayer))
        plugin.transformer_cls_names_to_wrap = sorted({type(layer).__name__ for layer in layers})
    model.language_model.set_input_embeddings(model.language_model.get_input_embeddings())


def is_sharded(model) -> bool:
    """Whether a model's weights are spread over processes."""
    return isinstance(model, FSDPModule)


def save_sharded(model, save: Callable[[dict], None]) -> None:
    """
    Saves what an unsharded model would: of an adapter, without collecting the weights of its base.

    Args:
        model (`FSDPModule`):
            All processes call this.
        save (`Callable`):
            Gets the weights, whole and on the CPU, on the first process (elsewhere an empty dict). Meanwhile the
            model is of its own class again: transformers saves the code of a model's class beside the weights.
    """
    adapter = hasattr(model, "peft_config")
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=adapter)
    weights = get_model_state_dict(model, options=options)
    once = {name for name, _ in model.named_parameters()}
    for name, _ in model.named_parameters(remove_duplicate=False):
        if name not in once:  # whole again, tied weights are copies
            weights.pop(name, None)
    sharded = type(model)
    model.__class__ = sharded.__bases__[1]
    try:
        save(weights)
    finally:
        model.__class__ = sharded


__all__ = ["is_sharded", "prepare_sharding", "save_sharded"]
