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
    published, dropped, notes = published or {}, dropped or {}, notes or {}
    findings, splits, examples = Findings(samples, thumbnails), {}, []
    images = {"sizes": Counter(), "modes": Counter(), "formats": Counter()}
    with tqdm(desc="Auditing", total=_total(data), unit=" pairs") as bar:
        for name, rows in data.items():
            split, earlier = _Split(name), list(splits.values())
            splits[name] = split
            for number, values in enumerate(rows):
                row = AuditedRow(name, number, values, folders)
                findings.look_at(row)
                split.add(row, findings, earlier)
                for image in (picture.image for picture in row.pictures if picture.image is not None):
                    images["sizes"][f"{image.width}x{image.height}"] += 1
                    images["modes"][image.mode] += 1
                    images["formats"][image.format or "unknown"] += 1
                if number < min(2, samples):
                    examples.append(row.sample("", thumbnails))
                bar.update()
    rows = {name: split.rows for name, split in splits.items()}
    findings.counts["count"].update(name for name, expected in published.items() if expected != rows.get(name, 0))
    across = {f"{one.name}/{two.name}": _shared(one, two) for one, two in combinations(splits.values(), 2)}
    for both, shared in across.items():
        findings.counts["leaked_pairs"] += Counter({both: shared["pairs"]["shared"]})
        findings.counts["leaked_sources"] += Counter({both: shared["sources"]["shared"]})
    found = findings.report()
    before = {
        name: {"published": published.get(name), "dropped": dropped.get(name, {}), "notes": notes.get(name, {})}
        for name in splits
    }
    return {
        "splits": {name: {**split.report(), **before[name]} for name, split in splits.items()},
        "published": dict(published),
        "across": across,
        "images": {what: _ranked(counts) for what, counts in images.items()},
        "vocabulary": _vocabulary({name: split.words for name, split in splits.items()}),
        "findings": found,
        "problems": sum(kind["problem"] and kind["count"] > 0 for kind in found.values()),
        "examples": examples,
    }


class _Split:
    """What is kept of a split."""

    def __init__(self, name: str):
        self.name, self.rows, self.changed = name, 0, 0
        self.pairs, self.sources, self.ids, self.captions = {}, {}, {}, {}  # numbers of rows by digest
        self.looks, self.looking = np.empty((1024, 2), np.uint64), []  # difference hashes, and the rows that have them
        self.references, self.categories, self.words = Counter(), Counter(), Counter()

    def add(self, row: AuditedRow, findings: Findings, earlier: Sequence["_Split"]) -> None:
        self.rows += 1
        self.changed += bool(row.row["changed"])
        self.categories[str(row.row["category"])] += 1
        self.references[len(row.said)] += 1
        for caption in row.said:
            self.words.update(words(caption))
            self.captions.setdefault(_digest(normal(caption)), []).append(row.number)
        pair, source, looks = row.digest, row.pictures[0].digest, row.looks
        for other in earlier:
            if pair in other.pairs:
                findings.show("leaked_pairs", row, f"the same pixels as {other.name} row {other.pairs[pair][0]}")
            elif (near := other.looks_like(looks)) is not None:
                both = f"{other.name}/{self.name}"
                findings.add("near_leaks", row, f"looks like {other.name} row {near}", split=both)
            if source in other.sources:
                findings.show("leaked_sources", row, f"as {other.name} row {other.sources[source][0]}")
        if pair not in self.pairs:
            if (near := self.looks_like(looks)) is not None:
                findings.add("near_duplicates", row, f"looks like row {near}")
            self._remember(looks, row.number)
        if source:
            self.sources.setdefault(source, []).append(row.number)
        for kind, seen, digest, what in (
            ("repeated_ids", self.ids, _digest(str(row.row["id"])), "is also the id of"),
            ("duplicate_pairs", self.pairs, pair, "the same pixels as"),
        ):
            if digest in seen:
                findings.add(kind, row, f"{what} row {seen[digest][0]}")
            if digest:
                seen.setdefault(digest, []).append(row.number)

    def looks_like(self, looks: np.ndarray | None) -> int | None:
        """The first row whose images both look like these."""
        if looks is None:
            return None
        distances = np.bitwise_count(self.looks[: len(self.looking)] ^ looks)  # (rows, 2)
        near = np.flatnonzero((distances <= NEAR).all(axis=1))
        return self.looking[near[0]] if len(near) else None

    def _remember(self, looks: np.ndarray | None, row: int) -> None:
        if looks is not None:
            if len(self.looking) == len(self.looks):
                self.looks = np.resize(self.looks, (2 * len(self.looks), 2))
            self.looks[len(self.looking)] = looks
            self.looking.append(row)

    def report(self) -> dict[str, Any]:
        references = sum(count * rows for count, rows in self.references.items())
        return {
            "rows": self.rows,
            "changed": self.changed,
            "unchanged": self.rows - self.changed,
            "categories": _ranked(self.categories),
            "references": {
                "total": references,
                "mean": round(references / max(1, self.rows), 4),
                "histogram": {str(count): rows for count, rows in sorted(self.references.items())},
            },
            "distinct_captions": len(self.captions),
            "distinct_sources": len(self.sources),
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
    sized = all(isinstance(rows, Dataset) for rows in data.values())
    return sum(map(len, data.values())) if sized else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def _ranked(counts: Counter) -> dict[str, int]:
    """Most frequent first; equally frequent ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _shared(one: _Split, two: _Split) -> dict[str, Any]:
    """What two splits have in common: how many different ones, how many times in each, and the share of each."""
    shared = {}
    for what in ("pairs", "sources", "captions"):
        seen = {split.name: getattr(split, what) for split in (one, two)}
        both = seen[one.name].keys() & seen[two.name].keys()
        times = {name: sum(len(rows[digest]) for digest in both) for name, rows in seen.items()}
        share = {name: round(times[name] / max(1, sum(map(len, rows.values()))), 4) for name, rows in seen.items()}
        shared[what] = {"shared": len(both), "times": times, "share": share}
    return shared


def _vocabulary(splits: Mapping[str, Counter]) -> dict[str, Any]:
    everything, unseen = sum(splits.values(), Counter()), {}
    for name in splits if "train" in splits else ():
        if name == "train":
            continue
        new = Counter({word: count for word, count in splits[name].items() if word not in splits["train"]})
        share = round(new.total() / max(1, splits[name].total()), 4)
        most = list(_ranked(new))[:10]
        unseen[name] = {"words": len(new), "times": new.total(), "share": share, "most_frequent": most}
    once = sum(count == 1 for count in everything.values())
    return {"words": len(everything), "once": once, "times": everything.total(), "unseen_in_train": unseen}
