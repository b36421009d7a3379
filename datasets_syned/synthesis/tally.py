"""Counts what became of rows, part by part."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .reasons import count_reasons
from .rows import DROPPED, FAILED, KEPT


@dataclass
class Tally:
    """
    What became of rows so far.

    Args:
        rows, kept (`int`): how many are done, and how many of those are part of the result.
        dropped (`Counter`): by filter.
        failed (`Counter`): by reason, see [`count_reasons`].
        edited (`int`): images that were made.
        paraphrases (`Counter`): asked, kept, attempts, rejected.
        rules (`Counter`): rejected paraphrases by the rule that they broke.
        editor_seconds (`float`): that the editor took, of parts made in this process or its workers.
        timed (`int`): images made in that time.
    """

    rows: int = 0
    kept: int = 0
    dropped: Counter = field(default_factory=Counter)
    failed: Counter = field(default_factory=Counter)
    edited: int = 0
    paraphrases: Counter = field(default_factory=Counter)
    rules: Counter = field(default_factory=Counter)
    editor_seconds: float = 0.0
    timed: int = 0

    def add(self, stats: Mapping[str, Any]) -> None:
        """Adds a part, as [`PartMaker.make`] tells of it."""
        self.rows += stats["rows"]
        self.kept += stats[KEPT]
        self.dropped.update(stats[DROPPED])
        count_reasons(self.failed, stats[FAILED])
        self.edited += stats["edited"]
        if "editor_seconds" in stats:
            self.editor_seconds += stats["editor_seconds"]
            self.timed += stats["edited"]
        said = stats["paraphrases"]
        self.paraphrases.update({name: said[name] for name in ("asked", "kept", "attempts") if name in said})
        self.rules.update(reject["rule"] for reject in said.get("rejected", ()))

    def lose(self, rows: int, reason: str) -> None:
        """Notes rows of which nothing could be kept."""
        self.rows += rows
        self.failed[f"storage: {reason}"] += rows

    def __iadd__(self, other: "Tally") -> "Tally":
        for name in ("rows", "kept", "edited", "editor_seconds", "timed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("dropped", "paraphrases", "rules"):
            getattr(self, name).update(getattr(other, name))
        count_reasons(self.failed, other.failed)
        return self

    @property
    def said(self) -> str:
        """In a few words, for a progress bar."""
        words = [f"dropped {self.dropped.total()} ({', '.join(_counted(self.dropped))})"] if self.dropped else []
        words += [f"failed {self.failed.total()}"] if self.failed else []
        return ", ".join(words)

    def as_dict(self) -> dict[str, Any]:
        """The counts that are the same whenever the same rows were made."""
        counts = {"rows": self.rows, "kept": self.kept, "edited": self.edited}
        counts |= {name: dict(_ranked(getattr(self, name))) for name in ("dropped", "failed")}
        if self.paraphrases:
            counts["paraphrases"] = {**self.paraphrases, "rejected": dict(_ranked(self.rules))}
        return counts


def _ranked(counts: Counter) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _counted(counts: Counter) -> list[str]:
    return [f"{name} {count}" for name, count in _ranked(counts)]
