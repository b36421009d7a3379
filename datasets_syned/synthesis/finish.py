"""The last step of a run: shards, lists of what was left out, a summary, a card and a picture."""

import json
from collections.abc import Iterator

from ..common.run_record import RUN, SHEET, SUMMARY
from .contact_sheet import contact_sheet
from .folder import DATA, EXCLUDED, PARTS, RunFolder
from .run_card import run_card
from .shards import excluded_rows, put_together, shard_stats, tally_of

EXCLUSIONS, REJECTED, CARD = "exclusions.jsonl", "rejected_paraphrases.jsonl", "README.md"


def is_finished(folder: RunFolder) -> bool:
    """Whether nothing is left to be done."""
    shards = {shard.name for split in folder.settings.splits for shard in folder.shards(split)}
    return folder.store.exists(SUMMARY) and shards <= set(folder.store.names(DATA))


def finish(folder: RunFolder) -> None:
    """
    Puts the parts of a run together, and writes what there is to say of it. Interrupted at any moment, it can be done
    again. All parts must be there, or their shards.
    """
    store = folder.store
    for name in ("", DATA, EXCLUDED):
        store.clean(name)
    there = set(store.names(DATA))
    for split in folder.settings.splits:
        for shard in folder.shards(split):
            if shard.name not in there:
                put_together(folder, shard)
    store.write(EXCLUSIONS, lambda file: _lines(file, _exclusions(folder)))
    if any(split.paraphrases for split in folder.settings.splits.values()):
        store.write(REJECTED, lambda file: _lines(file, _rejected(folder)))
    if any(split.variants for split in folder.settings.splits.values()):
        store.write(SHEET, contact_sheet(folder))
    tallies = {split: tally_of(folder, split) for split in folder.settings.splits}
    run = json.loads(store.read(RUN))
    store.write(CARD, run_card(run, tallies, store.exists(SHEET)).encode())
    counts = {split: tally.as_dict() for split, tally in tallies.items()}
    store.remove(PARTS)
    store.write(SUMMARY, (json.dumps({"splits": counts, **run}, indent=1) + "\n").encode())


def _lines(file, rows: Iterator[dict]) -> None:
    for row in rows:
        file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


def _exclusions(folder: RunFolder) -> Iterator[dict]:
    """What is said of each row that is no part of the result."""
    for split in folder.settings.splits:
        columns = ["id", "category", "captions", "provenance", "made"]
        for row in excluded_rows(folder, split, columns):
            made, provenance = row["made"], row["provenance"] or {}
            yield {
                "split": split,
                "id": row["id"],
                **{name: made[name] for name in ("source_id", "variant", "status", "by", "reason")},
                "instruction": row["captions"][0] if row["captions"] else None,
                "seed": provenance.get("seed"),
                "scores": {one["name"]: one["value"] for one in provenance.get("scores") or ()},
            }


def _rejected(folder: RunFolder) -> Iterator[dict]:
    for split in folder.settings.splits:
        for shard in folder.shards(split):
            for stats in shard_stats(folder, shard):
                for reject in stats["paraphrases"].get("rejected", ()):
                    yield {"split": split, **reject}
