"""What the stages "edit", "score" and "caption" have in common: they make the missing results of a part."""

import gc
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa

from ..common.paths_in_text import OBJECT
from ..common.row import NO_CHANGE
from .editors.protocol import EditError
from .folder import EDIT, RunFolder
from .sources import SourceError

Results = dict[str, dict[str, Any]]


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
    broken = ""  # why the model failed with all that it was given in the last part

    def stamp(self, split: str) -> str:
        """What results depend on besides the stages before. Those with another stamp are made again."""
        return ""

    @abstractmethod
    def wanted(self, run: RunFolder, split: str, part: int) -> list[str]:
        """Ids that can have a result by now."""

    @abstractmethod
    def make(self, run: RunFolder, split: str, part: int, have: Results, todo: set[str]) -> Results:
        """The results of a part: those that there are, in the order of the plan, and new ones."""

    @abstractmethod
    def table(self, rows: list[dict[str, Any]]) -> pa.Table:
        """The rows as they are stored; it needs no model."""

    def missing(self, run: RunFolder, split: str, part: int, retry: bool = False) -> set[str]:
        """Ids without a result; to try again, also those that failed."""
        have = run.results(self.folder, split, part, columns=["id", "error"], stamp=self.stamp(split))
        done = {name for name, row in have.items() if not (retry and row["error"] is not None)}
        return set(self.wanted(run, split, part)) - done

    def begin(self, run: RunFolder, split: str, part: int, todo: set[str]) -> Callable[[], None]:
        """Makes what is missing of one part. What is returned writes it; it needs no model any more."""
        have = run.results(self.folder, split, part, stamp=self.stamp(split))
        results = self.make(run, split, part, have, todo)

        def write() -> None:
            # at the end those that the plan does not have any more, or not now
            rows = [*results.values(), *(row for name, row in have.items() if name not in results)]
            run.keep(self.folder, split, part, self.table(rows), self.stamp(split))

        return write

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


def in_order(results: Results, names: Iterable[str]) -> Results:
    """Those of some results that there are, in an order."""
    return {name: results[name] for name in names if name in results}


def reason(error: Exception) -> str:
    """Why a row failed, in one line."""
    deliberate = isinstance(error, EditError | SourceError)
    text = str(error) if deliberate else f"{type(error).__name__}: {error}".rstrip(": ")
    return OBJECT.sub("", " ".join(text.split()))[:500]
