"""A folder of images without instructions, and unchanged pairs of any source."""

import logging
import os
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ...benchmarks.folder import visible_files
from ...benchmarks.records import read_lines
from ...common.images import FORMATS, ImageError, read_file
from ...common.ranges import check_number, check_whole
from ...common.row import NO_CHANGE
from ...common.seeds import BITS, seed_of
from ...common.splits import split_named
from .protocol import Source, SourceError, SourceRow
from .templates import Templates

NEED_A_PLUGIN = {".heic", ".heif", ".jxl"}  # planned as well, so that it is told if they cannot be read
logger = logging.getLogger(__name__)
# What is said of a pair in which nothing happened.
NO_CHANGE_CAPTIONS = (
    "there is no difference",
    "nothing has changed",
    "the two images show the same",
    "no change was made",
    "the images are identical",
    "there is no change",
)


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
        ValueError: there is no such folder, no image in it, or the instructions cannot be read.
    """

    edited, constant = False, False

    def __init__(self, path: str, instructions: str, split: str = "train", per_image: int = 1, seed: int = 0):
        check_whole(f"source {path!r}: per_image", per_image, 1)
        self.folder, self.per_image = Path(path).expanduser(), per_image
        if not self.folder.is_dir():
            raise ValueError(f"source {path!r}: there is no such folder; instructions={instructions!r} needs one")
        self.files = image_files(self.folder, split)
        if not self.files:
            raise ValueError(f"source {path!r}: there are no images of split {split!r} in it")
        self.known = self.templates = None
        if instructions.endswith(".jsonl"):
            self.known = _read_lines(Path(instructions).expanduser(), self.folder)
            others = self.known.keys() - map(_plain, self.files)  # images of other splits, or no images
            if lost := sorted(name for name in others if not (self.folder / name).is_file()):
                logger.warning("%s: images that are not in %s: %d, such as %r", instructions, path, len(lost), lost[0])
        else:
            self.templates = Templates(instructions, seed)

    def rows(self, limit: int | None = None) -> Iterator[SourceRow]:
        """See [`Source.rows`]. An image of the JSONL file that is not in the folder is left out, and so is its row."""

        def every() -> Iterator[SourceRow]:
            for index, name in enumerate(self.files):
                texts = (
                    self.templates.write(name, self.per_image) if self.templates else self.known.get(_plain(name), ())
                )
                for number, (text, category) in enumerate(texts):
                    yield SourceRow(index, numbered(name, number), text, category)

        return islice(every(), limit)

    def read(self, index: int, edited: bool = False) -> bytes:
        """See [`Source.read`]."""
        try:
            return read_file(self.folder / self.files[index], self.files[index])
        except ImageError as error:
            raise SourceError(str(error)) from error


def image_files(folder: Path, split: str) -> list[str]:
    """The files of a split that have the extension of an image, as paths below the folder; none that is hidden."""
    from PIL import Image

    known = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS} | NEED_A_PLUGIN
    files = (file for file in visible_files(folder) if file.suffix.lower() in known)
    found = [file.relative_to(folder).as_posix() for file in files]
    return sorted(name for name in found if (split_named(name.split("/")[0]) or "train") == split)


def numbered(name: str, number: int) -> str:
    """The id of one of several instructions for an image; that of the first is the image's own."""
    return f"{name}#{number}" if number else name


def _plain(name: str) -> str:
    """A path below the folder as it is compared: names from Windows or a Mac, and `./a.png`, mean the same file."""
    return unicodedata.normalize("NFC", os.path.normpath(name.replace("\\", "/")))


def _read_lines(file: Path, folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Instructions and categories by file name."""
    known: dict[str, list[tuple[str, str]]] = {}
    try:
        for line in read_lines(file):
            row = line.values
            try:
                texts = row["instruction"] if isinstance(row["instruction"], list) else [row["instruction"]]
                category = str(row.get("category") or "edit")
                name = (
                    os.path.relpath(row["file_name"], folder) if os.path.isabs(row["file_name"]) else row["file_name"]
                )
                found = known.setdefault(_plain(name), [])
                found += [(" ".join(text.split()), category) for text in texts if text.strip()]
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f'{line.where}: must be like {{"file_name": "a.jpg", "instruction": ["make it snow"]}}'
                ) from error
    except OSError as error:
        raise ValueError(f"instructions={str(file)!r} cannot be read: {error}") from error
    return known


class WithUnchanged:
    """
    A source, and for some of its images a row in which nothing is to change: its category is "none", its instruction
    a caption that says so. What is made of it is re-encoded and slightly moved.

    Args:
        source ([`Source`]): any.
        share (`float`): of all rows, from 0 to 0.5.
        seed (`int`, *optional*, defaults to 0): which images. Whether an image has such a row depends on its id alone.

    Raises:
        ValueError: `share` is out of its range.
    """

    def __init__(self, source: Source, share: float, seed: int = 0):
        check_number("unchanged", share, 0, 0.5)
        self.source, self.seed, self.chance = source, seed, share / (1 - share)
        self.edited, self.constant = source.edited, source.constant

    def rows(self, limit: int | None = None) -> Iterator[SourceRow]:
        """See [`Source.rows`]; an unchanged row follows the one with its image, and counts for the limit."""

        def every() -> Iterator[SourceRow]:
            for row in self.source.rows():
                yield row
                if seed_of(self.seed, row.id, "unchanged") < self.chance * 2**BITS:
                    caption = no_change_captions(row.id, 1)[0]
                    yield SourceRow(row.index, f"{row.id}#same", caption, NO_CHANGE)

        return islice(every(), limit)

    def read(self, index: int, edited: bool = False) -> bytes:
        """See [`Source.read`]."""
        return self.source.read(index, edited)


def no_change_captions(row_id: str, count: int) -> list[str]:
    """Up to `count` captions of an unchanged row, in an order that depends on its id."""
    turn = seed_of(0, row_id.removesuffix("#same"), "captions") % len(NO_CHANGE_CAPTIONS)
    return list((NO_CHANGE_CAPTIONS[turn:] + NO_CHANGE_CAPTIONS[:turn])[:count])
