"""What the stages "edit", "score" and "caption" have in common: they make the missing results of a part."""

import gc
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..common.paths_in_text import OBJECT
from ..common.row import NO_CHANGE
from .editors.protocol import EditError
from .folder import EDIT, RunFolder
from .sources import SourceError

Results = dict[str, dict[str, Any]]


@dataclass
class Made:
    """
    What became of a part.

    Args:
        split (`str`), part (`int`), rows (`int`): which one, and how many results were missing.
        edited (`int`), seconds (`float`): images that the editor made, and how long it took.
        broken (`str`): why the editor failed with all that it was given; empty if it did not.
        worker (`str`): which of several made it.
    """

    split: str
    part: int
    rows: int
    edited: int = 0
    seconds: float = 0.0
    broken: str = ""
    worker: str = ""


class Stage(ABC):
    """
    Makes the tables of one folder.

    Attributes:
        kind (`str`): its name.
        folder (`str`): where its tables are.
        model: what it needs, `None` if nothing.
    """

    kind: str
    folder: str
    model: Any = None

    def stamp(self, split: str) -> str:
        """What results depend on besides the stages before. Those with another stamp are made again."""
        return ""

    @abstractmethod
    def wanted(self, run: RunFolder, split: str, part: int) -> list[str]:
        """Ids that can have a result by now."""

    @abstractmethod
    def make(
        self, run: RunFolder, made: Made, have: Results, todo: set[str]
    ) -> Callable[[], tuple[Iterable, pa.Schema]]:
        """Makes results for some ids. What is returned gives all rows of the table; it needs no model."""

    def load(self) -> None:
        """Loads the model."""
        if self.model is not None:
            self.model.load()

    def free(self) -> None:
        """Lets go of the model, before the next one is loaded."""
        self.model = None
        gc.collect()
        if "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()


def missing(run: RunFolder, stage: Stage, split: str, part: int, retry: bool = False) -> set[str]:
    """Ids without a result; to try again, also those that failed."""
    have = run.results(stage.folder, split, part, columns=["id", "error"], stamp=stage.stamp(split))
    done = {name for name, row in have.items() if not (retry and row["error"] is not None)}
    return set(stage.wanted(run, split, part)) - done


def changed_rows(run: RunFolder, split: str, part: int) -> list[dict]:
    """The planned rows that have both images, but for unchanged pairs."""
    rows = run.results(EDIT, split, part, columns=["id", "error"])
    there = {name for name, row in rows.items() if row["error"] is None}
    return [row for row in run.plan(split, part) if row["id"] in there and row["category"] != NO_CHANGE]


def answers(ask: Callable[[Sequence], Sequence], groups: Sequence[Sequence]) -> list:
    """
    What is answered to all of some groups. If that raises, the groups are asked one by one, and of a group for which
    that raises, each alone; in place of an answer is then what was raised.
    """
    batch = [each for group in groups for each in group]
    try:
        found = list(ask(batch)) if batch else []
        if len(found) != len(batch):
            raise ValueError(f"it gave {len(found)} answers to {len(batch)} questions")
        return found
    except Exception as error:
        if len(batch) == 1:
            return [error]
    smaller = [[group] for group in groups] if len(groups) > 1 else [[[each]] for each in groups[0]]
    return [answer for some in smaller for answer in answers(ask, some)]


def in_order(results: Results, names: Iterable[str]) -> list[dict[str, Any]]:
    """The results by a plan; at the end those that it does not have any more, or not now."""
    names = [name for name in names if name in results]
    return [results[name] for name in dict.fromkeys([*names, *results])]


def reason(error: Exception) -> str:
    """Why a row failed, in one line."""
    deliberate = isinstance(error, EditError | SourceError)
    text = str(error) if deliberate else f"{type(error).__name__}: {error}".rstrip(": ")
    return OBJECT.sub("", " ".join(text.split()))[:500]
