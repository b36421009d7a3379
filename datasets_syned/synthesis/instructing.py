"""Asks a model that takes images for edits that fit, and writes them into a file that a person can read and change."""

import json
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ..benchmarks.records import read_lines
from ..common.images import ImageError, load_image, read_file, to_rgb
from ..common.seeds import seed_of
from .paraphrasers.asking import AskedModel
from .sources.images import image_files

IMAGES_AT_ONCE = 16
logger = logging.getLogger(__name__)


def write_instructions(
    folder: str | Path, out: str | Path, model: AskedModel, per_image: int = 1, split: str = "train", seed: int = 0
) -> dict[str, int]:
    """
    Writes instructions for the images of a folder: a JSONL file with a line per image, `file_name`, `instruction` (a
    list) and `rejected` (a list of texts with the rule that each broke). The model is not asked about images that have
    a line. Images that cannot be read, or to which it gave no answer, get none, and are tried again the next time.

    Args:
        folder (`str` or `Path`), split (`str`, *optional*, defaults to `"train"`): see [`ImageFolderSource`].
        out (`str` or `Path`): the file.
        model ([`AskedModel`]): a model that takes images.
        per_image (`int`, *optional*, defaults to 1): instructions of each image at most.
        seed (`int`, *optional*, defaults to 0): of the answers.

    Returns:
        `dict[str, int]`: how many images have a line (`"images"`), have none (`"failed"`), and how many instructions
        were written this time (`"instructions"`).

    Raises:
        ValueError: there are no images, or the model cannot be loaded.
        RuntimeError: the model gave no answer to any image of a batch.
    """
    folder, out = Path(folder).expanduser(), Path(out).expanduser()
    names = image_files(folder, split)
    if not names:
        raise ValueError(f"{folder} has no images of split {split!r}")
    known = set(_known(out))
    counts = {"images": len(known.intersection(names)), "failed": 0, "instructions": 0}
    with out.open("a", encoding="utf-8") as file:
        rest = (name for name in names if name not in known)
        while some := list(islice(rest, IMAGES_AT_ONCE)):
            images = dict(_opened(folder, some))
            seeds = [seed_of(seed, name, "instruction") for name in images]
            answers = model.suggest(list(images.values()), per_image, seeds)
            failed = [answer for answer in answers if isinstance(answer, Exception)]
            if failed and len(failed) == len(answers):
                raise RuntimeError(str(failed[0]))
            for name, answer in zip(images, answers, strict=True):
                if isinstance(answer, Exception):
                    logger.warning("%s: %s", name, answer)
                    continue
                line: dict[str, Any] = {"file_name": name, "instruction": answer.kept, "rejected": answer.rejected}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                counts["instructions"] += len(answer.kept)
                counts["images"] += 1
            file.flush()
            counts["failed"] += len(some) - len(images) + len(failed)
    return counts


def _known(out: Path) -> Iterator[str]:
    """The images that have a line. Half a line, of a process that was killed, is cut off."""
    if not out.exists():
        return
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        out.write_bytes(whole)
    try:
        yield from [line.text("file_name") for line in read_lines(out)]
    except ValueError as error:
        raise ValueError(f"{error}; this file is not one that this command wrote") from error


def _opened(folder: Path, names: list[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        try:
            yield name, to_rgb(load_image(read_file(folder / name, name), name), name, by_range=True)
        except ImageError as error:
            logger.warning("%s", error)
