"""One door for every kind of checkpoint: ours, plain BLIP-2 or InstructBLIP, an adapter, or the embedded model."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    GenerationConfig,
    PreTrainedConfig,
)
from transformers.utils import has_file
from transformers.utils.peft_utils import find_adapter_config_file

from ..auto_blip2idc import CAPTIONERS, EMBEDDED, EMBEDDED_NAME
from ..modeling_blip2idc import Blip2IDCForConditionalGeneration, InstructBlipIDCForConditionalGeneration
from ..processing_blip2idc import Blip2IDCProcessor, InstructBlipIDCProcessor

Captioner = Blip2IDCForConditionalGeneration | InstructBlipIDCForConditionalGeneration
Processor = Blip2IDCProcessor | InstructBlipIDCProcessor


@contextmanager
def _lost_said_plainly() -> Iterator[None]:
    """A connection that was lost, for which transformers blames the repository or nothing, as one line."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"a file of weights is damaged, or not whole: {error}") from error
    except Exception as error:
        lost = error
        while lost is not None and not _is_lost(lost):
            lost = lost.__cause__ or lost.__context__
        if lost is None:
            raise
        url = lost.request.url
        raise OSError(
            f"the connection to {url.scheme}://{url.netloc.decode()} failed ({type(lost).__name__}) at {url.path}; "
            "try again: files that are whole are kept"
        ) from error


def _is_lost(error: BaseException) -> bool:
    """Whether it is of the client, and no answer of the Hub; of a Hub that cannot be reached transformers tells."""
    if not type(error).__module__.startswith("http") or hasattr(error, "response"):
        return False
    return type(error).__name__ != "ConnectError"


@_lost_said_plainly()
def load_idc(
    model_id: str | os.PathLike | None = None,
    revision: str | None = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    attn_implementation: str | dict[str, str] | None = None,
    quantization_config=None,
) -> tuple[Captioner, Processor]:
    """
    Load a captioner and its processor.

    Args:
        model_id (`str` or `os.PathLike`, *optional*):
            Hub id or folder of a full model (of this package, plain BLIP-2 or plain InstructBLIP), or of a PEFT
            adapter, whose base model is read from its `adapter_config.json`: an id, or a folder, relative to that of
            the adapter or to the working folder. By default the model embedded in this package.
        revision (`str`, *optional*):
            Branch, tag or commit of `model_id` on the Hub. An adapter names the revision of its base itself.
        dtype (`torch.dtype` or `str`, *optional*):
            Such as `"bfloat16"`. By default that of the checkpoint: 15 GB for the released OPT-2.7b ones (float32).
        device (`torch.device` or `str`, *optional*):
            Where the model is put. By default the CPU, or with `quantization_config` where transformers puts it.
        attn_implementation (`str` or `dict[str, str]`, *optional*):
            As for `from_pretrained`: one name, or one for each of `vision_config`, `qformer_config`, `text_config`.
            The name of a flash attention, which transformers refuses for the whole of a BLIP-2, leaves the Q-Former,
            and T5, on `"sdpa"`.
        quantization_config (`transformers.BitsAndBytesConfig` or another, *optional*):
            As for `from_pretrained`.

    Returns:
        `tuple`: the model in evaluation mode, a [`Blip2IDCForConditionalGeneration`] or an
        [`InstructBlipIDCForConditionalGeneration`] or, for an adapter, a `PeftModel` over one; and its
        [`Blip2IDCProcessor`] or [`InstructBlipIDCProcessor`], for an adapter the one beside it or else that of its
        base.

    Raises:
        `FileNotFoundError`: if there is no such folder, or no model in it.
        `OSError`: the Hub refuses, or cannot be reached.
        `ValueError`: if the model is neither BLIP-2 nor InstructBLIP, weights are missing, or the adapter does not
            fit its base.
    """
    if model_id is None:
        if not (EMBEDDED / "config.json").is_file():
            raise FileNotFoundError(
                f"The embedded model is missing ({EMBEDDED}); `make mini` makes it, or name a model."
            )
        model_id = EMBEDDED
    model_id = os.fspath(model_id)
    check_folder(model_id)
    options = {"dtype": dtype, "attn_implementation": attn_implementation, "quantization_config": quantization_config}
    if quantization_config is not None and device is not None:
        options["device_map"] = {"": device}  # quantized weights cannot be moved later
    adapter_file = find_adapter_config_file(model_id, revision=revision)
    if adapter_file is None:
        model, processor_class = _load_full(model_id, revision, options)
        processor = processor_class.from_pretrained(model_id, revision=revision or "main")
    else:
        base, base_revision = base_of(model_id, adapter_file)
        model, processor_class = _load_full(base, base_revision, options)
        if has_file(model_id, "generation_config.json", revision):  # how its captions were searched when it was scored
            model.generation_config = GenerationConfig.from_pretrained(model_id, revision=revision or "main")
        model = _load_adapter(model, base, model_id, revision)
        # one that was saved with an adapter knows the canvas that it was trained on
        own = has_file(model_id, "processor_config.json", revision)
        where = (model_id, revision) if own else (base, base_revision)
        processor = processor_class.from_pretrained(where[0], revision=where[1] or "main")
    # Checkpoints from before the <image> token name neither of these.
    if processor.num_query_tokens is None:
        processor.num_query_tokens = model.config.num_query_tokens
    if model.config.image_token_index is None:
        model.config.image_token_index = processor.image_token_id
        if processor.image_token_id >= model.config.text_config.vocab_size:
            # its embedding is never read: the image features stand in its place
            model.resize_token_embeddings(processor.image_token_id + 1, mean_resizing=False)
    _stop_where_captions_do(model, processor)
    if device is not None and quantization_config is None:
        model = model.to(device)
    return model.eval(), processor


