"""What an audit looks for in a row: in its captions, in its images, and how what it finds is counted and shown."""

import base64
import hashlib
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from datasets.utils.file_utils import xopen
from PIL import Image

from ..common.caption_text import BOILERPLATE, is_quoted

THUMBNAIL = (360, 360)  # pixels at most
SHOWN_CAPTIONS, SHOWN_CHARACTERS = 8, 300  # of a sample
WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(frozen=True)
class Kind:
    """A kind of finding. `problem` is false for what may be meant so."""

    title: str
    about: str
    unit: str
    problem: bool = True


KINDS = {
    "count": Kind(
        "Other numbers than published", "The files are not complete, or are not the published ones.", "splits"
    ),
    "unreadable": Kind(
        "Unreadable images", "Pillow cannot open them, or not to their end. Training stops there.", "images"
    ),
    "leaked_pairs": Kind(
        "Pairs in two splits", "The same two files, byte by byte. A model that learned them is not tested.", "pairs"
    ),
    "leaked_sources": Kind(
        "Source images in two splits", "The same image before the change, whatever comes after it.", "images"
    ),
    "duplicate_pairs": Kind(
        "Pairs that repeat in a split", "The same two files, byte by byte. They count twice in a score.", "rows"
    ),
    "identical": Kind("Changes of nothing", "The row claims a change, both images have the same pixels.", "rows"),
    "contradiction": Kind(
        "Changed or not", "An unchanged pair has category 'none', and only such a pair; here the two disagree.", "rows"
    ),
    "repeated_ids": Kind("Ids that repeat in a split", "Predictions are matched by id.", "rows"),
    "no_caption": Kind("Pairs without a caption", "There is nothing to learn from them, or to be scored by.", "rows"),
    "empty": Kind("Empty captions", "Among the captions of a pair that has others.", "captions"),
    "boilerplate": Kind(
        "Words of a language model", "Refusals, announcements, parts of the prompt in place of a caption.", "captions"
    ),
    "quoted": Kind(
        "Captions in quotes", "They are learned. One that is not closed shows a caption that was cut.", "captions"
    ),
    "repeated": Kind(
        "Captions that repeat in a pair", "Equal but for case and spaces: a reference fewer than it seems.", "captions"
    ),
    "differing": Kind(
        "Unchanged pairs whose images differ", "Meant so where camera or light may move.", "rows", problem=False
    ),
    "unequal_size": Kind(
        "Pairs of unequal size", "The two images have other widths or heights.", "rows", problem=False
    ),
}


def normal(caption: str) -> str:
    """A caption without the differences that do not count: case and spaces."""
    return " ".join(caption.casefold().split())


@dataclass
class Picture:
    """An image as it is stored: a `dict` of bytes and path."""

    value: Mapping[str, Any] | None
    problem: str | None = None  # why it cannot be read

    @cached_property
    def content(self) -> bytes:
        value = self.value or {}
        if value.get("bytes") is not None or not value.get("path"):
            return value.get("bytes") or b""
        try:
            with xopen(value["path"], "rb") as file:
                return file.read()
        except OSError as error:
            self.problem = f"cannot be opened: {error}"
            return b""

    @cached_property
    def digest(self) -> bytes | None:
        return hashlib.sha256(self.content).digest()[:16] if self.content else None

    @cached_property
    def image(self) -> Image.Image | None:
        """The decoded image, `None` if it has a problem."""
        if not self.content:
            self.problem = self.problem or "is empty"
            return None
        try:
            image = Image.open(io.BytesIO(self.content))
            image.load()
            return image
        except Exception as error:  # Pillow's decoders raise whatever the broken data leads them to
            self.problem = re.sub(r" <_io\S+ object at \w+>", "", str(error)) or type(error).__name__
            return None

    def thumbnail(self) -> dict[str, Any] | None:
        """A small JPEG, as a data URI with its size."""
        if self.image is None:
            return None
        image = self.image
        if image.mode.startswith(("I", "F")):  # more than 8 bits
            values = np.nan_to_num(np.asarray(image, dtype=np.float64))
            image = Image.fromarray(np.uint8(255 * (values - values.min()) / (np.ptp(values) or 1)))
        image = (
            image.convert("RGBA") if image.mode in ("P", "PA", "LA", "RGBA", "RGBa", "La") else image.convert("RGB")
        )
        image.thumbnail(THUMBNAIL)
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        return {"uri": uri, "width": image.width, "height": image.height}


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    """Whether two images look the same, also as files of other formats."""
    if one.size != other.size:
        return False
    if one.mode != other.mode or one.mode == "P":
        one, other = one.convert("RGBA"), other.convert("RGBA")
    return one.tobytes() == other.tobytes()


