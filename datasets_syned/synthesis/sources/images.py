"""A folder of images without instructions."""

import logging
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from ...benchmarks.folder import visible_files
from ...benchmarks.records import read_lines
from ...common.images import FORMATS, ImageError, read_file
from ...common.ranges import check_whole
from ...common.splits import split_named
from .protocol import SourceError, SourceRow, numbered
from .templates import Templates

NEED_A_PLUGIN = {".heic", ".heif", ".jxl"}  # planned as well, so that it is told if they cannot be read
logger = logging.getLogger(__name__)


class ImageFolderSource:
    """
    The images of a folder and of those in it, with instructions that are made for them.

    Args:
        path (`str`): the folder. What is in `val/`, `test/`, ... is of that split, all else to train on.
        instructions (`str`): lists of words, see [`Templates`]; or a JSONL file of `{"file_name", "instruction"}` as
            `syned instruct` writes it, where `instruction` is a text or a list of texts, and `category` is optional.
            File names are paths as seen from the folder, also as Windows writes them.
        split (`str`, *optional*, defaults to `"train"`): see `path`.
        per_image (`int`, *optional*, defaults to 1): instructions of each image, from templates.
        seed (`int`, *optional*, defaults to 0): of the templates.

    Raises:
        ValueError: there is no image in it, or the instructions cannot be read.
    """

    edited, constant = False, False

    def __init__(self, path: str, instructions: str, split: str = "train", per_image: int = 1, seed: int = 0):
        check_whole(f"source {path!r}: per_image", per_image, 1)
        self.folder, self.per_image = Path(path).expanduser(), per_image
        self.files = image_files(self.folder, split)
        if not self.files:
            raise ValueError(f"source {path!r} is no folder with images of split {split!r} in it")
        self.known = self.templates = None
        if instructions.endswith(".jsonl"):
            self.known = self._read_lines(Path(instructions).expanduser())
            others = self.known.keys() - map(self._plain, self.files)  # images of other splits, or no images
            if lost := sorted(name for name in others if not (self.folder / name).is_file()):
                logger.warning("%s: images that are not in %s: %d, such as %r", instructions, path, len(lost), lost[0])
        else:
            self.templates = Templates(instructions, seed)

    def rows(self) -> Iterator[SourceRow]:
        """See [`Source.rows`]. An image of the JSONL file that is not in the folder is left out, and so is its row."""
        for index, name in enumerate(self.files):
            if self.templates:
                texts = self.templates.write(name, self.per_image)
            else:
                texts = self.known.get(self._plain(name), ())
            for number, (text, category) in enumerate(texts):
                yield SourceRow(index, numbered(name, number), text, category)

    def read(self, index: int, edited: bool = False) -> bytes:
        """See [`Source.read`]."""
        try:
            return read_file(self.folder / self.files[index], self.files[index])
        except ImageError as error:
            raise SourceError(str(error)) from error

    def _plain(self, name: str) -> str:
        """A path below the folder as it is compared: names from Windows or a Mac, and `./a.png`, mean the same."""
        path = os.path.relpath(self.folder / name.replace("\\", "/"), self.folder)
        return unicodedata.normalize("NFC", path)

    def _read_lines(self, file: Path) -> dict[str, list[tuple[str, str]]]:
        """Instructions and categories by file name."""
        known: dict[str, list[tuple[str, str]]] = {}
        for line in read_lines(file):
            several = isinstance(line.value("instruction"), list)
            texts = line.texts("instruction") if several else [line.text("instruction", needed=False)]
            category = str(line.values.get("category") or "edit")
            found = known.setdefault(self._plain(line.text("file_name")), [])
            found += [(" ".join(text.split()), category) for text in texts if text]
        return known


def image_files(folder: Path, split: str) -> list[str]:
    """The files of a split that have the extension of an image, as paths below the folder; none that is hidden."""
    from PIL import Image

    known = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS} | NEED_A_PLUGIN
    files = (file for file in visible_files(folder) if file.suffix.lower() in known)
    found = [file.relative_to(folder).as_posix() for file in files]
    return sorted(name for name in found if (split_named(name.split("/")[0]) or "train") == split)
