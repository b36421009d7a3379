"""Counts what became of rows."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..common.paths_in_text import without_paths

SHOWN = 5  # reasons of failed rows
KEPT, DROPPED, FAILED = "kept", "dropped", "failed"
# names of files, with or without quotes, and words with a digit: numbers, addresses, digests
DETAIL = re.compile(
    r"""(['"])[^'"]*\.[A-Za-z]\w{1,4}\1|[^\s'"()\[\],;:]*(?:\d|\.[A-Za-z]\w{1,4}\b)[^\s'"()\[\],;:]*"""
)


@dataclass
class Tally:
    """
    What became of the rows of a split.

    Args:
        rows, kept (`int`): how many there are, and how many of those are part of the result.
        dropped (`dict[str, int]`): by filter; "deleted by hand" are those that somebody took out of the result.
        failed (`dict[str, int]`): by reason. Reasons that differ in a number or a file are counted as one, which
            stands as an example.
        paraphrases (`dict`): how many were "asked" for and "kept", and those "rejected" by the rule that they broke;
            empty if none were asked for.
    """

    rows: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=Counter)
    failed: dict[str, int] = field(default_factory=Counter)
    paraphrases: dict[str, Any] = field(default_factory=dict)

    def add(self, rows: Sequence[Mapping[str, Any]], asked: int) -> None:
        """Counts the rows of a part, as [`part_rows`] gives them, of which so many paraphrases were asked for."""
        for row in rows:
            self.rows += 1
            self.kept += row["status"] == KEPT
            if row["status"] == DROPPED:
                self.dropped[row["by"]] += 1
            elif row["status"] == FAILED:
                reason = f"{row['by']}: {without_paths(row['reason'])}"
                kind = kind_of(reason)
                self.failed[next((other for other in self.failed if kind_of(other) == kind), reason)] += 1
        for told in {row["told"]["id"]: row["told"] for row in rows if row["told"]}.values():
            if told["error"] is None:
                said = self.paraphrases or {"asked": 0, "kept": 0, "rejected": Counter()}
                said["asked"] += asked
                said["kept"] += len(told["captions"])
                said["rejected"].update(one["rule"] for one in told["rejected"])
                self.paraphrases = said

    def lines(self, what: str) -> list[str]:
        """What became of the rows, for a terminal."""
        lines = [f"{what}: {self.kept:,} of {self.rows:,} rows kept"]
        lines += [f"  dropped: {count:,} rows by {name}" for name, count in self.dropped.items()]
        if said := self.paraphrases:
            rejected = sum(said["rejected"].values())
            lines.append(f"  paraphrases: {said['kept']:,} of {said['asked']:,}; {rejected:,} rejected")
        for why, count in Counter(self.failed).most_common(SHOWN):
            example = ", such as" if count > 1 and kind_of(why) != why else ""
            lines.append(f"  failed: {count:,} rows{example}: {why}")
        if len(self.failed) > SHOWN:
            lines.append(f"  failed: {sum(self.failed.values()):,} rows in all, for {len(self.failed)} reasons")
        return lines


def kind_of(reason: str) -> str:
    """
    A reason with "…" in place of each number and each name of a file.

    Example:
        >>> kind_of("OSError: cat_17.png is truncated (12 bytes)")
        'OSError: … is truncated (… bytes)'
    """
    return DETAIL.sub("…", reason)
