"""Folders that work in a process without this package: weights, processor and code in one place."""

import copy
import inspect
import os
import shutil
from pathlib import Path

from transformers.dynamic_module_utils import get_relative_import_files

from ..pipeline_blip2idc import TASK, ImageDifferenceCaptioningPipeline


def export_remote_code(model, processor, folder: str | os.PathLike) -> None:
    """
    Save a model so that anyone with `transformers` (and not this package) can use it with `trust_remote_code=True`:
    `AutoConfig`, `AutoModelForImageTextToText`, `AutoProcessor` and `pipeline("image-difference-captioning")`. The
    folder can be uploaded to the Hub as it is; nothing in it names a path of this machine.

    (`model.save_pretrained` and `processor.save_pretrained` write all of it but the pipeline, which in return then is
    taken from this package without `trust_remote_code`.)

    Args:
        model ([`Blip2IDCForConditionalGeneration`]):
            The model. An adapter has to be merged into it first.
        processor ([`Blip2IDCProcessor`]):
            Its processor.
        folder (`str` or `os.PathLike`):
            Where to; it is made if there is none.

    Raises:
        `ValueError`: if the model is of another class, such as an adapter or a plain BLIP-2.
    """
    if hasattr(model, "merge_and_unload"):
        raise ValueError("The model has an adapter: export model.merge_and_unload(), or save the adapter on its own.")
    if not hasattr(model, "sequence_confidence"):
        raise ValueError(f"A {type(model).__name__} has no code to export: load it again with load_idc.")
    pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device=model.device)
    pipe.save_pretrained(folder)


def export_without_weights(model, processor, folder: str | os.PathLike) -> None:
    """
    What [`export_remote_code`] writes, but for weights and generation settings: for weights that are files already,
    and for an adapter, whose base has them.

    Args:
        model ([`Blip2IDCForConditionalGeneration`] or [`InstructBlipIDCForConditionalGeneration`]):
            The model; it may be on the device "meta".
        processor ([`Blip2IDCProcessor`] or [`InstructBlipIDCProcessor`]):
            Its processor.
        folder (`str` or `os.PathLike`):
            Where to; it is made if there is none.
    """
    code = Path(inspect.getfile(ImageDifferenceCaptioningPipeline))
    info = ImageDifferenceCaptioningPipeline._registered_impl[TASK]
    impl = f"{code.stem}.{ImageDifferenceCaptioningPipeline.__name__}"
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.auto_map = {model._auto_class: f"{type(model).__module__.rpartition('.')[2]}.{type(model).__name__}"}
    config.custom_pipelines = {TASK: {**info, "impl": impl, "pt": tuple(auto.__name__ for auto in info["pt"])}}
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    for file in (code, *map(Path, get_relative_import_files(code))):
        shutil.copyfile(file, Path(folder) / file.name)


__all__ = ["export_remote_code", "export_without_weights"]
