"""Which classes a checkpoint is loaded with, and what `pipeline("image-difference-captioning", model=...)` uses."""

import functools
import json
import warnings
from pathlib import Path
from typing import Any

from transformers import AutoModelForImageTextToText, GenerationConfig
from transformers.utils import has_file
from transformers.utils.peft_utils import find_adapter_config_file

from .modeling_blip2idc import Blip2IDCForConditionalGeneration, InstructBlipIDCForConditionalGeneration
from .processing_blip2idc import Blip2IDCProcessor, InstructBlipIDCProcessor

EMBEDDED = Path(__file__).parent / "mini"
EMBEDDED_NAME = "modeling_blip2idc/mini"  # by which an adapter names it: every copy of this package has it
_BLIP2 = (Blip2IDCForConditionalGeneration, Blip2IDCProcessor)
_INSTRUCTBLIP = (InstructBlipIDCForConditionalGeneration, InstructBlipIDCProcessor)
# Model and processor by the `model_type` of a config.json, stock and ours.
CAPTIONERS = {
    "blip-2": _BLIP2,
    "blip2idc": _BLIP2,
    "instructblip": _INSTRUCTBLIP,
    "instructblipidc": _INSTRUCTBLIP,
}


class AutoModelForImageDifferenceCaptioning(AutoModelForImageTextToText):
    """
    `AutoModelForImageTextToText`, which remembers where it read, and takes the generation settings of an adapter.

    `pipeline` takes the processor of an adapter from its base model, whose canvas may be another than the one the
    adapter was trained on; the pipeline can then look for the adapter's own.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        where = {name: kwargs[name] for name in ("revision", "token") if kwargs.get(name) is not None}
        if "revision" in where:
            where["revision"] = str(where["revision"])  # else it remembers a commit, which is the base's
        base = base_beside(pretrained_model_name_or_path, **where)
        model = AutoModelForImageTextToText.from_pretrained(base or pretrained_model_name_or_path, *args, **kwargs)
        if base is not None:
            model.load_adapter(str(pretrained_model_name_or_path), adapter_kwargs=where)
        model._loaded_from = (str(pretrained_model_name_or_path), where)
        if find_adapter_config_file(pretrained_model_name_or_path, **where) is not None:
            if has_file(pretrained_model_name_or_path, "generation_config.json", **where):
                model.generation_config = GenerationConfig.from_pretrained(pretrained_model_name_or_path, **where)
        return model


def base_beside(adapter, **where) -> str | None:
    """
    The folder of the base model of an adapter, if transformers would not find it: the embedded model, or one that a
    local adapter names by its path from there. (transformers looks for that path from the working folder only.)

    Args:
        adapter (`str` or `os.PathLike`):
            Hub id or folder of an adapter, with the `config.json` of its base; anything else gives `None`.
        where:
            `revision` and `token` of it on the Hub.

    Returns:
        `str` or `None`: the base's folder.
    """
    file = find_adapter_config_file(adapter, **where)
    if file is None:
        return None
    named = json.loads(Path(file).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if named == EMBEDDED_NAME:
        return str(EMBEDDED)
    folder = Path(adapter)
    if not (folder / "config.json").is_file():
        return None
    base = folder / (named or "missing")
    return str(base.resolve()) if (base / "config.json").is_file() and base.resolve() != folder.resolve() else None


def own_processor(model, processor) -> Any:
    """
    The processor that was saved with a model, of our class, in place of the one that transformers finds: that of an
    adapter's base, whose canvas may be another; or a stock one, which does not read how the canvas is made.

    Args:
        model (`PreTrainedModel` or `PeftModel`):
            The captioner; [`AutoModelForImageDifferenceCaptioning`] tells where its adapter is.
        processor (`ProcessorMixin`):
            The processor at hand. If it is not what is saved with the model, or with the adapter's base, somebody
            chose it, and it is kept.

    Returns:
        `ProcessorMixin`: the one to use.
    """
    source, where = getattr(model, "_loaded_from", (model.name_or_path, {}))
    adapter = source != model.name_or_path
    if not hasattr(processor, "image_processor") or hasattr(processor, "post_process_captions") and not adapter:
        return processor
    of_base = {name: value for name, value in where.items() if name == "token"} if adapter else where
    own = CAPTIONERS[model.config.model_type][1]
    try:
        saved = type(processor).from_pretrained(model.name_or_path, **of_base)
        if saved.to_dict() != processor.to_dict():
            return processor
        if adapter and has_file(source, "processor_config.json", **where):
            return own.from_pretrained(source, **where)
        return own.from_pretrained(model.name_or_path, **of_base)
    except OSError:  # a model that was made here, or whose folder is gone
        return processor


def take_adapters_settings(model, processor) -> None:
    """
    Gives a model the generation settings that were saved with its adapter. [`AutoModelForImageDifferenceCaptioning`]
    does so, but a process without this package loads with a class of transformers, which does not; where the adapter
    is, its processor knows. Settings that somebody changed are kept.

    Args:
        model (`PreTrainedModel` or `PeftModel`):
            The captioner.
        processor (`ProcessorMixin`):
            Its processor; that of another place than the adapter's changes nothing.
    """
    source = getattr(getattr(processor, "tokenizer", None), "name_or_path", None)
    if not source or hasattr(model, "_loaded_from") or not getattr(model, "_hf_peft_config_loaded", False):
        return
    try:
        if find_adapter_config_file(source) is None or not has_file(source, "generation_config.json"):
            return
        if has_file(model.name_or_path, "generation_config.json"):
            of_base = GenerationConfig.from_pretrained(model.name_or_path)
        else:
            of_base = GenerationConfig.from_model_config(model.config)
        if model.generation_config == of_base:
            model.generation_config = GenerationConfig.from_pretrained(source)
    except OSError:  # a private repository, and the token was an argument
        warnings.warn(
            f"The generation settings of the adapter {source} cannot be read, those of its base are used; log in with "
            "`hf auth login`, or set HF_TOKEN.",
            stacklevel=3,
        )


def leave_out_pipeline(config_class: type, task: str) -> None:
    """
    Makes a configuration class not read that a repository has a pipeline for a task: transformers would take that in
    place of a registered one, and ask for `trust_remote_code`. It is for processes that have no other; the copy of the
    class that they get reads it.

    Args:
        config_class (`type`):
            A `PreTrainedConfig` that is registered with `AutoConfig`.
        task (`str`):
            Name of the task. Other tasks in `custom_pipelines` stay.
    """
    read = config_class.from_dict.__func__

    @functools.wraps(read)
    def from_dict(cls, config_dict, **kwargs):
        values = {key: value for key, value in config_dict.items() if key != "custom_pipelines"}
        named = config_dict.get("custom_pipelines")
        others = {name: of for name, of in named.items() if name != task} if isinstance(named, dict) else {}
        return read(cls, {**values, "custom_pipelines": others} if others else values, **kwargs)

    config_class.from_dict = classmethod(from_dict)