def check_folder(model_id: str) -> None:
    """transformers takes a missing folder for a Hub id, and answers with a network error."""
    path = Path(model_id)
    if path.is_dir():
        if not any((path / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise FileNotFoundError(f"No model in {model_id!r}: it has neither config.json nor adapter_config.json.")
    elif path.exists():
        raise FileNotFoundError(f"{model_id!r} is a file; name the folder of the model.")
    elif path.is_absolute() or model_id.startswith((".", "~")) or len(path.parts) > 2:
        raise FileNotFoundError(f"No such folder: {model_id!r}.")


def _load_full(model_id: str, revision: str | None, options: dict) -> tuple[Captioner, type[Processor]]:
    """The model, and the class of its processor."""
    revision = revision or "main"
    options = {name: value for name, value in options.items() if value is not None}
    try:
        config_dict, _ = PreTrainedConfig.get_config_dict(model_id, revision=revision)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"config.json of {model_id!r} is no JSON object") from error
    model_type = config_dict.get("model_type")
    if model_type not in CAPTIONERS:
        raise ValueError(
            f"{model_id!r} is no BLIP-2 model and no InstructBLIP: the model_type in its config.json is "
            f"{model_type!r}, it must be one of {', '.join(map(repr, CAPTIONERS))}."
        )
    model_class, processor_class = CAPTIONERS[model_type]
    if isinstance(attention := options.get("attn_implementation"), str):
        config = model_class.config_class.from_pretrained(model_id, revision=revision)
        options["attn_implementation"] = attention_by_part(attention, config)
    model, info = model_class.from_pretrained(model_id, revision=revision, output_loading_info=True, **options)
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"{model_id!r} lacks {len(missing)} of the weights that its config.json asks for, such as {missing[0]!r}; "
            "they are those of another model."
        )
    return model, processor_class


def attention_by_part(attn_implementation: str, config) -> str | dict[str, str]:
    """One flash attention for a whole model is refused by transformers where one part cannot do it."""
    if not attn_implementation.startswith("flash_attention"):
        return attn_implementation
    decoder_only = config.use_decoder_only_language_model
    classes = MODEL_FOR_CAUSAL_LM_MAPPING if decoder_only else MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    text_can = classes[type(config.text_config)]._supports_flash_attn
    parts = {"vision_config": True, "qformer_config": False, "text_config": text_can}
    return {part: attn_implementation if can else "sdpa" for part, can in parts.items()}


def _stop_where_captions_do(model, processor: Processor) -> None:
    """Generation must end at the token that captions are trained to end with, else it runs on to its limit."""
    generation_config = model.generation_config
    eos = generation_config.eos_token_id
    eos = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    if processor.stop_token_id not in eos:
        generation_config.eos_token_id = [processor.stop_token_id, *eos]


def base_of(adapter: str, adapter_file: str) -> tuple[str, str | None]:
    """Id or folder of the base model that an adapter names, and its revision."""
    try:
        config = json.loads(Path(adapter_file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"adapter_config.json of {adapter!r} is not JSON: {error}") from error
    base = config.get("base_model_name_or_path")
    if not base:
        raise ValueError(f"adapter_config.json of {adapter!r} names no base_model_name_or_path.")
    if base == EMBEDDED_NAME:
        return str(EMBEDDED), None
    beside = Path(adapter, base)
    if os.path.isdir(adapter) and beside.is_dir():
        return str(beside.resolve()), None
    try:
        check_folder(base)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The base model of the adapter {adapter!r} is missing. {error}") from error
    return base, config.get("revision")


def _load_adapter(model, base: str, adapter: str, revision: str | None):
    from peft import PeftConfig, PeftModel

    options = {} if revision is None else {"revision": revision}
    config = PeftConfig.from_pretrained(adapter, **options)
    config.inference_mode = True
    misfit = f"The adapter {adapter!r} does not fit its base model {base!r}: "
    try:
        model = PeftModel(model, config)
        result = model.load_adapter(adapter, "default", torch_device="cpu", **options)
    except (ValueError, RuntimeError) as error:  # no such modules; other shapes
        raise ValueError(misfit + " ".join(str(error).split())[:500]) from error
    for what, keys in (("the base has no module for", result.unexpected_keys), ("it lacks", result.missing_keys)):
        if keys:
            raise ValueError(f"{misfit}{what} {len(keys)} weights, such as {sorted(keys)[0]!r}.")
    return model


def public_name(path: str | os.PathLike | None) -> str | None:
    """A Hub id as it is; of a folder of this machine its name only."""
    if path is None or not (os.path.isabs(path) or os.path.exists(path)):
        return path
    return Path(path).resolve().name


__all__ = ["attention_by_part", "base_of", "check_folder", "load_idc", "public_name"]
