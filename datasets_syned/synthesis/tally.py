"""Counts what became of rows."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
        edited (`int`): images that were made.
        dropped (`dict[str, int]`): by filter; "deleted by hand" are those that somebody took out of the result.
        failed (`dict[str, int]`): by reason. Reasons that differ in a number or a file are counted as one, which
            stands as an example.
        paraphrases (`dict[str, int]`): asked, kept, attempts; empty if none were asked for.
        rejected (`dict[str, int]`): paraphrases by the rule that they broke.
    """

    rows: int = 0
    kept: int = 0
    edited: int = 0
    dropped: dict[str, int] = field(default_factory=Counter)
    failed: dict[str, int] = field(default_factory=Counter)
    paraphrases: dict[str, int] = field(default_factory=Counter)
    rejected: dict[str, int] = field(default_factory=Counter)

    def fail(self, reason: str) -> None:
        """Counts a failed row."""
        kind = kind_of(reason)
        self.failed[next((other for other in self.failed if kind_of(other) == kind), reason)] += 1

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        counts: dict[str, Any] = {"rows": self.rows, "kept": self.kept, "edited": self.edited}
        counts |= {"dropped": _ranked(self.dropped), "failed": _ranked(self.failed)}
        if self.paraphrases:
            counts["paraphrases"] = {**self.paraphrases, "rejected": _ranked(self.rejected)}
        return counts

    @classmethod
    def from_dict(cls, counts: Mapping[str, Any]) -> "Tally":
        said = dict(counts.get("paraphrases", {}))
        rejected = said.pop("rejected", {})
        return cls(**{**counts, "paraphrases": said}, rejected=rejected)


def kind_of(reason: str) -> str:
    """
    A reason with "…" in place of each number and each name of a file.

    Example:
        >>> kind_of("OSError: cat_17.png is truncated (12 bytes)")
        'OSError: … is truncated (… bytes)'
    """
    return DETAIL.sub("…", reason)


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
