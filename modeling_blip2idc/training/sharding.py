"""Fully sharded data parallel training (FSDP 2) of BLIP-2: what accelerate has to be told, and what is saved."""

from collections.abc import Callable

from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule
from transformers.modeling_layers import GradientCheckpointingLayer


def prepare_sharding(plugin, model) -> None:
    """
    Prepares a model and accelerate's plugin before the model is sharded. Each layer of each tower becomes a shard,
    unless the plugin names classes itself: the list of BLIP-2 in transformers names classes that no captioner has. An
    embedding that T5's encoder and decoder share becomes one module, because torch wants each weight in one shard.
    Raises a `ValueError` for FSDP version 1, under which a captioner cannot generate.
    """
    if plugin.fsdp_version != 2:
        raise ValueError("FSDP version 1 cannot generate captions: set fsdp_config to {'version': 2}")
    if plugin.transformer_cls_names_to_wrap is None:
        layers = (module for module in model.modules() if isinstance(module, GradientCheckpointingLayer))
        plugin.transformer_cls_names_to_wrap = sorted({type(layer).__name__ for layer in layers})
    model.language_model.set_input_embeddings(model.language_model.get_input_embeddings())


def save_sharded(model: FSDPModule, save: Callable[[dict], None]) -> None:
    """
    Saves what an unsharded model would save; the frozen weights below an adapter are not collected. `save` gets the
    weights, whole and on the CPU, on the first process, and an empty dict on the others. Meanwhile the model has its
    own class again: transformers saves the code of a model's class beside the weights.
    """
    adapter = hasattr(model, "peft_config")
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=adapter)
    weights = get_model_state_dict(model, options=options)
    once = {name for name, _ in model.named_parameters()}
    for name, _ in model.named_parameters(remove_duplicate=False):
        if name not in once:  # tied weights are copies once they are whole
            weights.pop(name, None)
    sharded = type(model)
    model.__class__ = sharded.__bases__[1]
    try:
        save(weights)
    finally:
        model.__class__ = sharded


__all__ = ["prepare_sharding", "save_sharded"]
