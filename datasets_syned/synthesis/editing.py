"""The stage "edit": the images of the source, and what the editor makes of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import pyarrow as pa
from PIL import Image

from ..common.images import to_rgb
from ..common.row import FEATURES, NO_CHANGE
from .editors.protocol import EditError, Editor
from .folder import EDIT, RunFolder
from .images import encoded, moved, opened
from .sources import Source, SourceError
from .stage import Made, Results, Stage, answers, in_order, reason


class Editing(Stage):
    """Reads the images of the source and edits them. The table has each source's image in its first row."""

    kind = folder = EDIT
    schema = pa.schema(
        {
            "id": pa.string(),
            "before": pa.binary(),
            "after": pa.binary(),
            "by": pa.string(),  # what failed: source or editor
            "error": pa.string(),
            "versions": FEATURES.arrow_schema.field("provenance").type.field("versions").type,
        }
    )

    def __init__(self, model: Editor | None, source: Callable[[str], Source], image_format: str, package: str):
        self.model, self.source, self.image_format, self.package = model, source, image_format, package

    def wanted(self, run: RunFolder, split: str, part: int) -> list[str]:
        return [row["id"] for row in run.plan(split, part)]

    def make(self, run: RunFolder, made: Made, have: Results, todo: set[str]):
        """See [`Stage.make`]."""
        planned, source, results = run.plan(made.split, made.part), self.source(made.split), dict(have)
        stored = {row["source_id"]: have.get(row["id"], {}).get("before") for row in reversed(planned)}
        befores, afters, edited = {}, {}, []
        for row in planned:
            name = row["source_id"]
            if row["id"] not in todo:
                continue
            results[row["id"]] = dict.fromkeys(self.schema.names) | {"id": row["id"]}
            try:
                if name not in befores:
                    befores[name] = opened(stored[name] or source.read(row["source_index"]))
                if row["category"] == NO_CHANGE:
                    afters[row["id"]] = moved(befores[name][0], row["seed"])
                elif row["variant"] is None:
                    afters[row["id"]] = opened(source.read(row["source_index"], edited=True))[1]
                else:
                    edited.append(row)
            except SourceError as error:
                results[row["id"]] |= {"by": "source", "error": reason(error)}
        begin = time.perf_counter()
        self._edit(edited, befores, afters, results)
        made.seconds = time.perf_counter() - begin
        made.edited = sum(row["id"] in afters for row in edited)
        if edited and not made.edited:
            made.broken = results[edited[0]["id"]]["error"]

        def finish():
            for name, image in afters.items():
                results[name]["after"] = image if isinstance(image, bytes) else encoded(image, self.image_format)
            for name, rows in groupby(planned, key=itemgetter("source_id")):
                first = results[next(rows)["id"]]
                first["before"] = befores[name][1] if name in befores else first["before"]
            return in_order(results, (row["id"] for row in planned)), self.schema

        return finish

    def _edit(
        self, rows: Sequence[dict], befores: Mapping[str, tuple], afters: dict[str, Any], results: Results
    ) -> None:
        """Adds the images after the change, or why there is none, to the results."""

        def edit(some: Sequence[dict]) -> list[Image.Image | EditError]:
            images = [befores[row["source_id"]][0] for row in some]
            return self.model.edit(images, [row["instruction"] for row in some], [row["seed"] for row in some])

        versions = {**self.model.versions, "blip2idc": self.package} if rows else {}
        versions = [{"name": name, "version": version} for name, version in sorted(versions.items())]
        rest = iter(rows)
        while rows and (batch := list(islice(rest, self.model.batch_size))):
            for row, image in zip(batch, answers(edit, [[row] for row in batch]), strict=True):
                try:
                    afters[row["id"]] = _checked(image, befores[row["source_id"]][0].size)
                    results[row["id"]]["versions"] = versions
                except Exception as error:  # of the editor, or of an image that it has not read yet
                    results[row["id"]] |= {"by": "editor", "error": reason(error)}


def _checked(image: Any, size: tuple[int, int]) -> Image.Image:
    """An editor's result as an image of the size of the source. Raises what is wrong with it."""
    if isinstance(image, Exception):
        raise image
    if not isinstance(image, Image.Image):
        raise EditError(f"it returned {type(image).__name__}, not an image")
    image = to_rgb(image, "the edited image")
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
