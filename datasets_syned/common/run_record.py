"""What `syned synthesize` says of the rows that it wrote, in the files beside them."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .image_cells import BenchmarkFilesError

RUN, SUMMARY, SHEET = "synthesis.json", "summary.json", "contact_sheet.png"
UNFINISHED = "this run is not finished: run the same `syned synthesize` again"


@dataclass(frozen=True)
class RunRecord:
    """A finished run."""

    root: Path
    run: Mapping[str, Any]  # of summary.json: splits (what became of the rows), settings, made_by (models), planned

    def left_out(self, split: str) -> dict[str, int]:
        """How many rows were made and are no part of a split: by the filter that dropped them, or what failed."""
        counts, failed = self.run["splits"].get(split, {"dropped": {}, "failed": {}}), Counter()
        for why, count in counts["failed"].items():
            failed[f"failed: {why.partition(':')[0]}"] += count
        return {**counts["dropped"], **failed}

    def notes(self, split: str) -> dict[str, int]:
        """What else there is to count of a split: its paraphrases."""
        if not (said := self.run["splits"].get(split, {}).get("paraphrases")):
            return {}
        rejected = {f"paraphrases rejected: {rule}": count for rule, count in said["rejected"].items()}
        return {"paraphrases asked for": said["asked"], "paraphrases kept": said["kept"], **rejected}

    def check(self, rows: Mapping[str, Any]) -> None:
        """Refuses a run of which all files of a split are missing. Rows may be: somebody took them out."""
        if missing := [split for split in self.run["splits"] if split not in rows]:
            raise BenchmarkFilesError(f"{self.root}: the files of split {missing[0]!r} are missing; {UNFINISHED}")

    def sheet(self) -> bytes | None:
        """The picture of sample rows, `None` if there is none. What is drawn on it names no local file."""
        path = self.root / SHEET
        return path.read_bytes() if path.is_file() else None


def read_record(root: Path) -> RunRecord | None:
    """The record of the run that a folder is of, `None` if it is of none; one that is not finished is refused."""
    if not (root / RUN).is_file():
        return None
    path = root / SUMMARY
    if not path.is_file():
        raise BenchmarkFilesError(f"{root}: {UNFINISHED}")
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(run[name], dict) for name in ("splits", "settings", "made_by", "planned")):
            return RunRecord(root, run)
    except (ValueError, KeyError, TypeError):  # said below
        pass
    raise BenchmarkFilesError(f"{path} is not a summary of a run")
