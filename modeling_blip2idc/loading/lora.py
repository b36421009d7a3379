"""Which modules of BLIP-2 and InstructBLIP get a LoRA adapter, and how many parameters are trained."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from peft import LoraConfig

from ..pipeline_blip2idc import CAPTIONERS
from .load import stock_mapping

TOWERS = ("vit", "qformer", "language")
TARGETS = ("full", "authors")

# peft matches these against the whole path of a module. Cross-attention exists in every second Q-Former layer only.
_VIT = r"vision_model\.encoder\.layers\.\d+\.self_attn\.qkv"
_QFORMER = r"qformer\.encoder\.layer\.\d+\.(attention|crossattention)\.attention\.(query|key|value)"
_QFORMER_AUTHORS = (
    r"qformer\.encoder\.layer\.\d+\.(attention\.attention\.(key|value)|crossattention\.attention\.(query|key|value))"
)
_LANGUAGE = (
    r"language_model\.(model\.)?(decoder\.)?layers\.\d+\.self_attn\.(q_proj|k_proj|v_proj)"  # OPT, LLaMA
    r"|language_model\.(encoder|decoder)\.block\.\d+\.layer\.\d+\.(SelfAttention|EncDecAttention)\.(q|k|v)"  # T5
)
_FULL = {"vit": _VIT, "qformer": _QFORMER, "language": _LANGUAGE}
_PATTERNS = {"full": _FULL, "authors": {**_FULL, "qformer": _QFORMER_AUTHORS}}
# Top-level modules and parameters of both models, by the name that `count_trainable` gives them.
_PARTS = {"vision_model": "vit", "qformer": "qformer", "query_tokens": "query_tokens"}
_PARTS |= {"language_projection": "language_projection", "language_model": "language"}


class PortableLoraConfig(LoraConfig):
    """A `LoraConfig` whose file names the stock model class, which `AutoPeftModel` can import everywhere."""

    def save_pretrained(self, save_directory, auto_mapping_dict: dict | None = None, **kwargs):
        super().save_pretrained(save_directory, auto_mapping_dict=stock_mapping(auto_mapping_dict), **kwargs)


def lora_config(
    towers: str | Iterable[str] = TOWERS,
    targets: str = "full",
    r: int = 8,
    lora_alpha: int = 16,
    lora_dropout: float = 0.05,
    **kwargs: Any,
) -> LoraConfig:
    """
    LoRA on the attention projections of BLIP-2 or InstructBLIP, for `peft.get_peft_model`.

    On the geometry of `Salesforce/blip2-opt-2.7b` at rank 8, `"full"` trains 6,414,336 parameters and `"authors"`
    6,266,880.

    Args:
        towers (`str` or `Iterable[str]`, *optional*, defaults to `("vit", "qformer", "language")`):
            Any of these. `"language"` knows OPT, LLaMA (Vicuna) and T5 (self- and cross-attention).
        targets (`str`, *optional*, defaults to `"full"`):
            `"full"`: queries, keys and values of every attention, as the paper says; `"authors"`: what the released
            adapters hold (`adapter_config.json` in github.com/gautierevn/BLIP2IDC), the same without the queries of
            the Q-Former's self-attention.
        r (`int`, *optional*, defaults to 8), lora_alpha (`int`, *optional*, defaults to 16), \
lora_dropout (`float`, *optional*, defaults to 0.05), kwargs:
            As for `peft.LoraConfig`.

    Raises:
        `ValueError`: for an unknown tower or target set, or no tower at all.
    """
    pattern = "|".join(_patterns(towers, targets).values())
    return PortableLoraConfig(target_modules=pattern, r=r, lora_alpha=lora_alpha, lora_dropout=lora_dropout, **kwargs)


def check_towers(model_or_config, towers: str | Iterable[str] = TOWERS, targets: str = "full") -> dict[str, int]:
    """
    Count the modules that [`lora_config`] would adapt. peft itself only notices when nothing at all matches.

    Args:
        model_or_config (`PreTrainedModel`, `PeftModel` or `PreTrainedConfig`):
            The model, or its config, from which it is built without weights.
        towers (`str` or `Iterable[str]`, *optional*), targets (`str`, *optional*):
            As for [`lora_config`].

    Returns:
        `dict[str, int]`: number of adapted modules by tower, for the towers asked for.

    Raises:
        `ValueError`: if a tower has no such module in this model; and as for [`lora_config`].
    """
    patterns, model = _patterns(towers, targets), model_or_config
    if not hasattr(model, "named_modules"):
        if model.model_type not in CAPTIONERS:
            raise ValueError(f"the config is of a {model.model_type!r} model, neither BLIP-2 nor InstructBLIP.")
        with torch.device("meta"):
            model = CAPTIONERS[model.model_type][0](model)
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    names = [name for name, _ in base.named_modules()]
    counts = {tower: len([*filter(re.compile(p).fullmatch, names)]) for tower, p in _PATTERNS[targets].items()}
    if missing := [tower for tower in patterns if not counts[tower]]:
        has = ", ".join(repr(tower) for tower in TOWERS if counts[tower]) or "none"
        language_model = getattr(getattr(base.config, "text_config", base.config), "model_type", None)
        raise ValueError(
            f"towers has {', '.join(map(repr, missing))}, for which {type(base).__name__} with the language model "
            f"{language_model!r} has no module to adapt (targets={targets!r}); the towers that it has: {has}."
        )
    return {tower: counts[tower] for tower in patterns}


def count_trainable(model: torch.nn.Module) -> dict[str, int]:
    """
    Count the trainable parameters by part of the model, with an adapter or without, also wrapped for distributed
    training: `vit`, `qformer`, `query_tokens`, `language_projection`, `language`, `other` (what BLIP-2 does not have)
    and `total`. A parameter that is used twice (tied embeddings) counts once.
    """
    counts = dict.fromkeys([*_PARTS.values(), "other"], 0)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = next((_PARTS[word] for word in name.split(".") if word in _PARTS), "other")
            counts[part] += parameter.numel()
    return {**counts, "total": sum(counts.values())}


def _patterns(towers: str | Iterable[str], targets: str) -> dict[str, str]:
    """The pattern of each tower, in the order of `TOWERS`."""
    towers = (towers,) if isinstance(towers, str) else tuple(towers)
    if not towers or not set(towers) <= set(TOWERS):
        raise ValueError(f"towers is {towers!r}; give one or more of {', '.join(map(repr, TOWERS))}.")
    if targets not in TARGETS:
        raise ValueError(f"targets is {targets!r}; it must be {' or '.join(map(repr, TARGETS))}.")
    return {tower: _PATTERNS[targets][tower] for tower in TOWERS if tower in towers}


__all__ = ["TARGETS", "TOWERS", "check_towers", "count_trainable", "lora_config"]
