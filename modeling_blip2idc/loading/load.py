"""The one loader: every kind of checkpoint in, our model and its processor out."""

import functools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, PreTrainedConfig
from transformers.utils import cached_file
from transformers.utils.hub import extract_commit_hash

from ..checkpoints_blip2idc import (
    HUB_KEYWORDS,
    add_image_token,
    base_of,
    check_folder,
    embedded_model,
    embedded_name,
    find_base,
    has_file,
    with_adapter,
)
from ..modeling_blip2idc import Blip2IDCForConditionalGeneration, InstructBlipIDCForConditionalGeneration
from ..pipeline_blip2idc import CAPTIONERS
from ..processing_blip2idc import Blip2IDCProcessor, InstructBlipIDCProcessor

Captioner = Blip2IDCForConditionalGeneration | InstructBlipIDCForConditionalGeneration
Processor = Blip2IDCProcessor | InstructBlipIDCProcessor


@contextmanager
def plain_errors(model_id: str) -> Iterator[None]:
    """
    Errors of transformers say which model they are about, and a lost connection, for which transformers blames the
    repository, becomes one line.
    """
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"A file of weights of {model_id!r} is damaged or incomplete: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"A JSON file of {model_id!r} is damaged: {error}") from error
    except Exception as error:
        lost = error
        while lost is not None and not _is_lost_connection(lost):
            lost = lost.__cause__ or lost.__context__
        if lost is None:
            if type(error) is OSError and model_id not in str(error):
                where = "" if os.path.isdir(model_id) else "is not a folder on this machine. "
                raise OSError(f"{model_id!r}: {where}{error}") from error
            for file in sorted(Path(model_id).glob("*_model*.bin")):
                if not _is_readable(file):
                    raise ValueError(f"{file} is damaged, or holds something else than tensors") from error
            raise
        url = lost.request.url
        raise OSError(
            f"the connection to {url.scheme}://{url.netloc.decode()} failed ({type(lost).__name__}) at {url.path}; "
            "try again: files that are whole are kept"
        ) from error


def _is_readable(file: Path) -> bool:
    try:
        torch.load(file, map_location="meta", weights_only=True)
    except Exception:  # whatever a damaged or hostile pickle provokes
        return False
    return True


def _is_lost_connection(error: BaseException) -> bool:
    # An answer of the Hub has a response; transformers itself explains a Hub that cannot be reached.
    of_client = type(error).__module__.startswith("http") and not hasattr(error, "response")
    return of_client and type(error).__name__ != "ConnectError"


