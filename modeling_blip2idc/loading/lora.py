"""Which modules of BLIP-2 and InstructBLIP get a LoRA adapter, and how many parameters are trained."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from ..pipeline_blip2idc import CAPTIONERS

if TYPE_CHECKING:
    from peft import LoraConfig

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
_PATTERNS = {
    "full": {"vit": _VIT, "qformer": _QFORMER, "language": _LANGUAGE},
    "authors": {"vit": _VIT, "qformer": _QFORMER_AUTHORS, "language": _LANGUAGE},
}

# Top-level modules and parameters of both models, by the name that `count_trainable` gives them.
_PARTS = {
    "vision_model": "vit",
    "qformer": "qformer",
    "query_tokens": "query_tokens",
    "language_projection": "language_projection",
    "language_model": "language",
}


def lora_config(
    towers: str | Iterable[str] = TOWERS,
    targets: str = "full",
    r: int = 8,
    lora_alpha: int = 16,
    lora_dropout: float = 0.05,
    **kwargs: Any,
) -> "LoraConfig":
    """
    LoRA on the attention projections of BLIP-2 or InstructBLIP, for `peft.get_peft_model`.

    On the geometry of `Salesforce/blip2-opt-2.7b` at rank 8, `"full"` trains 6,414,336 parameters and `"authors"`
    6,266,880. The ViT and the Q-Former of InstructBLIP have the same, beside 6,291,456 of Vicuna-7B (OPT-2.7b:
    3,932,160) or 7,077,888 of Flan-T5-XL.

    Args:
        towers (`str` or `Iterable[str]`, *optional*, defaults to `("vit", "qformer", "language")`):
            Any of these. `"language"` knows OPT, LLaMA (Vicuna) and T5 (self- and cross-attention).
        targets (`str`, *optional*, defaults to `"full"`):
            `"full"`: queries, keys and values of every attention, as the paper says; `"authors"`: what the released
            adapters hold (`adapter_config.json` in github.com/gautierevn/BLIP2IDC), the same without the queries of
            the Q-Former's self-attention.
        r (`int`, *optional*, defaults to 8):
            Rank.
        lora_alpha (`int`, *optional*, defaults to 16):
            Scale; updates are multiplied by `lora_alpha / r`.
        lora_dropout (`float`, *optional*, defaults to 0.05):
            Dropout before the adapter.
        kwargs:
            Any other argument of `peft.LoraConfig`.

    Returns:
        `peft.LoraConfig`: whose `target_modules` is one regular expression.

    Raises:
        `ValueError`: for an unknown tower or target set, or no tower at all.
    """
    from peft import LoraConfig

    pattern = "|".join(_patterns(towers, targets).values())
    return LoraConfig(target_modules=pattern, r=r, lora_alpha=lora_alpha, lora_dropout=lora_dropout, **kwargs)


def check_towers(model_or_config, towers: str | Iterable[str] = TOWERS, targets: str = "full") -> dict[str, int]:
    """
    Whether a model has what [`lora_config`] would adapt. peft itself only notices when nothing at all matches.

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
    patterns = _patterns(towers, targets)
    model = model_or_config
    if not hasattr(model, "named_modules"):
        if model.model_type not in CAPTIONERS:
            raise ValueError(f"no towers: the config is of a {model.model_type!r}, neither BLIP-2 nor InstructBLIP.")
        with torch.device("meta"):
            model = CAPTIONERS[model.model_type][0](model)
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    names = [name for name, _ in base.named_modules()]
    counts = {
        tower: sum(re.fullmatch(p, name) is not None for name in names) for tower, p in _PATTERNS[targets].items()
    }
    if missing := [tower for tower in patterns if not counts[tower]]:
        has = ", ".join(repr(tower) for tower in TOWERS if counts[tower]) or "none"
        language_model = getattr(getattr(base.config, "text_config", base.config), "model_type", None)
        raise ValueError(
            f"towers has {', '.join(map(repr, missing))}, for which {type(base).__name__} with the language model "
            f"{language_model!r} has no module to adapt (targets={targets!r}); the towers that it has: {has}."
        )
    return {tower: counts[tower] for tower in patterns}


def count_trainable(model) -> dict[str, int]:
    """
    Trainable parameters by part of the model, with an adapter or without.

    Args:
        model (`Blip2ForConditionalGeneration` or `PeftModel`):
            The model, also wrapped for distributed training.

    Returns:
        `dict[str, int]`: `vit`, `qformer`, `query_tokens`, `language_projection`, `language`, `other` (what BLIP-2
        does not have) and `total`. A parameter that is used twice (tied embeddings) counts once.
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
    unknown = [tower for tower in towers if tower not in TOWERS]
    if unknown or not towers:
        what = f"has unknown {', '.join(map(repr, unknown))}" if unknown else "is empty"
        raise ValueError(f"towers {what}; give one or more of {', '.join(map(repr, TOWERS))}.")
    if targets not in TARGETS:
        raise ValueError(f"targets is {targets!r}; it must be {' or '.join(map(repr, TARGETS))}.")
    return {tower: _PATTERNS[targets][tower] for tower in TOWERS if tower in towers}


__all__ = ["TARGETS", "TOWERS", "check_towers", "count_trainable", "lora_config"]
