"""Which classes a checkpoint is loaded with, and what `pipeline("image-difference-captioning", model=...)` uses."""

import json
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
    `AutoModelForImageTextToText`, which remembers where an adapter came from, and takes its generation settings.

    `pipeline` takes the processor of an adapter from its base model, whose canvas may be another than the one the
    adapter was trained on; the pipeline can then look for the adapter's own.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        where = {name: kwargs[name] for name in ("revision", "token") if kwargs.get(name) is not None}
        base = base_beside(pretrained_model_name_or_path, **where)
        model = AutoModelForImageTextToText.from_pretrained(base or pretrained_model_name_or_path, *args, **kwargs)
        if base is not None:
            model.load_adapter(str(pretrained_model_name_or_path), **where)
        if "revision" in where:
            where["revision"] = str(where["revision"])  # it remembers a commit, which is the base's
        if find_adapter_config_file(pretrained_model_name_or_path, **where) is not None:
            model._adapter_source = (str(pretrained_model_name_or_path), where)
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


def adapters_own_processor(model, processor) -> Any:
    """
    The processor that was saved with an adapter, in place of the one of its base model.

    Args:
        model (`PreTrainedModel`):
            As loaded by [`AutoModelForImageDifferenceCaptioning`]; any other gets its processor back.
        processor (`ProcessorMixin`):
            The processor at hand. If it is not that of the base model, somebody chose it, and it is kept.

    Returns:
        `ProcessorMixin`: the one to use.
    """
    source, where = getattr(model, "_adapter_source", (None, {}))
    if source is None or processor is None or not has_file(source, "processor_config.json", **where):
        return processor
    of_base = type(processor).from_pretrained(model.name_or_path)
    own = CAPTIONERS[model.config.model_type][1]
    return own.from_pretrained(source, **where) if _same(processor, of_base) else processor


def _same(processor, other) -> bool:
    return processor.to_dict() == other.to_dict()
