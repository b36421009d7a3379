"""An adapter that is published, together with its base."""

import os
from pathlib import Path

from transformers.utils import cached_file

from ..loading.load import base_of, load_idc
from .adapter_weights import adapt_empty, read_adapter_config, read_adapter_weights
from .read_folder import check_texts, read_generation, read_model, read_parts, read_processor


def read_base(base: str, revision: str | None = None, token: str | None = None):
    """
    As [`read_model`], also of a model on the Hub.

    Args:
        base (`str`):
            Folder or Hub id.
        revision (`str`, *optional*), token (`str`, *optional*):
            On the Hub.
    """
    return read_model(Path(cached_file(base, "config.json", revision=revision or "main", token=token)))


def load_on_base(source: Path, token: str | None = None):
    """
    As [`load_idc`], of an adapter in a folder; damaged files are named.

    Args:
        source (`pathlib.Path`):
            Of the adapter.
        token (`str`, *optional*):
            For the configuration of a base on the Hub.

    Returns:
        `tuple`: the `PeftModel`, and its processor.

    Raises:
        `OSError`, `ValueError`: a file is damaged, the base cannot be read, or the adapter does not fit it.
    """
    config, (file, _) = read_adapter_config(source), read_adapter_weights(source)
    base, revision = base_of(str(source), str(source / "adapter_config.json"))
    if os.path.isdir(base):
        check_texts(Path(base))
        model, processor, *_ = read_parts(Path(base))
        processor_class = type(processor)
    else:
        model, processor_class = read_base(base, revision, token)
    adapt_empty(file, config, type(model), model.config)
    read_generation(source)
    if (source / "processor_config.json").is_file():
        read_processor(source, processor_class)
    return load_idc(source)


__all__ = ["load_on_base", "read_base"]
