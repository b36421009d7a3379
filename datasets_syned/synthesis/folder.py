"""The folder of a run: whose it is, which parts are done, where its files lie."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common.run_record import RUN
from ..loading.registration import NAME
from .plan import FOLDER, Planned, PlanReader, file_of, write_plan
from .settings import Settings
from .sources import Source
from .store import Store

PARTS, DATA, EXCLUDED = "parts", "data", "excluded"
OURS = {FOLDER}  # what may be there before RUN is
LOCK = ".lock"
DECISIVE = ("seed", "image_format", "rows_per_part", "rows_per_shard")  # of the settings, besides splits
PLACES = ("cache_dir", "num_proc", "keep_in_memory", "token")  # of a source: they decide no row


@dataclass(frozen=True)
class Shard:
    """
    A Parquet file of the result, and the parts that it is made of.

    Args:
        split (`str`), number, total (`int`): which of how many.
        parts (`range`): numbers of the parts.
    """

    split: str
    number: int
    total: int
    parts: range

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}-of-{self.total:05d}.parquet"


def part_name(split: str, part: int) -> str:
    return f"{split}-{part:07d}.parquet"


class RunFolder:
    """
    A run's folder.

    Args:
        store ([`Store`]): where.
        settings ([`Settings`]): of the run.
        planned (`dict[str, Planned]`): by split.
    """

    def __init__(self, store: Store, settings: Settings, planned: Mapping[str, Planned]):
        self.store, self.settings, self.planned = store, settings, planned

    def shards(self, split: str) -> list[Shard]:
        """The files that a split will have."""
        wanted, parts = self.settings.splits[split], self.planned[split].parts
        sources = max(1, self.settings.rows_per_part // max(1, wanted.variants))
        each = max(1, self.settings.rows_per_shard // (sources * max(1, wanted.variants)))
        total = -(-parts // each)
        return [Shard(split, i, total, range(i * each, min((i + 1) * each, parts))) for i in range(total)]

    def missing(self) -> list[tuple[str, int]]:
        """Split and number of the parts that are yet to be made, in order."""
        there, shards = set(self.store.names(PARTS)), set(self.store.names(DATA))
        return [
            (shard.split, part)
            for split in self.settings.splits
            for shard in self.shards(split)
            if shard.name not in shards
            for part in shard.parts
            if part_name(split, part) not in there
        ]

    def plan(self, split: str) -> PlanReader:
        return PlanReader(self.store, split)


def claim(store: Store, settings: Settings, made_by: Mapping[str, Any], sources: Mapping[str, Source]) -> RunFolder:
    """
    Takes a folder for a run and plans it, or recognizes it as that of the same run.

    Args:
        store ([`Store`]): where.
        settings ([`Settings`]): of the run.
        made_by (`dict`): what else decides the rows: id, revision and parameters of editor, paraphraser and filters.
        sources (`dict[str, Source]`): by split.

    Raises:
        ValueError: the folder holds something else, or was made with other settings or from other sources.
    """
    mine = json.loads(json.dumps({"settings": settings.as_dict(), "made_by": made_by}, default=str))
    if store.exists(RUN):
        theirs = _read(store)
        begun = store.names(PARTS) or store.names(DATA)  # before that, nothing holds to the settings
        if not begun and _differing(theirs, mine):
            return _plan(store, settings, mine, sources)
        _compare(store, theirs, mine)
        planned = {split: Planned(**counts) for split, counts in theirs["planned"].items()}
        for split, source in sources.items():
            lost = not store.exists(file_of(split))
            if (lost or not source.constant) and (
                write_plan(settings, split, source, store if lost else None) != planned[split]
            ):
                raise ValueError(
                    f"{store.place}: the source of split {split!r} has changed since this folder was begun; use "
                    "another folder"
                )
        return RunFolder(store, settings, planned)
    if others := [name for name in store.names("") if name not in OURS]:
        raise ValueError(f"{store.place} holds other files ({others[0]}) and no {RUN}: use a new or an empty folder")
    return _plan(store, settings, mine, sources)


def _read(store: Store) -> dict[str, Any]:
    try:
        return json.loads(store.read(RUN))
    except ValueError as error:
        raise ValueError(f"{store.path(RUN)} is broken ({error}): use another folder, or remove this one") from None


def _plan(store: Store, settings: Settings, mine: dict[str, Any], sources: Mapping[str, Source]) -> RunFolder:
    store.clean(FOLDER)
    planned = {split: write_plan(settings, split, source, store) for split, source in sources.items()}
    mine["planned"] = {split: counts._asdict() for split, counts in planned.items()}
    store.write(RUN, (json.dumps(mine, indent=1) + "\n").encode())
    return RunFolder(store, settings, planned)


def _compare(store: Store, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    if differing := _differing(theirs, mine):
        told = [f"{name} {before!r}, not {now!r}" for name, before, now in differing[:5]]
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ValueError(
            f"{store.place}: this folder was made with {'; '.join(told)}{more}. Continue it with its own settings, or "
            "use another folder"
        )


def _differing(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Settings that decide rows and differ: their names, what they were, what they are."""
    before, now = (dict(_flat(_decisive(one))) for one in (theirs, mine))
    both = [(name, before.get(name), now.get(name)) for name in sorted({*before, *now})]
    return [(name, was, is_) for name, was, is_ in both if was != is_]


def _decisive(run: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the rows. Of models, that is what they say of themselves; places of files may change."""
    settings = {name: value for name, value in run["settings"].items() if name in DECISIVE}
    splits = {}
    for name, split in run["settings"]["splits"].items():
        # the files of a benchmark of ours are the same wherever they are; of others a folder is what is read
        places = (*PLACES, "data_dir") if split["source"]["path"] == NAME else PLACES
        source = {key: value for key, value in split["source"].items() if key not in places}
        splits[name] = {**split, "source": source, "published": None}
    made_by = run["made_by"]
    return {**settings, "splits": splits, **made_by, "order of filters": list(made_by["filters"])}


def _flat(value: Any, name: str = ""):
    """Every setting by its dotted name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value