def load_idc(
    model_id: str | os.PathLike | None = None, *, revision: str | None = None, **kwargs: Any
) -> tuple[Captioner, Processor]:
    """
    Load a captioner and its processor.

    Args:
        model_id (`str` or `os.PathLike`, *optional*):
            Hub id or folder of a full model (of this package, plain BLIP-2 or plain InstructBLIP), or of a PEFT
            adapter, whose `adapter_config.json` names the base model: by its Hub id, or by a folder relative to the
            adapter's or to the working folder. Or the name of a model embedded in this package, `"mini"` or
            `"mini_photos"`, if no folder of that name is there; by default the latter, or else the former.
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
    model_id = os.fspath(check_folder() if model_id is None else model_id)
    with plain_errors(model_id):
        return _load(model_id, {"revision": revision, **kwargs})


def _load(model_id: str, options: dict[str, Any]) -> tuple[Captioner, Processor]:
    options = {name: value for name, value in options.items() if value is not None}
    hub = {name: options[name] for name in HUB_KEYWORDS if name in options}
    model_id = check_folder(model_id, hub.get("subfolder", ""))
    found = find_base(model_id, hub)
    base, base_hub = found or (model_id, hub)
    model_class, processor_class = _classes(base, base_hub)
    options = {name: value for name, value in options.items() if name not in hub} | base_hub
    if isinstance(attention := options.get("attn_implementation"), str):
        config = model_class.config_class.from_pretrained(base, **base_hub)
        options["attn_implementation"] = attention_by_part(attention, config)
    model = model_class.from_pretrained(base, **options)
    processor_from = (base, base_hub)
    if found:
        model = with_adapter(model, model_id, base, hub)
        if has_file(model_id, "processor_config.json", hub):  # it knows the canvas that the adapter was trained on
            processor_from = (model_id, hub)
    processor = processor_class.from_pretrained(processor_from[0], **processor_from[1])
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
        deferred = functools.partial(load_idc, pretrained_model_name_or_path, **kwargs)
        deferred.config = kwargs.get("config") or PreTrainedConfig()  # transformers 5.17 reads its commit
        return deferred


def _classes(model_id: str, hub: dict[str, Any]) -> tuple[type[Captioner], type[Processor]]:
    """The classes of a full model and of its processor."""
    try:
        model_type = PreTrainedConfig.get_config_dict(model_id, **hub)[0].get("model_type")
    except (AttributeError, TypeError) as error:
        raise ValueError(f"config.json of {model_id!r} is not a JSON object") from error
    if model_type not in CAPTIONERS:
        raise ValueError(
            f"{model_id!r} is neither a BLIP-2 nor an InstructBLIP model: the model_type in its config.json is "
            f"{model_type!r}, it must be one of {', '.join(map(repr, CAPTIONERS))}."
        )
    return CAPTIONERS[model_type]


def attention_by_part(attn_implementation: str, config) -> str | dict[str, str]:
    """The attention of each part: transformers refuses a flash attention for a model of which one part has none."""
    if not attn_implementation.startswith("flash_attention"):
        return attn_implementation
    decoder_only = config.use_decoder_only_language_model
    classes = MODEL_FOR_CAUSAL_LM_MAPPING if decoder_only else MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    text_can = classes[type(config.text_config)]._supports_flash_attn
    parts = {"vision_config": True, "qformer_config": False, "text_config": text_can}
    return {part: attn_implementation if can else "sdpa" for part, can in parts.items()}


def _stop_where_captions_do(model, processor: Processor) -> None:
    """Generation must end at the token that captions are trained to end with, else it runs on to its limit."""
    eos = model.generation_config.eos_token_id
    eos = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    if processor.stop_token_id not in eos:
        model.generation_config.eos_token_id = [processor.stop_token_id, *eos]


def merge_adapter(model):
    """
    Merge an adapter into its base.

    Layers that share one weight, such as OPT's token embeddings and its output layer, may get different weights by an
    adapter. They are separated before the merge, and stay so (`tie_word_embeddings` is then `False`) if they differ.

    Args:
        model (`PeftModel`):
            As from [`load_idc`].

    Returns:
        [`Blip2IDCForConditionalGeneration`] or [`InstructBlipIDCForConditionalGeneration`]

    Raises:
        `ValueError`: adapters of this type cannot be merged, or weights are not finite once merged.
    """
    if not hasattr(model, "merge_and_unload"):
        kind = model.peft_config["default"].peft_type.value
        raise ValueError(f"an adapter of the type {kind} cannot be merged into its base")
    _untie(model)
    model = model.merge_and_unload(safe_merge=True)
    _tie_again(model)
    return model


def _untie(model) -> None:
    """Gives each module a weight of its own: a merge writes into the weight of one, and must not change another."""
    seen = set()
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None and id(weight) in seen:
                module._parameters[name] = nn.Parameter(weight.detach().clone(), requires_grad=False)
            seen.add(id(weight))


def _tie_again(model) -> None:
    """Shares weights that are still equal after a merge; else the model says that it shares none."""
    tied = model.all_tied_weights_keys
    if all(torch.equal(model.get_parameter(name), model.get_parameter(source)) for name, source in tied.items()):
        for name, source in tied.items():
            module, _, weight = name.rpartition(".")
            setattr(model.get_submodule(module), weight, model.get_parameter(source))
    else:
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False


def stock_mapping(auto_mapping: dict | None) -> dict | None:
    """An adapter's `auto_mapping` with the stock class in place of ours; another one as it is."""
    stock = {ours.__name__: ours.__bases__[-1] for ours, _ in CAPTIONERS.values()}
    if base := stock.get((auto_mapping or {}).get("base_model_class")):
        return {"base_model_class": base.__name__, "parent_library": base.__module__}
    return auto_mapping


def commit_of(model_id: str | os.PathLike | None, revision: str | None = None, token: str | None = None) -> str | None:
    """The commit that a revision of a model on the Hub is at; `None` for a folder, and where nobody can tell."""
    if model_id is None or os.path.isdir(model_id):
        return None
    for name in ("adapter_config.json", "config.json"):
        try:
            return extract_commit_hash(cached_file(model_id, name, revision=revision, token=token), None)
        except OSError:  # there is no such file, or the Hub does not answer: loading the model tells why
            continue
    return None


def public_name(path: str | os.PathLike | None) -> str | None:
    """A Hub id as it is; of a folder on this machine only its name."""
    if path is None or not (os.path.isabs(path) or os.path.exists(path)):
        return path
    return Path(path).resolve().name


__all__ = [
    "CaptionerLoader",
    "attention_by_part",
    "base_of",
    "check_folder",
    "commit_of",
    "embedded_model",
    "embedded_name",
    "load_idc",
    "merge_adapter",
    "plain_errors",
    "public_name",
    "stock_mapping",
]
