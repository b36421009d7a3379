"""What an audit looks for in a row: in its captions, in its images, and how what it finds is counted and shown."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..common.caption_text import BOILERPLATE, is_quoted, says_no_change
from .pictures import Picture

SHOWN_CAPTIONS, SHOWN_CHARACTERS = 8, 300  # of a sample
ALIKE = "Both images look like those of another pair: they were compressed again, resized"
WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(frozen=True)
class Kind:
    """A kind of finding. `problem` is false for what may be meant so."""

    title: str
    about: str
    unit: str
    problem: bool = True


KINDS = {
    name: Kind(*said)
    for name, *said in (
        ("count", "Other numbers than published", "Files are missing, or are not the published ones.", "splits"),
        (
            "unreadable",
            "Unreadable images",
            "They cannot be opened, decoded or shown. Training stops there.",
            "images",
        ),
        ("leaked_pairs", "Pairs in two splits", "The same pixels in both images, in whatever files.", "pairs"),
        ("leaked_sources", "Source images in two splits", "The same pixels before the change.", "images"),
        ("duplicate_pairs", "Pairs that repeat in a split", "The same pixels: they count twice in a score.", "rows"),
        ("identical", "Changes of nothing", "The row claims a change, but both images have the same pixels.", "rows"),
        ("denied", "Changes that are denied", "The row claims a change that all its captions deny.", "rows"),
        ("contradiction", "Changed or not", "Category 'none' is that of an unchanged pair, and no other's.", "rows"),
        ("repeated_ids", "Ids that repeat in a split", "Predictions are matched by id.", "rows"),
        ("no_caption", "Pairs without a caption", "There is nothing to learn from, or to be scored by.", "rows"),
        ("empty", "Empty captions", "Among the captions of a pair that has others.", "captions"),
        ("boilerplate", "Words of a language model", "Refusals, announcements, parts of the prompt.", "captions"),
        ("quoted", "Captions in quotes", "They are learned. One that is not closed shows a cut caption.", "captions"),
        (
            "repeated",
            "Captions that repeat in a pair",
            "Equal but for case and spaces: a reference fewer.",
            "captions",
        ),
        ("near_leaks", "Pairs that look alike in two splits", f"{ALIKE}, or are of one camera.", "rows", False),
        ("near_duplicates", "Pairs that look alike in a split", f"{ALIKE}, or edited twice.", "rows", False),
        (
            "differing",
            "Unchanged pairs whose images differ",
            "Meant so where camera or light may move.",
            "rows",
            False,
        ),
        ("unequal_size", "Pairs of unequal size", "The images have other widths or heights.", "rows", False),
    )
}


def normal(caption: str) -> str:
    """A caption without the differences that do not count: case and spaces."""
    return " ".join(caption.casefold().split())


class AuditedRow:
    """A row of a split, with its images opened once."""

    def __init__(self, split: str, number: int, row: Mapping[str, Any], folders: Sequence[str] = ()):
        self.split, self.number, self.row = split, number, row
        self.pictures = tuple(Picture(row[side], folders) for side in ("before", "after"))
        self.captions = [caption or "" for caption in row["captions"] or []]
        self.said = [caption for caption in self.captions if caption.strip()]

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
        changed, category, said = bool(row.row["changed"]), row.row["category"], row.said
        self.add("no_caption", row, count=not said)
        self.add("empty", row, count=bool(said) * (len(row.captions) - len(said)))
        for name, wrong in (("boilerplate", BOILERPLATE.search), ("quoted", is_quoted)):
            found = [caption for caption in said if wrong(caption)]
            self.add(name, row, *found[:1], count=len(found))
        self.add("denied", row, *said[:1], count=changed and bool(said) and all(map(says_no_change, said)))
        times = Counter(map(normal, said))
        self.add(
            "repeated", row, *[caption for caption in times if times[caption] > 1][:1], count=len(said) - len(times)
        )
        contradiction = f"changed is {changed}, category is {category!r}"
        self.add("contradiction", row, contradiction, count=changed == (category == "none"))
        one, other = row.pictures
        problems = [
            f"{side}: {picture.problem}"
            for side, picture in (("before", one), ("after", other))
            if picture.shown is None
        ]
        self.add("unreadable", row, "; ".join(problems), len(problems))
        if not problems:
            same, sizes = one.digest == other.digest, [f"{it.shown.width}x{it.shown.height}" for it in row.pictures]
            self.add("identical", row, count=changed and same)
            self.add("differing", row, count=not changed and not same)
            self.add("unequal_size", row, " and ".join(sizes), count=len(set(sizes)) > 1)

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
