"""The plan: a row for each pair that is to be made, with its id, instruction and seed, before anything is made."""

from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest

import pyarrow as pa

from ..common.seeds import seed_of
from .settings import Settings
from .sources import Source, SourceRow

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "source_index": pa.int64(),
        "source_id": pa.string(),
        "variant": pa.int32(),  # null: the source's own image after the change
        "seed": pa.int64(),
        "instruction": pa.string(),
        "category": pa.string(),
        "before_caption": pa.string(),
        "after_caption": pa.string(),
    }
)


def plan_parts(settings: Settings, split: str, source: Source) -> Iterator[list[dict]]:
    """
    The planned rows of a split, part by part: all variants of `sources_per_part` rows of the source.

    Raises:
        ValueError: the source has no rows.
    """
    wanted, empty = settings.splits[split], True
    rows = _balanced(source.rows(), wanted.limit) if wanted.balance else islice(source.rows(), wanted.limit)
    rows = iter(rows)
    while some := list(islice(rows, settings.sources_per_part)):
        empty = False
        yield [planned for row in some for planned in planned_rows(row, wanted.variants, settings.seed)]
    if empty:
        raise ValueError(f"split {split!r}: the source has no rows")


def planned_rows(row: SourceRow, variants: int, seed: int) -> list[dict]:
    """The planned rows of one row of the source. An id depends on the source's id and the variant alone."""
    before, after = row.captions or (None, None)
    own = {"source_index": row.index, "source_id": row.id, "instruction": row.instruction, "category": row.category}
    own |= {"before_caption": before, "after_caption": after}
    if not variants:
        return [{"id": row.id, "variant": None, "seed": seed_of(seed, row.id, 0), **own}]
    return [{"id": f"{row.id}-{k}", "variant": k, "seed": seed_of(seed, row.id, k), **own} for k in range(variants)]


def _balanced(rows: Iterable[SourceRow], limit: int | None) -> Iterator[SourceRow]:
    """The first row of each category, then the second of each, and so on."""
    categories: dict[str, list[SourceRow]] = {}
    for row in rows:
        categories.setdefault(row.category, []).append(row)
    turns = zip_longest(*categories.values())
    return islice((row for turn in turns for row in turn if row is not None), limit)


def plan_size(planned: Iterable[dict]) -> int:
    """How many rows of the source there are in a part."""
    return len({row["source_id"] for row in planned})


def same_sources(old: list[dict], new: list[dict]) -> bool:
    """Whether two plans of a part have the same rows of the source, as far as both go."""

    def sources(planned: list[dict]) -> list[tuple]:
        names = [name for name in SCHEMA.names if name not in ("id", "variant", "seed")]
        return list(dict.fromkeys(tuple(row[name] for name in names) for row in planned))

    return all(one == other for one, other in zip(sources(old), sources(new), strict=False))