@dataclass
class AuditedRow:
    """A row of a split, with its images opened once."""

    split: str
    number: int
    row: Mapping[str, Any]
    pictures: tuple[Picture, Picture] = field(init=False)

    def __post_init__(self):
        self.pictures = Picture(self.row["before"]), Picture(self.row["after"])
        self.captions = [caption or "" for caption in self.row["captions"] or []]

    @cached_property
    def digest(self) -> bytes | None:
        """Of both images together, in their order."""
        one, other = (picture.digest for picture in self.pictures)
        return hashlib.sha256(one + other).digest()[:16] if one and other else None

    def sample(self, what: str, thumbnails: bool) -> dict[str, Any]:
        """What is shown of the row."""
        sample = {"split": self.split, "row": self.number, "id": self.row["id"], "what": what}
        sample |= {"category": self.row["category"], "changed": self.row["changed"]}
        sample["captions"] = [_cut(caption) for caption in self.captions[:SHOWN_CAPTIONS]]
        if thumbnails:
            sample["thumbnails"] = [picture.thumbnail() for picture in self.pictures]
        return sample


class Findings:
    """
    Counts findings by kind, and keeps the first of each as samples.

    Args:
        samples (`int`): how many to keep of each kind.
        thumbnails (`bool`): whether they get small images.
    """

    def __init__(self, samples: int, thumbnails: bool):
        self.most, self.thumbnails = samples, thumbnails
        self.counts = {name: Counter() for name in KINDS}
        self.samples = {name: [] for name in KINDS}

    def show(self, name: str, row: AuditedRow, what: str = "") -> None:
        """Keeps a row as a sample, unless there are enough."""
        if len(self.samples[name]) < self.most:
            self.samples[name].append(row.sample(_cut(what), self.thumbnails))

    def add(self, name: str, row: AuditedRow, what: str = "", count: int = 1) -> None:
        if count:
            self.counts[name][row.split] += count
            self.show(name, row, what)

    def look_at(self, row: AuditedRow) -> None:
        """Finds what can be seen in a row alone."""
        self._captions(row)
        self._images(row)
        changed, category = row.row["changed"], row.row["category"]
        if changed == (category == "none"):
            self.add("contradiction", row, f"changed is {changed}, category is {category!r}")

    def _captions(self, row: AuditedRow) -> None:
        said = [caption for caption in row.captions if caption.strip()]
        self.add("no_caption", row, count=not said)
        if said:
            self.add("empty", row, count=len(row.captions) - len(said))
        for name, wrong in (("boilerplate", BOILERPLATE.search), ("quoted", is_quoted)):
            found = [caption for caption in said if wrong(caption)]
            self.add(name, row, found[0] if found else "", len(found))
        times = Counter(map(normal, said))
        repeated = [caption for caption, count in times.items() if count > 1]
        self.add("repeated", row, repeated[0] if repeated else "", len(said) - len(times))

    def _images(self, row: AuditedRow) -> None:
        images = [picture.image for picture in row.pictures]
        problems = [
            f"{side} {p.problem}" for side, p in zip(("before:", "after:"), row.pictures, strict=True) if p.problem
        ]
        self.add("unreadable", row, "; ".join(problems), len(problems))
        if problems:
            return
        one, other = images
        same = row.pictures[0].digest == row.pictures[1].digest or same_pixels(one, other)
        if row.row["changed"]:
            self.add("identical", row, count=same)
        else:
            self.add("differing", row, count=not same)
        if one.size != other.size:
            self.add("unequal_size", row, f"{one.width}x{one.height} and {other.width}x{other.height}")

    def report(self) -> dict[str, dict[str, Any]]:
        """All kinds, those that were not found as well, in the order of [`KINDS`]."""
        return {
            name: {
                "title": kind.title,
                "about": kind.about,
                "unit": kind.unit,
                "problem": kind.problem,
                "count": sum(self.counts[name].values()),
                "by_split": dict(self.counts[name]),
                "samples": self.samples[name],
            }
            for name, kind in KINDS.items()
        }


def words(caption: str) -> Sequence[str]:
    return WORD.findall(caption.lower())


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
