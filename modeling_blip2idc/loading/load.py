"""The one loader: every kind of checkpoint in, our model and its processor out."""

import functools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    GenerationConfig,
    PreTrainedConfig,
)
from transformers.utils import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from ..modeling_blip2idc import Blip2IDCForConditionalGeneration, InstructBlipIDCForConditionalGeneration
from ..pipeline_blip2idc import CAPTIONERS, add_image_token, as_captioner
from ..processing_blip2idc import Blip2IDCProcessor, InstructBlipIDCProcessor

Captioner = Blip2IDCForConditionalGeneration | InstructBlipIDCForConditionalGeneration
Processor = Blip2IDCProcessor | InstructBlipIDCProcessor

EMBEDDED = Path(__file__).parents[1] / "mini"
EMBEDDED_NAME = "modeling_blip2idc/mini"  # by which an adapter names it: every copy of this package has it

_HUB_KEYWORDS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


@contextmanager
def _plain_connection_errors() -> Iterator[None]:
    """A lost connection, for which transformers blames the repository, becomes one line."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"A file of weights is damaged or incomplete: {error}") from error
    except Exception as error:
        lost = error
        while lost is not None and not _is_lost_connection(lost):
            lost = lost.__cause__ or lost.__context__
        if lost is None:
            raise
        url = lost.request.url
        raise OSError(
            f"the connection to {url.scheme}://{url.netloc.decode()} failed ({type(lost).__name__}) at {url.path}; "
            "try again: files that are whole are kept"
        ) from error


def _is_lost_connection(error: BaseException) -> bool:
    # An answer of the Hub has a response; transformers itself explains a Hub that cannot be reached.
    of_client = type(error).__module__.startswith("http") and not hasattr(error, "response")
    return of_client and type(error).__name__ != "ConnectError"


@_plain_connection_errors()
def load_idc(
    model_id: str | os.PathLike | None = None, *, revision: str | None = None, **kwargs: Any
) -> tuple[Captioner, Processor]:
    """
    Load a captioner and its processor.

    Args:
        model_id (`str` or `os.PathLike`, *optional*):
            Hub id or folder of a full model (of this package, plain BLIP-2 or plain InstructBLIP), or of a PEFT
            adapter, whose `adapter_config.json` names the base model: by its Hub id, or by a folder relative to the
            adapter's or to the working folder. By default the model embedded in this package.
        revision (`str`, *optional*):
            Branch, tag or commit of `model_id` on the Hub. An adapter names the revision of its base itself.
        kwargs:
            As for `PreTrainedModel.from_pretrained`: `dtype` (by default that of the checkpoint: 15 GB for the
            released OPT-2.7b ones), `device_map`, `quantization_config`, `attn_implementation`, `token`, `cache_dir`,
            `local_files_only`, `subfolder` and so on. A flash attention for the whole model, which transformers
            refuses for BLIP-2, leaves the Q-Former and T5 on `"sdpa"`.

    Returns:
        `tuple`: the model in evaluation mode, a [`Blip2IDCForConditionalGeneration`] or an
        [`InstructBlipIDCForConditionalGeneration`] or, for an adapter, a `PeftModel` over one; and its
        [`Blip2IDCProcessor`] or [`InstructBlipIDCProcessor`], for an adapter the one beside it or else that of its
        base.

    Raises:
        `FileNotFoundError`: if there is no such folder, or no model in it.
        `OSError`: if the Hub refuses, or cannot be reached.
        `ValueError`: if the model is neither BLIP-2 nor InstructBLIP, weights are missing, or the adapter does not
            fit its base.
    """
    if model_id is None and not (EMBEDDED / "config.json").is_file():
        raise FileNotFoundError(f"The embedded model is missing ({EMBEDDED}); `make mini` makes it, or name a model.")
    model_id = os.fspath(EMBEDDED if model_id is None else model_id)
    options = {name: value for name, value in {"revision": revision, **kwargs}.items() if value is not None}
    hub = {name: options[name] for name in _HUB_KEYWORDS if name in options}
    check_folder(model_id, hub.get("subfolder", ""))
    adapter_file = find_adapter_config_file(model_id, **hub)
    if adapter_file is None:
        model, processor_class = _load_full(model_id, options, hub)
        processor = processor_class.from_pretrained(model_id, **hub)
    else:
        base, base_revision = base_of(os.path.join(model_id, hub.get("subfolder", "")), adapter_file)
        of_base = {"revision": base_revision} if base_revision else {}
        base_hub = {name: hub[name] for name in hub if name not in ("revision", "subfolder")} | of_base
        base_options = {name: options[name] for name in options if name not in hub} | base_hub
        model, processor_class = _load_full(base, base_options, base_hub)
        if _has_file(model_id, "generation_config.json", hub):  # how captions were searched when it was scored
            model.generation_config = GenerationConfig.from_pretrained(model_id, **hub)
        model = _load_adapter(model, base, model_id, hub)
        # a processor saved with an adapter knows the canvas that the adapter was trained on
        own = _has_file(model_id, "processor_config.json", hub)
        processor = processor_class.from_pretrained(model_id if own else base, **(hub if own else base_hub))
    add_image_token(model, processor)
    _stop_where_captions_do(model, processor)
    return model.eval(), processor


class CaptionerLoader:
    """
    The class with which `pipeline("image-difference-captioning", model=...)` loads a model: by [`load_idc`].

    `pipeline` would answer an error of `from_pretrained` with a second try in float32 and a third with the stock
    class, which fills missing weights with random numbers. So `from_pretrained` only remembers what to load, and the
    pipeline's constructor does it.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        for name in ("_from_pipeline", "code_revision", "trust_remote_code"):  # no other code than ours runs
            kwargs.pop(name, None)
        if kwargs.get("revision") is not None:
            # `pipeline` has resolved it to a commit, for an adapter to one of the base
            kwargs["revision"] = str(kwargs["revision"])
        return functools.partial(load_idc, pretrained_model_name_or_path, **kwargs)


