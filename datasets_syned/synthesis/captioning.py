"""The stage "caption": the instructions in other words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ..common.seeds import seed_of
from .folder import CAPTION, EDIT, RunFolder
from .images import opened
from .paraphrasers.protocol import Paraphraser
from .settings import Settings
from .stage import Made, Results, Stage, answers, changed_rows, in_order, reason

PARAPHRASE = "paraphrase"  # in place of a variant, in a seed


class Captioning(Stage):
    """
    Says the instruction of each source in other words, or describes each pair: the key of the table is the source's id
    or, if the model looks at the images, the row's.
    """

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
        self.model, self.made_by, self.seed, self.key = model, made_by, settings.seed, caption_key(made_by)
        self.counts = {name: split.paraphrases for name, split in settings.splits.items()}

    def stamp(self, split: str) -> str:
        return caption_stamp(self.made_by, self.counts[split])

    def wanted(self, run: RunFolder, split: str, part: int) -> list[str]:
        rows = changed_rows(run, split, part) if self.counts[split] else ()
        return list(dict.fromkeys(row[self.key] for row in rows))

    def make(self, run: RunFolder, made: Made, have: Results, todo: set[str]):
        """See [`Stage.make`]."""
        results, planned = dict(have), {row[self.key]: row for row in run.plan(made.split, made.part)}
        pairs = self._pairs(run, made, planned, todo) if self.key == "id" else {}

        def ask(names: Sequence[str]) -> list:
            told = [planned[name]["instruction"] for name in names]
            how = self.counts[made.split], [seed_of(self.seed, name, PARAPHRASE) for name in names]
            if self.key == "id":
                return self.model.describe([pairs[name] for name in names], told, *how)
            return self.model.paraphrase(told, *how)

        names = [name for name in planned if name in todo]
        for name, found in zip(names, answers(ask, [[name] for name in names]), strict=True):
            results[name] = dict.fromkeys(self.schema.names) | {"id": name}
            if isinstance(found, Exception):
                results[name]["error"] = reason(found)
                continue
            rejected = [{"text": text, "rule": rule} for text, rule in found.rejected]
            results[name] |= {"captions": list(found.kept), "rejected": rejected, "attempts": found.attempts}
        return lambda: (in_order(results, planned), self.schema)

    def _pairs(self, run: RunFolder, made: Made, planned: Mapping[str, dict], todo: set[str]) -> dict[str, tuple]:
        """The images of some pairs."""
        edited = run.results(EDIT, made.split, made.part, columns=["id", "before", "after"])
        files, befores = {}, {}
        for row in planned.values():
            files.setdefault(row["source_id"], edited[row["id"]]["before"])  # in the first row of a source
        for source in {planned[name]["source_id"] for name in todo}:
            befores[source], _ = opened(files[source])
        return {name: (befores[planned[name]["source_id"]], opened(edited[name]["after"])[0]) for name in todo}


def caption_key(made_by: Mapping[str, Any]) -> str:
    return "id" if made_by.get("from_images") else "source_id"


def caption_stamp(made_by: Mapping[str, Any], count: int) -> str:
    """What captions of a paraphraser depend on."""
    return repr((count, sorted(made_by.items())))
