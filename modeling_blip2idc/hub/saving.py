"""Folders that models and adapters are saved to: with all of our remote code, or with none of it."""

import glob
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..loading.load import embedded_name, stock_mapping
from ..pipeline_blip2idc import CAPTIONERS, ImageDifferenceCaptioningPipeline

CODE_KEYS = ("auto_map", "custom_pipelines")


def export_remote_code(model, processor, folder: str | os.PathLike, **kwargs) -> None:
    """
    Saves a model so that anyone with `transformers` (and not this package) can use it with `trust_remote_code=True`:
    `AutoConfig`, `AutoModelForImageTextToText`, `AutoProcessor` and `pipeline("image-difference-captioning")`. The
    folder can be uploaded to the Hub as it is. It names no path of this machine.

    Args:
        model ([`Blip2IDCForConditionalGeneration`] or [`InstructBlipIDCForConditionalGeneration`]):
            The model. Merge an adapter into it first.
        processor ([`Blip2IDCProcessor`] or [`InstructBlipIDCProcessor`]):
            Its processor.
        folder (`str` or `os.PathLike`):
            Is made if it is missing.
        kwargs:
            As for `PreTrainedModel.save_pretrained`. `state_dict={}` saves everything but the weights.

    Raises:
        `ValueError`: the model has an adapter, or is of a class that has no code to export, such as plain BLIP-2.
    """
    if hasattr(model, "merge_and_unload"):
        raise ValueError("The model has an adapter: export model.merge_and_unload(), or save the adapter on its own.")
    if type(model).__name__ not in {ours.__name__ for ours, _ in CAPTIONERS.values()}:
        raise ValueError(f"A {type(model).__name__} has no code to export: load it again with load_idc.")
    pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device=model.device)
    pipe.save_pretrained(folder, **kwargs)


def save_compact(model, processor, folder: str | os.PathLike) -> None:
    """
    Saves model and processor for use with this package: weights rounded to float16, none of our code. `config.json`
    keeps the dtype float32, so that loading widens the weights again and computes in float32. Raises a `ValueError` if
    a weight is not finite in float16, whose largest number is 65504.
    """
    weights = model.state_dict()
    rounded = {tensor.data_ptr(): tensor.half() for tensor in weights.values()}  # shared weights stay shared
    halves = {name: rounded[tensor.data_ptr()] for name, tensor in weights.items()}
    if lost := sorted(name for name, tensor in halves.items() if not tensor.isfinite().all()):
        raise ValueError(f"{len(lost)} weights are not finite in float16, such as {lost[0]!r}")
    model.save_pretrained(folder, state_dict=halves)
    processor.save_pretrained(folder)
    remove_code(folder)


def remove_code(folder: str | os.PathLike) -> None:
    """
    Removes the code of this package from a saved model or adapter, and what names it in the configurations.
    `model.save_pretrained` copies the code of the model but not that of the pipeline. With this package nothing of it
    is needed; `blip2idc push` and [`export_remote_code`] write all of it.
    """
    for file in Path(folder).glob("*_blip2idc.py"):
        file.unlink()
    for file in Path(folder).rglob("*config.json"):
        _write_json(file, without_code(json.loads(file.read_text(encoding="utf-8"))))


def without_code(values: dict) -> dict:
    """A configuration without the keys that name code, also in those of its parts."""
    return {k: without_code(v) if isinstance(v, dict) else v for k, v in values.items() if k not in CODE_KEYS}


def name_base(folder: str | os.PathLike, base: str | os.PathLike, revision: str | None = None) -> None:
    """
    Makes a saved adapter name its base so that other machines find it: a Hub id as it is and with its commit
    (`revision`, by default the one that the adapter names already; tomorrow `main` may be another), an embedded model
    as `modeling_blip2idc/mini`, another folder by its path from the adapter's. Beside an adapter on a folder goes the
    folder's `config.json`, which tells `pipeline` what kind of model it is. `auto_mapping` names the stock class,
    which everybody has. A folder without an adapter stays as it is.
    """
    file = Path(folder) / "adapter_config.json"
    if not file.is_file():
        return
    values = json.loads(file.read_text(encoding="utf-8"))
    if os.path.isdir(base):
        config = json.loads((Path(base) / "config.json").read_text(encoding="utf-8"))
        _write_json(Path(folder) / "config.json", without_code(config))
        base = embedded_name(base) or Path(os.path.relpath(base, folder)).as_posix()
        values["revision"] = None
    elif revision is not None:
        values["revision"] = revision
    values["base_model_name_or_path"] = os.fspath(base)
    values["auto_mapping"] = stock_mapping(values.get("auto_mapping"))
    if isinstance(values.get("target_modules"), list):
        values["target_modules"].sort()  # peft has a set; the file is the same every time
    _write_json(file, values)


def _write_json(file: Path, values: dict) -> None:
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def fresh_folder(out: str | os.PathLike) -> Iterator[Path]:
    """
    A new folder that is complete or not there: it gets its name when the block ends, and is removed when the block
    fails. Until then it is beside `out`, so that relative paths are the same from both. What a process that was killed
    has left is removed by the next one. Raises a `FileExistsError` if there is a file of that name, or a folder that
    is not empty.
    """
    out = Path(os.path.realpath(out))
    if out.is_file():
        raise FileExistsError(f"{out} is a file; name a folder that does not exist yet")
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; name a folder that does not exist yet")
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out.parent, f".{out.name}.partial-") as partial:
        yield partial
        if out.is_dir():  # empty; only POSIX renames onto it
            out.rmdir()
        partial.rename(out)


@contextmanager
def temporary_folder(parent: str | os.PathLike, prefix: str, mode: int = 0o777) -> Iterator[Path]:
    """
    A new folder in `parent`, whose name begins with `prefix`, that is removed when the block ends. Those of the same
    prefix whose process was killed go first: while a process lives, it holds a lock on the file beside its folder.
    """
    for left in Path(parent).glob(f"{glob.escape(prefix)}*.lock"):
        try:
            with FileLock(left, timeout=0):
                shutil.rmtree(left.with_suffix(""), ignore_errors=True)
                left.unlink(missing_ok=True)
        except (OSError, Timeout):  # its process is at work, or is somebody else's
            continue
    folder = Path(parent, f"{prefix}{uuid.uuid4().hex[:8]}")
    lock = folder.with_name(f"{folder.name}.lock")
    with FileLock(lock):
        try:
            folder.mkdir(mode)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


__all__ = [
    "export_remote_code",
    "fresh_folder",
    "name_base",
    "remove_code",
    "save_compact",
    "temporary_folder",
    "without_code",
]
