"""The stage "caption": the instructions in other words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from .folder import CAPTION, RunFolder
from .paraphrasers.protocol import Paraphraser
from .seeds import seed_of
from .settings import Settings
from .stage import Made, Results, answers, edited_ids, reason

PARAPHRASE = "paraphrase"  # in place of a variant, in a seed


class Captioning:
    """Says the instruction of each source in other words. The key of the table is the source's id."""

    kind = folder = CAPTION
    schema = pa.schema(
        {
            "id": pa.string(),
            "captions": pa.list_(pa.string()),
            "rejected": pa.list_(pa.struct({"text": pa.string(), "rule": pa.string()})),
            "attempts": pa.int32(),
            "error": pa.string(),
        }
    )

    def __init__(self, model: Paraphraser | None, made_by: Mapping[str, Any], settings: Settings):
        self.model, self.made_by, self.seed = model, made_by, settings.seed
        self.counts = {name: split.paraphrases for name, split in settings.splits.items()}

    def stamp(self, split: str) -> str:
        return caption_stamp(self.made_by, self.counts[split])

    def wanted(self, run: RunFolder, split: str, part: int) -> list[str]:
        done = edited_ids(run, split, part) if self.counts[split] else set()
        return list(dict.fromkeys(row["source_id"] for row in run.plan(split, part) if row["id"] in done))

    def make(self, run: RunFolder, made: Made, have: Results, todo: set[str]):
        """See [`Stage.make`]."""
        count, results = self.counts[made.split], dict(have)
        said = {row["source_id"]: row["instruction"] for row in run.plan(made.split, made.part)}

        def ask(names: Sequence[str]) -> list:
            seeds = [seed_of(self.seed, name, PARAPHRASE) for name in names]
            return self.model.paraphrase([said[name] for name in names], count, seeds)

        names = [name for name in said if name in todo]
        for name, found in zip(names, answers(ask, [[name] for name in names]), strict=True):
            results[name] = dict.fromkeys(self.schema.names) | {"id": name}
            if isinstance(found, Exception):
                results[name]["error"] = reason(found)
                continue
            rejected = [{"text": text, "rule": rule} for text, rule in found.rejected]
            results[name] |= {"captions": list(found.kept), "rejected": rejected, "attempts": found.attempts}
        return lambda: (
            [results.pop(name) for name in said if name in results] + list(results.values()),
            self.schema,
        )


def caption_stamp(made_by: Mapping[str, Any], count: int) -> str:
    """What captions of a paraphraser depend on."""
    return repr((count, sorted(made_by.items())))
