"""Asks a model that takes images for edits that fit, and writes them into a file that a person can read and change."""

import json
import logging
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
    known = _known(out)
    counts = {"images": len(known.intersection(names)), "failed": 0, "instructions": 0}
    with out.open("a", encoding="utf-8") as file:
        rest = (name for name in names if name not in known)
        while some := list(islice(rest, IMAGES_AT_ONCE)):
            images = {}
            for name in some:
                try:
                    image = load_image(read_file(folder / name, name), name)
                    images[name] = to_rgb(image, name, by_range=True)
                except ImageError as error:
                    logger.warning("%s", error)
            answers = model.suggest(
                list(images.values()), per_image, [seed_of(seed, name, "instruction") for name in images]
            )
            given = {name: answer for name, answer in zip(images, answers, strict=True) if not _failed(name, answer)}
            if answers and not given:
                raise RuntimeError(str(answers[0]))
            for name, answer in given.items():
                line = {"file_name": name, "instruction": answer.kept, "rejected": answer.rejected}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                counts["instructions"] += len(answer.kept)
            file.flush()
            counts["images"] += len(given)
            counts["failed"] += len(some) - len(given)
    return counts


def _failed(name: str, answer: Any) -> bool:
    if isinstance(answer, Exception):
        logger.warning("%s: %s", name, answer)
    return isinstance(answer, Exception)


def _known(out: Path) -> set[str]:
    """The images that have a line. Half a line, of a process that was killed, is cut off."""
    if not out.exists():
        return set()
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        out.write_bytes(whole)
    return {line.text("file_name") for line in read_lines(out)}
