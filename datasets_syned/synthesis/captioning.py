"""The stage "caption": the instructions in other words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ..common.seeds import seed_of
from .folder import CAPTION, EDIT, RunFolder
from .images import opened
from .paraphrasers.protocol import Paraphraser
from .settings import Settings
from .stage import Results, Stage, answers, changed_rows, in_order, reason

PARAPHRASE = "paraphrase"  # in place of a variant, in a seed
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "captions": pa.list_(pa.string()),
        "rejected": pa.list_(pa.struct({"text": pa.string(), "rule": pa.string()})),
        "attempts": pa.int32(),
        "error": pa.string(),
    }
)


class Captioning(Stage):
    """
    Says the instruction of each source in other words, or describes each pair: the key of the table is the source's id
    or, if the model looks at the images, the row's.
    """

    kind = folder = CAPTION

    def __init__(self, model: Paraphraser | None, made_by: Mapping[str, Any], settings: Settings):
        self.model, self.made_by, self.seed, self.key = model, made_by, settings.seed, caption_key(made_by)
        self.counts = {name: split.paraphrases for name, split in settings.splits.items()}

    def stamp(self, split: str) -> str:
        return caption_stamp(self.made_by, self.counts[split])

    def wanted(self, run: RunFolder, split: str, part: int) -> list[str]:
        rows = changed_rows(run, split, part) if self.counts[split] else ()
        return list(dict.fromkeys(row[self.key] for row in rows))

    def make(self, run: RunFolder, split: str, part: int, have: Results, todo: set[str]) -> Results:
        """See [`Stage.make`]."""
        results, planned = dict(have), {row[self.key]: row for row in run.plan(split, part)}
        pairs = self._pairs(run, split, part, todo) if self.key == "id" else {}

        def ask(names: Sequence[str]) -> list:
            told = [planned[name]["instruction"] for name in names]
            how = self.counts[split], [seed_of(self.seed, name, PARAPHRASE) for name in names]
            if self.key == "id":
                return self.model.describe([pairs[name] for name in names], told, *how)
            return self.model.paraphrase(told, *how)

        names = [name for name in planned if name in todo]
        for name, found in zip(names, answers(ask, [[name] for name in names]), strict=True):
            results[name] = dict.fromkeys(SCHEMA.names) | {"id": name}
            if isinstance(found, Exception):
                results[name]["error"] = reason(found)
                continue
            rejected = [{"text": text, "rule": rule} for text, rule in found.rejected]
            results[name] |= {"captions": list(found.kept), "rejected": rejected, "attempts": found.attempts}
        return in_order(results, planned)

    def table(self, rows: list[dict[str, Any]]) -> pa.Table:
        return pa.Table.from_pylist(rows, SCHEMA)

    def _pairs(self, run: RunFolder, split: str, part: int, todo: set[str]) -> dict[str, tuple]:
        """The images of some pairs."""
        edited = run.results(EDIT, split, part, columns=["id", "before", "after"])
        files, befores, pairs = {}, {}, {}
        for row in run.plan(split, part):
            name, source = row["id"], row["source_id"]
            files.setdefault(source, edited[name]["before"])  # in the first row of a source
            if name in todo:
                befores[source] = befores.get(source) or opened(files[source])[0]
                pairs[name] = befores[source], opened(edited[name]["after"])[0]
        return pairs


def caption_key(made_by: Mapping[str, Any]) -> str:
    return "id" if made_by.get("from_images") else "source_id"


def caption_stamp(made_by: Mapping[str, Any], count: int) -> str:
    """What captions of a paraphraser depend on."""
    return repr((count, sorted(made_by.items())))
