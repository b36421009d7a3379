"""What an audit looks for in a row: in its captions, in its images, and how what it finds is counted and shown."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..common.caption_text import BOILERPLATE, is_quoted, says_no_change
from .pictures import Picture

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
        "Unreadable images", "They cannot be opened, decoded or shown. Training stops there.", "images"
    ),
    "leaked_pairs": Kind(
        "Pairs in two splits",
        "The same pixels in both images, in whatever files. A model that learned them is not tested.",
        "pairs",
    ),
    "leaked_sources": Kind(
        "Source images in two splits", "The same pixels before the change, whatever comes after it.", "images"
    ),
    "duplicate_pairs": Kind(
        "Pairs that repeat in a split", "The same pixels in both images. They count twice in a score.", "rows"
    ),
    "identical": Kind("Changes of nothing", "The row claims a change, but both images have the same pixels.", "rows"),
    "denied": Kind(
        "Changes that are denied", "The row claims a change, but all its captions say that there is none.", "rows"
    ),
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
    "near_leaks": Kind(
        "Pairs that look alike in two splits",
        "Both images look like those of a pair of another split: compressed again, resized, or of one camera.",
        "rows",
        problem=False,
    ),
    "near_duplicates": Kind(
        "Pairs that look alike in a split",
        "Both images look like those of another pair: saved again, or several edits of one image.",
        "rows",
        problem=False,
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
class AuditedRow:
    """A row of a split, with its images opened once."""

    split: str
    number: int
    row: Mapping[str, Any]
    folders: Sequence[str] = ()
    pictures: tuple[Picture, Picture] = field(init=False)

    def __post_init__(self):
        self.pictures = tuple(Picture(self.row[side], self.folders) for side in ("before", "after"))
        self.captions = [caption or "" for caption in self.row["captions"] or []]

    @cached_property
    def digest(self) -> bytes | None:
        """Of both images together, in their order."""
        one, other = (picture.digest for picture in self.pictures)
        return hashlib.sha256(one + other).digest()[:16] if one and other else None

    @property
    def looks(self) -> np.ndarray | None:
        """The difference hashes of both images, `None` if one of them is flat or cannot be opened."""
        looks = [picture.look for picture in self.pictures]
        return None if any(look is None for look in looks) else np.array(looks)

    def sample(self, what: str, thumbnails: bool) -> dict[str, Any]:
        """What is shown of the row."""
        sample = {"split": self.split, "row": self.number, "id": self.row["id"], "what": what}
        sample |= {"category": self.row["category"], "changed": self.row["changed"]}
        sample["captions"] = [_cut(caption) for caption in self.captions[:SHOWN_CAPTIONS]]
        if thumbnails:
            sample["thumbnails"] = [picture.thumbnail() for picture in self.pictures]
        return sample


class Findings:
    """Counts findings by kind, and keeps the first of each as samples, perhaps with thumbnails."""

    def __init__(self, samples: int, thumbnails: bool):
        self.most, self.thumbnails = samples, thumbnails
        self.counts = {name: Counter() for name in KINDS}
        self.samples = {name: [] for name in KINDS}

    def show(self, name: str, row: AuditedRow, what: str = "") -> None:
        """Keeps a row as a sample, unless there are enough."""
        if len(self.samples[name]) < self.most:
            self.samples[name].append(row.sample(_cut(what), self.thumbnails))

    def add(self, name: str, row: AuditedRow, what: str = "", count: int = 1, split: str = "") -> None:
        if count:
            self.counts[name][split or row.split] += count
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
        denied = row.row["changed"] and said and all(map(says_no_change, said))
        self.add("denied", row, said[0] if denied else "", int(bool(denied)))
        times = Counter(map(normal, said))
        repeated = [caption for caption, count in times.items() if count > 1]
        self.add("repeated", row, repeated[0] if repeated else "", len(said) - len(times))

    def _images(self, row: AuditedRow) -> None:
        one, other = (picture.shown for picture in row.pictures)
        sides = zip(("before", "after"), row.pictures, strict=True)
        problems = [f"{side}: {picture.problem}" for side, picture in sides if picture.problem]
        self.add("unreadable", row, "; ".join(problems), len(problems))
        if problems:
            return
        same = row.pictures[0].digest == row.pictures[1].digest
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
                **asdict(kind),
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