def check_folder(model_id: str, subfolder: str = "") -> None:
    """Refuses a missing folder, which transformers would take for a Hub id, and a folder without a model."""
    path = Path(model_id)
    if path.is_dir():
        if not any((path / subfolder / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise FileNotFoundError(
                f"No model in {str(path / subfolder)!r}: it has neither config.json nor adapter_config.json."
            )
    elif path.exists():
        raise FileNotFoundError(f"{model_id!r} is a file; name the folder of the model.")
    elif path.is_absolute() or model_id.startswith((".", "~")) or len(path.parts) > 2:
        raise FileNotFoundError(f"No such folder: {model_id!r}.")


def base_of(adapter: str, adapter_file: str) -> tuple[str, str | None]:
    """
    The base model that an adapter names.

    Args:
        adapter (`str`): Hub id or folder of the adapter.
        adapter_file (`str`): path of its `adapter_config.json`.

    Returns:
        `tuple[str, str or None]`: Hub id or folder of the base, and its revision.

    Raises:
        `ValueError`: if the file names no base. `FileNotFoundError`: if the base is a folder that is missing.
    """
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


def _has_file(model_id: str, name: str, hub: dict) -> bool:
    return cached_file(model_id, name, **hub, _raise_exceptions_for_missing_entries=False) is not None


def _load_full(model_id: str, options: dict, hub: dict) -> tuple[Captioner, type[Processor]]:
    """The model, and the class of its processor."""
    try:
        model_type = PreTrainedConfig.get_config_dict(model_id, **hub)[0].get("model_type")
    except (AttributeError, TypeError) as error:
        raise ValueError(f"config.json of {model_id!r} is not a JSON object") from error
    if model_type not in CAPTIONERS:
        raise ValueError(
            f"{model_id!r} is neither a BLIP-2 nor an InstructBLIP model: the model_type in its config.json is "
            f"{model_type!r}, it must be one of {', '.join(map(repr, CAPTIONERS))}."
        )
    model_class, processor_class = CAPTIONERS[model_type]
    if isinstance(attention := options.get("attn_implementation"), str):
        config = model_class.config_class.from_pretrained(model_id, **hub)
        options = {**options, "attn_implementation": attention_by_part(attention, config)}
    model, info = model_class.from_pretrained(model_id, output_loading_info=True, **options)
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"{model_id!r} lacks {len(missing)} of the weights that its config.json asks for, such as {missing[0]!r}; "
            "they are those of another model."
        )
    return model, processor_class


def attention_by_part(attn_implementation: str, config) -> str | dict[str, str]:
    """The attention of each part: transformers refuses a flash attention for a model of which one part has none."""
    if not attn_implementation.startswith("flash_attention"):
        return attn_implementation
    decoder_only = config.use_decoder_only_language_model
    classes = MODEL_FOR_CAUSAL_LM_MAPPING if decoder_only else MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    text_can = classes[type(config.text_config)]._supports_flash_attn
    parts = {"vision_config": True, "qformer_config": False, "text_config": text_can}
    return {part: attn_implementation if can else "sdpa" for part, can in parts.items()}


def _load_adapter(model: Captioner, base: str, adapter: str, hub: dict):
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(adapter, **hub)
    config.inference_mode = True
    misfit = f"The adapter {adapter!r} does not fit its base model {base!r}: "
    try:
        model = as_captioner(PeftModel(model, config))  # refuses a learned prompt
        result = model.load_adapter(adapter, "default", torch_device="cpu", **hub)
    except (KeyError, ValueError, RuntimeError) as error:  # no such modules; other shapes
        raise ValueError(misfit + " ".join(str(error).split())[:500]) from error
    for what, keys in (("the base has no module for", result.unexpected_keys), ("it lacks", result.missing_keys)):
        if keys:
            raise ValueError(f"{misfit}{what} {len(keys)} weights, such as {sorted(keys)[0]!r}.")
    return model


def _stop_where_captions_do(model, processor: Processor) -> None:
    """Generation must end at the token that captions are trained to end with, else it runs on to its limit."""
    eos = model.generation_config.eos_token_id
    eos = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    if processor.stop_token_id not in eos:
        model.generation_config.eos_token_id = [processor.stop_token_id, *eos]


def public_name(path: str | os.PathLike | None) -> str | None:
    """A Hub id as it is; of a folder on this machine only its name."""
    if path is None or not (os.path.isabs(path) or os.path.exists(path)):
        return path
    return Path(path).resolve().name


__all__ = [
    "EMBEDDED",
    "EMBEDDED_NAME",
    "CaptionerLoader",
    "attention_by_part",
    "base_of",
    "check_folder",
    "load_idc",
    "public_name",
]
