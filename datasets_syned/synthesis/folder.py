"""The folder of a run: what it is made with, and the tables of its stages."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..common.run_record import RUN
from ..loading.registration import NAME
from .plan import SCHEMA, plan_parts, plan_size, same_sources
from .settings import STAGES, Settings
from .sources import Source
from .store import Store

PLAN, EDIT, SCORE, CAPTION, SELECT = STAGES
DATA = "data"
STAMP = b"made_with"  # in the metadata of a table: what its results depend on, besides the plan
ROWS_TOGETHER = 16  # of a row group: Arrow reads no more than 2 GiB of images of one
MAY_CHANGE = {"limit", "variants", "sources_per_part"}  # once there are images
PLACES = ("cache_dir", "num_proc", "keep_in_memory", "token")  # of a source: they decide no row


class RunFolder:
    """
    A run's folder. A stage writes one table for each part of a split, with the id of a row or of a source as its key.

    Args:
        store ([`Store`]): where.
        record (`dict`): content of `synthesis.json`: "settings"; "made_by", id, revision and parameters of the
            models; "planned", how many sources, rows and parts each split has, and "from" which settings.
    """

    def __init__(self, store: Store, record: Mapping[str, Any]):
        self.store, self.record, self.settings = store, dict(record), Settings.from_dict(record["settings"])

    @property
    def parts(self) -> list[tuple[str, int]]:
        """Split and number of each part."""
        return [(split, part) for split, counts in self.record["planned"].items() for part in range(counts["parts"])]

    def plan(self, split: str, part: int) -> list[dict]:
        return self.store.table(part_name(PLAN, split, part)).to_pylist()

    def sources(self, split: str, part: int) -> list[list[dict]]:
        """The planned rows of each source image."""
        return [list(rows) for _, rows in groupby(self.plan(split, part), key=itemgetter("source_id"))]

    def table(
        self, folder: str, split: str, part: int, columns: list[str] | None = None, stamp: str = ""
    ) -> pa.Table | None:
        """What a stage wrote of a part; `None` if that is nothing, or was made with something else."""
        try:
            with self.store.files.open(self.store.path(part_name(folder, split, part)), "rb") as file:
                parquet = pq.ParquetFile(file)
                if (parquet.schema_arrow.metadata or {}).get(STAMP, b"").decode() != stamp:
                    return None
                return parquet.read(columns, use_threads=False)
        except FileNotFoundError:
            return None

    def results(self, *part: Any, **how: Any) -> dict[str, dict]:
        """The rows of [`table`] by their ids."""
        table = self.table(*part, **how)
        return {} if table is None else {row["id"]: row for row in table.to_pylist()}

    def keep(self, folder: str, split: str, part: int, table: pa.Table, stamp: str = "") -> None:
        """Writes what a stage made of a part."""
        with self.store.writing(part_name(folder, split, part)) as file:
            pq.write_table(table.replace_schema_metadata({STAMP: stamp}), file, row_group_size=ROWS_TOGETHER)

    def save(self) -> None:
        """Writes `synthesis.json`, if it is to change."""
        content = (json.dumps(self.record, indent=1) + "\n").encode()
        if not self.store.exists(RUN) or self.store.read(RUN) != content:
            self.store.write(RUN, content)


def part_name(folder: str, split: str, part: int) -> str:
    return f"{folder}/{split}-{part:07d}.parquet"


def read_record(store: Store) -> dict[str, Any] | None:
    """
    Content of `synthesis.json`, `None` if there is none.

    Raises:
        ValueError: it is broken, or the folder holds something else.
    """
    if not store.exists(RUN):
        if others := [name for name in store.names("") if name != PLAN]:
            raise ValueError(
                f"{store.place} holds other files ({others[0]}) and no {RUN}: use a new or an empty folder"
            )
        return None
    try:
        record = json.loads(store.read(RUN))
        [counts["from"] for counts in record["planned"].values()]
    except (ValueError, KeyError) as error:
        wrong = f"is broken, or of an older version, whose runs load and cannot be continued ({error!r})"
        raise ValueError(f"{store.path(RUN)} {wrong}: use another folder") from error
    return record


def extended(settings: Settings, record: Mapping[str, Any] | None) -> Settings:
    """The settings, with the splits and the size of the parts that a run has already."""
    if record is None:
        return settings
    there = Settings.from_dict(record["settings"])
    return replace(settings, splits={**there.splits, **settings.splits}, sources_per_part=there.sources_per_part)


def claim(
    store: Store,
    record: Mapping[str, Any] | None,
    settings: Settings,
    made_by: Mapping[str, Any],
    source: Callable[[str], Source] | None,
) -> RunFolder:
    """
    Takes a folder for a run, or extends the run in it, and plans it. Without a way to open sources the plan must be
    there.

    Raises:
        ValueError: the images that are there were made with something else; or the plan is not there.
    """
    planned = record["planned"] if record else {}
    new = {"settings": settings.as_dict(), "made_by": made_by, "planned": planned}
    new = json.loads(json.dumps(new, default=str))
    follows = {split: _decisive(new, split) for split in settings.splits}
    differing = []
    for split, counts in planned.items() if has_begun(store) else ():
        was, now = counts["from"], follows[split]
        for name in sorted({*was, *now} - MAY_CHANGE):
            if was.get(name) != now.get(name):
                own = f"splits.{split}." if name.startswith(("source.", "balance")) else ""
                differing.append(f"{own}{name} {was.get(name)!r}, not {now.get(name)!r}")
    if differing:
        raise ValueError(
            f"{store.place}: the images in this folder were made with {'; '.join(differing[:5])}. Continue with these "
            "settings, or use another folder"
        )
    folder = RunFolder(store, new)
    for split in settings.splits:
        parts = store.names(PLAN, f"{split}-")
        there = split in planned and planned[split]["from"] == follows[split] and planned[split]["parts"] == len(parts)
        if source is None and not there:
            raise ValueError(f"{store.place}: there is no plan of split {split!r} by these settings: run stage 'plan'")
        if source and not (there and source(split).constant):
            _plan(folder, split, source(split), parts, follows[split])
    folder.record["planned"] = {split: folder.record["planned"][split] for split in settings.splits}
    folder.save()
    return folder


def has_begun(store: Store) -> bool:
    """Whether there are images; before that, all settings may change."""
    return bool(store.names(EDIT))


def _plan(folder: RunFolder, split: str, source: Source, there: Sequence[str], follows: Mapping[str, Any]) -> None:
    """Writes those parts of the plan of a split that are not as they should be."""
    store, planned = folder.store, folder.record["planned"]
    begun = bool(store.names(EDIT, f"{split}-"))
    old_parts = {f"{PLAN}/{name}" for name in there}
    counts = {"sources": 0, "rows": 0, "parts": 0, "from": follows}
    planned.pop(split, None)
    for part, rows in enumerate(plan_parts(folder.settings, split, source)):
        name = part_name(PLAN, split, part)
        old = folder.plan(split, part) if name in old_parts else []
        old_parts.discard(name)
        if begun and not same_sources(old, rows):
            raise ValueError(
                f"{store.place}: the source of split {split!r} has changed since this folder was begun; use another "
                "folder"
            )
        if old != rows:
            folder.save()  # without this plan, which is unfinished from here on
            folder.keep(PLAN, split, part, pa.Table.from_pylist(rows, SCHEMA))
        counts["sources"] += plan_size(rows)
        counts["rows"] += len(rows)
        counts["parts"] += 1
    for name in old_parts:
        folder.save()
        store.remove(name)
    planned[split] = counts


def _decisive(run: Mapping[str, Any], split: str) -> dict[str, Any]:
    """What decides the plan of a split and its images, by name."""
    settings, wanted = run["settings"], run["settings"]["splits"][split]
    # the files of a benchmark of ours are the same wherever they are; of others a folder is what is read
    places = (*PLACES, "data_dir") if wanted["source"]["path"] == NAME else PLACES
    found = {f"source.{name}": value for name, value in wanted["source"].items() if name not in places}
    found |= {name: settings[name] for name in ("seed", "image_format", "sources_per_part")}
    found |= {name: wanted[name] for name in ("balance", "limit", "variants")}
    if wanted["variants"]:
        editor = dict(run["made_by"]["editor"])
        found |= {f"editor.parameters.{name}": value for name, value in editor.pop("parameters").items()}
        found |= {f"editor.{name}": value for name, value in editor.items()}
    return found
