"""A checkpoint made ready for training: all weights, LoRA, or LoRA over a base of four bits."""

import os
from collections.abc import Iterable
from importlib.util import find_spec

import torch
from peft import get_peft_model, prepare_model_for_kbit_training
from transformers import AutoConfig, BitsAndBytesConfig
from transformers.utils.peft_utils import find_adapter_config_file

from ..pipeline_blip2idc import CAPTIONERS
from .load import attention_by_part, base_of, check_folder, load_idc, merge_adapter
from .lora import TOWERS, check_towers, lora_config
from .vocabulary import check_vocabulary, extend_vocabulary

TUNINGS = ("lora", "full", "qlora")
DTYPES = ("bfloat16", "float32", "float64")


def check_trainable(
    model_id: str | os.PathLike | None,
    revision: str | None = None,
    tuning: str = "lora",
    towers: tuple[str, ...] = TOWERS,
    targets: str = "full",
    dtype: str | None = None,
    fp16: bool = False,
    use_cpu: bool = False,
    attn_implementation: str | None = None,
) -> None:
    """
    Refuse what [`load_trainable`] could not train. No weights are read.

    Args:
        fp16 (`bool`, *optional*, defaults to `False`): whether training computes in float16 where autocast does so.
        use_cpu (`bool`, *optional*, defaults to `False`): whether training leaves a GPU alone.
        model_id, revision, tuning, towers, targets, dtype, attn_implementation: as for [`load_trainable`].

    Raises:
        `ValueError`: names the argument, and what would be right. `OSError`: there is no such model.
    """
    cuda = torch.cuda.is_available() and not use_cpu
    if tuning not in TUNINGS:
        raise ValueError(f"tuning {tuning!r} is not one of {', '.join(TUNINGS)}")
    if tuning == "qlora" and not (cuda and find_spec("bitsandbytes")):
        raise ValueError("tuning qlora needs a CUDA GPU and bitsandbytes (pip install bitsandbytes): use tuning lora")
    if dtype in ("float16", "half"):
        raise ValueError(
            "dtype float16: weights of 16 bits overflow in training, and the loss becomes NaN (transformers issue "
            "30789, LAVIS issues 111 and 267). Give bfloat16, or float32 with fp16 for mixed precision"
        )
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} cannot be trained; give {', '.join(DTYPES)}")
    if fp16 and not cuda:
        raise ValueError("fp16 needs a GPU: leave it out, the CPU computes in float32")
    model = _without_weights(model_id, revision, tuning, attn_implementation)
    if fp16 and not model.config.use_decoder_only_language_model:
        raise ValueError("fp16 with a T5: its feed-forward layers overflow in float16. Use bf16, or neither")
    if tuning != "full":
        check_towers(model, towers, targets)


def _without_weights(model_id, revision, tuning, attn_implementation):
    """The model that would be loaded, for an adapter its base, on the device "meta"."""
    model_id = check_folder(model_id)
    adapter_file = find_adapter_config_file(model_id, revision=revision)
    if adapter_file is not None:
        if tuning != "full":
            raise ValueError(f"{model_id!r} is an adapter already: give its base model, or use --tuning full")
        model_id, revision = base_of(model_id, adapter_file)
    config = AutoConfig.from_pretrained(model_id, revision=revision or "main")
    if config.model_type not in CAPTIONERS:
        raise ValueError(f"{model_id!r} is a {config.model_type!r} model, neither BLIP-2 nor InstructBLIP")
    attention = attn_implementation and {"attn_implementation": attention_by_part(attn_implementation, config)}
    try:
        with torch.device("meta"):
            return CAPTIONERS[config.model_type][0]._from_config(config, **(attention or {}))
    except (ImportError, ValueError) as error:
        if attn_implementation is None:
            raise
        raise ValueError(f"attn_implementation {attn_implementation!r}: {error}") from error


def load_trainable(
    model_id: str | os.PathLike | None = None,
    revision: str | None = None,
    dtype: str | None = None,
    attn_implementation: str | None = None,
    tuning: str = "lora",
    towers: tuple[str, ...] = TOWERS,
    targets: str = "full",
    rank: int = 8,
    lora_alpha: int = 16,
    lora_dropout: float = 0.05,
    device: torch.device | str = "cpu",
    activation_checkpointing: bool = False,
    captions: Iterable[str] = (),
    extend: bool = False,
) -> tuple:
    """
    A model whose trainable parameters are those that training is to change, and its processor.

    Args:
        dtype (`str`, *optional*):
            Of the weights: `"bfloat16"`, `"float32"` or `"float64"`. By default float32, and bfloat16 for the frozen
            weights below an adapter on a GPU. An adapter's own weights are never narrower than float32.
        tuning (`str`, *optional*, defaults to `"lora"`):
            `"lora"`; `"full"`: all weights, an adapter is merged first; `"qlora"`: LoRA over a base quantized to four
            bits (NF4, double quantization, computing in bfloat16), which needs a CUDA GPU and bitsandbytes.
        towers, targets, rank, lora_alpha, lora_dropout: of LoRA; see [`lora_config`].
        device (`torch.device` or `str`, *optional*, defaults to `"cpu"`): where training will be.
        activation_checkpointing (`bool`, *optional*, defaults to `False`):
            Whether the Trainer will recompute activations, which a quantized base has to know.
        captions (`Iterable[str]`, *optional*):
            What it is to learn: the tokenizer must know the words; see [`check_vocabulary`].
        extend (`bool`, *optional*, defaults to `False`):
            Whether to add those that it does not know; see [`extend_vocabulary`]. LoRA trains their rows, too.
        model_id, revision, attn_implementation: as for [`load_idc`].

    Returns:
        `tuple`: the model, a `PeftModel` unless `tuning="full"`, and its processor.

    Raises:
        `ValueError`, `OSError`: as [`check_trainable`], [`check_vocabulary`] and [`extend_vocabulary`] do.
    """
    on_gpu = torch.device(device).type == "cuda"
    options = {"attn_implementation": attn_implementation}
    check_trainable(model_id, revision, tuning, towers, targets, dtype, use_cpu=not on_gpu, **options)
    options["dtype"] = dtype or ("bfloat16" if on_gpu and tuning != "full" else "float32")
    if tuning == "qlora":
        bits = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
        options["quantization_config"] = BitsAndBytesConfig(**bits, bnb_4bit_compute_dtype=torch.bfloat16)
        options["device_map"] = {"": device}  # quantized weights cannot be moved later
    model, processor = load_idc(model_id, revision=revision, **options)
    model = merge_adapter(model) if hasattr(model, "peft_config") else model
    model.config.not_sure_below = None  # that of the scores before training
    captions = list(captions)
    new = extend_vocabulary(model, processor, captions) if extend else []
    check_vocabulary(processor, captions)
    if tuning == "full":
        return model.requires_grad_(True), processor
    if tuning == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=activation_checkpointing)
    size = {"r": rank, "lora_alpha": lora_alpha, "lora_dropout": lora_dropout}
    config = lora_config(
        towers, targets, **size, revision=revision, trainable_token_indices=new or None, ensure_weight_tying=bool(new)
    )
    return get_peft_model(model, config), processor


__all__ = ["TUNINGS", "check_trainable", "load_trainable"]
