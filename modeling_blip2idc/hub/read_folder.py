"""A folder's files read one by one, as transformers will read them together, so that a damaged one is named."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers import AutoTokenizer, GenerationConfig

from ..pipeline_blip2idc import CAPTIONERS

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# Files of the same names may be in qformer_tokenizer/.
OBJECTS = (
    *("config.json", "adapter_config.json", "generation_config.json", "processor_config.json"),
    *("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "report.json"),
)
TEXTS = ("README.md", "chat_template.jinja", "merges.txt", "vocab.txt")


@contextmanager
def named(file: Path) -> Iterator[None]:
    """
    Turns whatever a damaged file provokes in its reader into one line.

    Args:
        file (`pathlib.Path`): the only one that is read meanwhile.

    Raises:
        `ValueError`: in place of any error; it names the file.
    """
    try:
        yield
    except Exception as error:  # the libraries fail at a value of another kind in as many ways
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ValueError(f"{file} is damaged, or a value in it is not as it should be ({said})") from error


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; `ValueError` if there is something else."""
    with named(file):
        text = file.read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError("it is empty")
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("it has to be a JSON object")
    return values


def check_texts(folder: Path) -> None:
    """
    Refuses damaged text files, of those that are read.

    Args:
        folder (`pathlib.Path`):
            Of a model or an adapter.

    Raises:
        `ValueError`: one is not in UTF-8, or is to be a JSON object and is none; names it.
    """
    for file in (place / name for place in (folder, folder / "qformer_tokenizer") for name in (*OBJECTS, *TEXTS)):
        if file.is_file() and file.name in OBJECTS:
            read_object(file)
        elif file.is_file():
            with named(file):
                file.read_text(encoding="utf-8")


def read_model(file: Path):
    """
    The model that a `config.json` is of, without memory for its weights.

    Args:
        file (`pathlib.Path`):
            The `config.json`, of one of our models or of a stock one, which becomes one of ours.

    Returns:
        `tuple`: a [`Blip2IDCForConditionalGeneration`] or an [`InstructBlipIDCForConditionalGeneration`] on the device
        "meta", and the class of its processor.

    Raises:
        `ValueError`: it is of another model, or its values cannot be used; names the file.
    """
    values = read_object(file)
    with named(file):
        model_type = values.get("model_type")
        if model_type not in CAPTIONERS:
            raise ValueError(f"it is of a {model_type!r}, neither BLIP-2 nor InstructBLIP")
        model_class, processor_class = CAPTIONERS[model_type]
        config = model_class.config_class.from_dict(values)
        if not isinstance(config.dtype, torch.dtype | str | None):  # it is looked at when weights are read
            raise TypeError(f"dtype is {config.dtype!r}")
        with torch.device("meta"):
            return model_class(config), processor_class


def read_processor(folder: Path, processor_class: type):
    """
    The processor in a folder.

    Args:
        folder (`pathlib.Path`):
            Of a model, or of an adapter that has one of its own.
        processor_class (`type`):
            As [`read_model`] tells.

    Returns:
        [`Blip2IDCProcessor`] or [`InstructBlipIDCProcessor`]

    Raises:
        `ValueError`: it cannot be read; names the file.
    """
    for place in (folder, folder / "qformer_tokenizer"):
        file, settings = place / "tokenizer.json", place / "tokenizer_config.json"
        if file.is_file():
            with named(file):
                Tokenizer.from_file(str(file))
        if settings.is_file():
            with named(settings):
                AutoTokenizer.from_pretrained(place)("a word")
    names = ("processor_config.json", "preprocessor_config.json")
    with named(next((folder / name for name in names if (folder / name).is_file()), folder / names[0])):
        processor = processor_class.from_pretrained(folder)
        if processor.num_query_tokens is not None:  # it is in files of ours
            blank = Image.new("RGB", (8, 8))
            processor((blank, blank))  # most values are looked at no sooner
    return processor


def read_generation(folder: Path) -> GenerationConfig | None:
    """The generation settings in a folder, if it has some; `ValueError` if they could not be saved again."""
    file = folder / "generation_config.json"
    if not file.is_file():
        return None
    with named(file):
        settings = GenerationConfig.from_pretrained(folder)
        settings.validate(strict=True)
        return settings


def read_parts(folder: Path) -> tuple[Any, Any, GenerationConfig | None, list[Path]]:
    """
    All of a whole model but the weights themselves.

    Args:
        folder (`pathlib.Path`):
            Of the model.

    Returns:
        `tuple`: what [`read_model`], [`read_processor`], [`read_generation`] and [`weight_files`] return.

    Raises:
        `FileNotFoundError`, `ValueError`: as these do.
    """
    model, processor_class = read_model(folder / "config.json")
    return model, read_processor(folder, processor_class), read_generation(folder), weight_files(folder)


def weight_files(folder: Path) -> list[Path]:
    """
    The files of a model's weights that transformers would read, the index of several included.

    Args:
        folder (`pathlib.Path`):
            Of the model.

    Raises:
        `FileNotFoundError`: one is missing. `ValueError`: one is damaged, or the index is. Both name it.
    """
    files = [folder / WEIGHTS]
    if not files[0].is_file() and (index := folder / INDEX).is_file():
        values = read_object(index)
        with named(index):
            shards = values["weight_map"].values()
            if odd := [name for name in shards if name != Path(name).name]:
                raise ValueError(f"{odd[0]!r} in weight_map is no file beside it")
            files = [index, *(folder / name for name in sorted(set(shards)))]
    for file in files:
        if not file.is_file():
            of = f", which {INDEX} names" if len(files) > 1 else ""
            raise FileNotFoundError(f"{file} is missing{of}")
        if file.suffix == ".safetensors":
            check_safetensors(file)
    return files


def check_safetensors(file: Path) -> None:
    """Refuses a file whose header is damaged, or that is shorter or longer than its header says (`ValueError`)."""
    try:
        with safe_open(file, "pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} is damaged, or not whole ({error})") from error


__all__ = [
    "INDEX",
    "WEIGHTS",
    "check_safetensors",
    "check_texts",
    "named",
    "read_generation",
    "read_model",
    "read_object",
    "read_parts",
    "read_processor",
    "weight_files",
]
