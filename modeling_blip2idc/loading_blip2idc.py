"""One door for every kind of checkpoint: ours, plain BLIP-2, an adapter, or the embedded model."""

import json
import os
from pathlib import Path

import torch
from transformers.utils import has_file
from transformers.utils.peft_utils import find_adapter_config_file

from .modeling_blip2idc import Blip2IDCForConditionalGeneration
from .processing_blip2idc import Blip2IDCProcessor

EMBEDDED = Path(__file__).parent / "mini"


def load_idc(
    model_id: str | os.PathLike | None = None,
    revision: str | None = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
) -> tuple[Blip2IDCForConditionalGeneration, Blip2IDCProcessor]:
    """
    Load a captioner and its processor.

    Args:
        model_id (`str` or `os.PathLike`, *optional*):
            Hub id or folder of a full model (of this package or plain BLIP-2), or of a PEFT adapter, whose base model
            is read from its `adapter_config.json`: an id, or a folder, relative to that of the adapter or to the
            working folder. By default the model embedded in this package.
        revision (`str`, *optional*):
            Branch, tag or commit of `model_id` on the Hub. An adapter names the revision of its base itself.
        dtype (`torch.dtype` or `str`, *optional*):
            Such as `"bfloat16"`. By default that of the checkpoint: 15 GB for the released OPT-2.7b ones (float32).
        device (`torch.device` or `str`, *optional*):
            Where the model is put. By default the CPU.

    Returns:
        `tuple`: the model in evaluation mode, a [`Blip2IDCForConditionalGeneration`] or, for an adapter, a `PeftModel`
        over one; and the [`Blip2IDCProcessor`], for an adapter the one beside it or else that of its base.

    Raises:
        `FileNotFoundError`: if there is no such folder, or no model in it.
        `ValueError`: if the model is no BLIP-2, weights are missing, or the adapter does not fit its base.
    """
    if model_id is None:
        if not (EMBEDDED / "config.json").is_file():
            raise FileNotFoundError(
                f"The embedded model is missing ({EMBEDDED}); `make mini` makes it, or name a model."
            )
        model_id = EMBEDDED
    model_id = os.fspath(model_id)
    _check_folder(model_id)
    adapter_file = find_adapter_config_file(model_id, revision=revision)
    if adapter_file is None:
        model = _load_full(model_id, revision, dtype)
        processor = _load_processor(model_id, revision)
    else:
        base, base_revision = _base_of(model_id, adapter_file)
        model = _load_adapter(_load_full(base, base_revision, dtype), base, model_id, revision)
        processor = _adapter_processor(model_id, revision) or _load_processor(base, base_revision)
    # Checkpoints from before the <image> token name neither of these.
    if processor.num_query_tokens is None:
        processor.num_query_tokens = model.config.num_query_tokens
    if model.config.image_token_index is None:
        model.config.image_token_index = processor.image_token_id
        if processor.image_token_id >= model.config.text_config.vocab_size:
            # its embedding is never read: the image features stand in its place
            model.resize_token_embeddings(processor.image_token_id + 1, mean_resizing=False)
    _stop_where_captions_do(model, processor)
    return model.to(device).eval() if device is not None else model.eval(), processor


def _check_folder(model_id: str) -> None:
    """transformers takes a missing folder for a Hub id, and answers with a network error."""
    path = Path(model_id)
    if path.is_dir():
        if not any((path / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise FileNotFoundError(f"No model in {model_id!r}: it has neither config.json nor adapter_config.json.")
    elif path.exists():
        raise FileNotFoundError(f"{model_id!r} is a file; name the folder of the model.")
    elif path.is_absolute() or model_id.startswith((".", "~")) or len(path.parts) > 2:
        raise FileNotFoundError(f"No such folder: {model_id!r}.")


def _load_full(model_id: str, revision: str | None, dtype) -> Blip2IDCForConditionalGeneration:
    options = {} if dtype is None else {"dtype": dtype}
    model, info = Blip2IDCForConditionalGeneration.from_pretrained(
        model_id, revision=revision or "main", output_loading_info=True, **options
    )
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"{model_id!r} lacks {len(missing)} of the weights that its config.json asks for, such as {missing[0]!r}; "
            "they are those of another model."
        )
    return model


def _load_processor(model_id: str, revision: str | None) -> Blip2IDCProcessor:
    return Blip2IDCProcessor.from_pretrained(model_id, revision=revision or "main")


def _adapter_processor(adapter: str, revision: str | None) -> Blip2IDCProcessor | None:
    """The processor saved with an adapter, which knows the canvas that it was trained on."""
    return _load_processor(adapter, revision) if has_file(adapter, "processor_config.json", revision) else None


def _stop_where_captions_do(model, processor: Blip2IDCProcessor) -> None:
    """Generation must end at the token that captions are trained to end with, else it runs on to its limit."""
    generation_config = model.generation_config
    eos = generation_config.eos_token_id
    eos = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    if processor.stop_token_id not in eos:
        generation_config.eos_token_id = [processor.stop_token_id, *eos]


def _base_of(adapter: str, adapter_file: str) -> tuple[str, str | None]:
    """Id or folder of the base model that an adapter names, and its revision."""
    try:
        config = json.loads(Path(adapter_file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"adapter_config.json of {adapter!r} is not JSON: {error}") from error
    base = config.get("base_model_name_or_path")
    if not base:
        raise ValueError(f"adapter_config.json of {adapter!r} names no base_model_name_or_path.")
    beside = Path(adapter, base)
    if os.path.isdir(adapter) and beside.is_dir():
        return str(beside.resolve()), None
    try:
        _check_folder(base)
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


__all__ = ["load_idc"]
