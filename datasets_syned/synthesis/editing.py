"""The stage "edit": the images of the source, and what the editor makes of them."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from PIL import Image

from ..common.images import to_rgb
from ..common.row import FEATURES, NO_CHANGE
from .editors.protocol import EditError, Editor
from .folder import EDIT, RunFolder
from .images import encoded, moved, opened
from .sources import Source, SourceError
from .stage import Results, Stage, answers, reason

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "before": pa.binary(),
        "after": pa.binary(),
        "by": pa.string(),  # what failed: source or editor
        "error": pa.string(),
        "versions": FEATURES.arrow_schema.field("provenance").type.field("versions").type,
        "settings": FEATURES.arrow_schema.field("provenance").type.field("settings").type,  # this image's own
    }
)


class Editing(Stage):
    """Reads the images of the source and edits them. The table has each source's image in its first row."""

    kind = folder = EDIT

    def __init__(self, model: Editor | None, source: Callable[[str], Source], image_format: str, package: str):
        self.model, self.source, self.image_format, self.package = model, source, image_format, package

    def wanted(self, run: RunFolder, split: str, part: int) -> list[str]:
        return [row["id"] for row in run.plan(split, part)]

    def make(self, run: RunFolder, split: str, part: int, have: Results, todo: set[str]) -> Results:
        """See [`Stage.make`]. Images after the change are not encoded yet."""
        source, results, befores, edited = self.source(split), {}, {}, []
        for rows in run.sources(split, part):
            name, first = rows[0]["source_id"], have.get(rows[0]["id"], {}).get("before")
            for row in rows:
                results[row["id"]] = have.get(row["id"], dict.fromkeys(SCHEMA.names) | {"id": row["id"]})
                if row["id"] not in todo:
                    continue
                results[row["id"]] |= {"after": None, "by": None, "error": None}
                try:
                    if name not in befores:
                        befores[name] = opened(first or source.read(row["source_index"]))
                    if row["category"] == NO_CHANGE and not getattr(self.model, "edits_unchanged", False):
                        results[row["id"]]["after"] = moved(befores[name][0], row["seed"])
                    elif row["variant"] is None:
                        results[row["id"]]["after"] = opened(source.read(row["source_index"], edited=True))[1]
                    else:
                        edited.append(row)
                except SourceError as error:
                    results[row["id"]] |= {"by": "source", "error": reason(error)}
            results[rows[0]["id"]]["before"] = befores[name][1] if name in befores else first
        for row, image in zip(edited, self._edit(edited, befores), strict=True):
            try:
                image = _checked(image, befores[row["source_id"]][0].size)
                said = [{"name": name, "value": text} for name, text in image.info.get("provenance", {}).items()]
                results[row["id"]] |= {"after": image, "versions": self._versions, "settings": said}
            except Exception as error:  # of the editor, or of an image that it has not read yet
                results[row["id"]] |= {"by": "editor", "error": reason(error)}
        errors = [results[row["id"]]["error"] for row in edited]
        self.broken = errors[0] if errors and None not in errors else ""
        return results

    def table(self, rows: list[dict[str, Any]]) -> pa.Table:
        for row in rows:
            if isinstance(row["after"], Image.Image):
                row["after"] = encoded(row["after"], self.image_format)
        return pa.Table.from_pylist(rows, SCHEMA)

    @property
    def _versions(self) -> list[dict[str, str]]:
        versions = {**self.model.versions, "blip2idc": self.package}
        return [{"name": name, "version": version} for name, version in sorted(versions.items())]

    def _edit(self, rows: Sequence[dict], befores: dict[str, tuple]) -> list[Any]:
        """The editor's images, or why there is none."""

        def edit(some: Sequence[dict]) -> list[Image.Image | EditError]:
            images = [befores[row["source_id"]][0] for row in some]
            return self.model.edit(images, [row["instruction"] for row in some], [row["seed"] for row in some])

        found = []
        while len(found) < len(rows):
            batch = rows[len(found) : len(found) + self.model.batch_size]
            found += answers(edit, [[row] for row in batch])
        return found


def _checked(image: Any, size: tuple[int, int]) -> Image.Image:
    """An editor's result as an image of the size of the source. Raises what is wrong with it."""
    if isinstance(image, Exception):
        raise image
    if not isinstance(image, Image.Image):
        raise EditError(f"it returned {type(image).__name__}, not an image")
    image = to_rgb(image, "the edited image")
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
