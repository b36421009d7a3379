"""One pass over the rows of a dataset: counts, duplicates, leaks, captions that are none, images that do not open."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Image, IterableDataset, IterableDatasetDict
from datasets.utils import tqdm

from ..common.row import FEATURES
from .findings import AuditedRow, Findings, normal, words

NEEDED = [column for column in FEATURES if column != "provenance"]
NEAR = 3  # bits of 64 in which the difference hashes of two images that look alike differ at most
Counts = Mapping[str, int]


def audit(
    data: DatasetDict | IterableDatasetDict | Dataset | IterableDataset,
    published: Counts | None = None,
    dropped: Mapping[str, Counts] | None = None,
    notes: Mapping[str, Counts] | None = None,
    samples: int = 4,
    thumbnails: bool = False,
    folders: Sequence[str] = (),
) -> dict[str, Any]:
    """
    Reads every row once, opens every image, and says what it found. Of the rows it keeps digests and difference hashes
    of 16 bytes and the words of the captions, and of each kind of finding the first few as samples; so two audits say
    the same. Images are known again by their pixels, whatever files they are in.

    Args:
        data (`DatasetDict`, `IterableDatasetDict`, `Dataset` or `IterableDataset`):
            Rows with the columns of [`FEATURES`], as `load_dataset` gives them.
        published (`dict[str, int]`, *optional*): how many rows the splits should have.
        dropped (`dict[str, dict[str, int]]`, *optional*): by split, what was left out before, by reason.
        notes (`dict[str, dict[str, int]]`, *optional*): by split, what else was done to the rows, how often.
        samples (`int`, *optional*, defaults to 4): how many rows to show of each kind of finding.
        thumbnails (`bool`, *optional*, defaults to `False`): whether samples get small images, for [`page`].
        folders (`Sequence[str]`, *optional*): where images may lie of which a row has the path alone.

    Returns:
        `dict`: can be written as JSON, but for its size when there are thumbnails. "splits": by split, rows,
        references, categories and so on; "across": what two splits share; "images" and "vocabulary"; "findings": by
        kind, "count", "by_split" (or by two splits), "problem" (false for what may be meant so) and "samples";
        "examples": the first rows; "problems": how many kinds of problems were found.

    Example:
        >>> audit(load_dataset("syned", "scenes"))["findings"]["leaked_pairs"]["count"]
        0
    """
    if isinstance(data, Dataset | IterableDataset):
        data = {str(data.split or "train"): data}
    data = {str(name): _undecoded(name, rows) for name, rows in data.items()}
    findings = Findings(samples, thumbnails)
    splits = {name: _Split(name) for name in data}
    sizes, modes, formats, examples = Counter(), Counter(), Counter(), []
    with tqdm(desc="Auditing", total=_total(data), unit=" pairs") as bar:
        for name, rows in data.items():
            split, earlier = splits[name], [other for other in splits.values() if other.rows and other.name != name]
            for number, values in enumerate(rows):
                row = AuditedRow(name, number, values, folders)
                findings.look_at(row)
                split.add(row, findings, earlier)
                for image in (picture.image for picture in row.pictures if picture.image is not None):
                    sizes[f"{image.width}x{image.height}"] += 1
                    modes[image.mode] += 1
                    formats[image.format or "unknown"] += 1
                if number < min(2, samples):
                    examples.append(row.sample("", thumbnails))
                bar.update()
    for name, expected in (published or {}).items():
        if expected != (splits[name].rows if name in splits else 0):
            findings.counts["count"][name] = 1
    across = {f"{one.name}/{two.name}": _shared(one, two) for one, two in combinations(splits.values(), 2)}
    for both, shared in across.items():
        findings.counts["leaked_pairs"] += Counter({both: shared["pairs"]["shared"]})
        findings.counts["leaked_sources"] += Counter({both: shared["sources"]["shared"]})
    found = findings.report()
    return {
        "splits": {
            name: split.report((published or {}).get(name), (dropped or {}).get(name), (notes or {}).get(name))
            for name, split in splits.items()
        },
        "published": dict(published or {}),
        "across": across,
        "images": {"sizes": _ranked(sizes), "modes": _ranked(modes), "formats": _ranked(formats)},
        "vocabulary": _vocabulary(splits),
        "findings": found,
        "problems": sum(kind["problem"] and kind["count"] > 0 for kind in found.values()),
        "examples": examples,
    }


class _Seen:
    """Digests of what a split has: the row that each was first in, and how often it came."""

    def __init__(self):
        self.first, self.times = {}, Counter()

    def add(self, digest: bytes, row: int) -> int | None:
        """Returns the row that had it first, `None` if it is new."""
        self.times[digest] += 1
        first = self.first.setdefault(digest, row)
        return first if self.times[digest] > 1 else None


class _Looks:
    """Difference hashes of the pairs of a split, each with its row."""

    def __init__(self):
        self.hashes, self.rows = np.empty((1024, 2), np.uint64), []

    def add(self, looks: np.ndarray, row: int) -> None:
        if len(self.rows) == len(self.hashes):
            self.hashes = np.concatenate([self.hashes, np.empty_like(self.hashes)])
        self.hashes[len(self.rows)] = looks
        self.rows.append(row)

    def find(self, looks: np.ndarray) -> int | None:
        """The first row whose images both look like these."""
        distances = np.bitwise_count(self.hashes[: len(self.rows)] ^ looks)  # (rows, 2)
        near = np.flatnonzero((distances <= NEAR).all(axis=1))
        return self.rows[near[0]] if len(near) else None


class _Split:
    """What is kept of a split."""

    def __init__(self, name: str):
        self.name, self.rows, self.changed = name, 0, 0
        self.pairs, self.sources, self.ids, self.captions = _Seen(), _Seen(), _Seen(), _Seen()
        self.looks = _Looks()
        self.references, self.categories, self.words = Counter(), Counter(), Counter()

    def add(self, row: AuditedRow, findings: Findings, earlier: list["_Split"]) -> None:
        self.rows += 1
        self.changed += bool(row.row["changed"])
        self.categories[str(row.row["category"])] += 1
        said = [caption for caption in row.captions if caption.strip()]
        self.references[len(said)] += 1
        for caption in said:
            self.words.update(words(caption))
            self.captions.add(_digest(normal(caption)), row.number)
        pair, source, looks = row.digest, row.pictures[0].digest, row.looks
        known = pair in self.pairs.first
        if (first := self.ids.add(_digest(str(row.row["id"])), row.number)) is not None:
            findings.add("repeated_ids", row, f"is also the id of row {first}")
        if pair and (first := self.pairs.add(pair, row.number)) is not None:
            findings.add("duplicate_pairs", row, f"the same pixels as row {first}")
        if source:
            self.sources.add(source, row.number)
        for other in earlier:
            if pair in other.pairs.first:
                findings.show("leaked_pairs", row, f"the same pixels as {other.name} row {other.pairs.first[pair]}")
            elif looks is not None and (first := other.looks.find(looks)) is not None:
                findings.add(
                    "near_leaks", row, f"looks like {other.name} row {first}", split=f"{other.name}/{self.name}"
                )
            if source in other.sources.first:
                findings.show("leaked_sources", row, f"as {other.name} row {other.sources.first[source]}")
        if looks is not None and not known:
            if (first := self.looks.find(looks)) is not None:
                findings.add("near_duplicates", row, f"looks like row {first}")
            self.looks.add(looks, row.number)

    def report(self, published: int | None, dropped: Counts | None, notes: Counts | None) -> dict[str, Any]:
        references = sum(count * rows for count, rows in self.references.items())
        return {
            "rows": self.rows,
            "published": published,
            "dropped": dict(dropped or {}),
            "notes": dict(notes or {}),
            "changed": self.changed,
            "unchanged": self.rows - self.changed,
            "categories": _ranked(self.categories),
            "references": {
                "total": references,
                "mean": round(references / max(1, self.rows), 4),
                "histogram": {str(count): self.references[count] for count in sorted(self.references)},
            },
            "distinct_captions": len(self.captions.first),
            "distinct_sources": len(self.sources.first),
            "words": self.words.total(),
        }


def _undecoded(name: str, rows: Dataset | IterableDataset) -> Dataset | IterableDataset:
    features = rows.features or rows._resolve_features().features
    if missing := [column for column in NEEDED if column not in features]:
        raise ValueError(
            f"split {name!r} has no column {', '.join(missing)}, but {', '.join(features)}; a row that can be audited "
            f"has {', '.join(NEEDED)}"
        )
    rows = rows.select_columns(NEEDED).with_format(None)
    for side in ("before", "after"):
        rows = rows.cast_column(side, Image(decode=False))
    return rows


def _total(data: Mapping[str, Dataset | IterableDataset]) -> int | None:
    counts = [len(rows) if isinstance(rows, Dataset) else None for rows in data.values()]
    return None if None in counts else sum(counts)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def _ranked(counts: Counter) -> dict[str, int]:
    """Most frequent first; equally frequent ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _shared(one: _Split, two: _Split) -> dict[str, Any]:
    """What two splits have in common: how many different ones, how many times in each, and the share of each."""
    shared = {}
    for what in ("pairs", "sources", "captions"):
        mine, theirs = getattr(one, what), getattr(two, what)
        both = mine.first.keys() & theirs.first.keys()
        seen = {one.name: mine.times, two.name: theirs.times}
        times = {name: sum(counts[digest] for digest in both) for name, counts in seen.items()}
        share = {name: round(times[name] / max(1, counts.total()), 4) for name, counts in seen.items()}
        shared[what] = {"shared": len(both), "times": times, "share": share}
    return shared


def _vocabulary(splits: Mapping[str, _Split]) -> dict[str, Any]:
    everything, unseen = sum((split.words for split in splits.values()), Counter()), {}
    for name, split in splits.items() if "train" in splits else ():
        if name != "train":
            new = Counter({word: count for word, count in split.words.items() if word not in splits["train"].words})
            share = round(new.total() / max(1, split.words.total()), 4)
            most = list(_ranked(new))[:10]
            unseen[name] = {"words": len(new), "times": new.total(), "share": share, "most_frequent": most}
    once = sum(count == 1 for count in everything.values())
    return {"words": len(everything), "once": once, "times": everything.total(), "unseen_in_train": unseen}
