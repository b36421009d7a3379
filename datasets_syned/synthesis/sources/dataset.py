"""Any dataset that `datasets.load_dataset` reads: a benchmark of this package, a folder, a repository of the Hub."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

from ...common.image_paths import content_of, data_folders
from ...common.images import ImageError
from ...common.row import NO_CHANGE
from ...loading.registration import NAME
from ...loading.specs import check_spec
from ..pretrained.revisions import first_line
from .images import numbered
from .protocol import SourceError, SourceRow

# Names under which datasets of edits have their columns: of this package, Emu Edit, MagicBrush, InstructPix2Pix,
# UltraEdit, and what one would call them.
NAMES = {
    "image": ("before", "image", "source_img", "original_image", "source_image", "input_image"),
    "edited": ("after", "edited_image", "target_img", "target_image"),
    "instruction": ("captions", "instruction", "edit_prompt", "edit", "edit_instruction", "prompt", "text"),
    "id": ("id", "idx"),
    "category": ("category", "task", "edit_type"),
    "changed": ("changed",),
    "before_caption": ("input_caption", "original_prompt", "source_caption"),
    "after_caption": ("output_caption", "edited_prompt", "target_caption"),
}
REFERENCES = "captions"  # its first text is the instruction, the others say the same
NEEDED = ("image", "instruction")
CATEGORY = "edit"  # where the source tells none
ROWS_AT_ONCE = 1000


class DatasetSource:
    """
    Rows of a dataset with a column of images and one of instructions.

    Args:
        columns (`dict[str, str]`, *optional*): names of the columns, for those of `NAMES` that have another name:
            image, instruction, and if there are such: edited, id, category, changed, before_caption, after_caption.
        spec: arguments of `datasets.load_dataset`; `path` and `split` are needed.

    Raises:
        ValueError: no such dataset, no such column, or one of another type.
    """

    constant = False

    def __init__(self, columns: Mapping[str, str] | None = None, **spec: Any):

        check_spec("source", spec)
        self.title = spec["name"] if spec["path"] == NAME and "name" in spec else spec["path"]
        rows = self._load(spec)
        if not isinstance(rows, datasets.Dataset):
            raise ValueError(f"source {self.title!r}: a stream has no places to return to; leave out streaming")
        self.columns = self._find(rows.features, columns or {})
        for what in ("image", "edited"):
            if name := self.columns.get(what):
                rows = rows.cast_column(name, datasets.Image(decode=False))
        self.data, self.edited = rows, "edited" in self.columns
        sides = ("image", "edited")[: 1 + self.edited]
        self.folders = data_folders(spec)
        self.images = {what: rows.select_columns([self.columns[what]]) for what in sides}
        self.repeated = self._repeated_ids()

    def _load(self, spec: Mapping[str, Any]) -> Any:
        try:
            return datasets.load_dataset(**spec)
        except Exception as error:  # each reader has its own kinds; the reason may be a level below
            why = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
            told = str(why) if isinstance(why, ValueError) else f"{type(why).__name__}: {first_line(why) or 'no data'}"
            raise ValueError(f"source {self.title!r} cannot be loaded: {told}") from error

    def __len__(self) -> int:
        return len(self.data)

    def _find(self, features: datasets.Features, given: Mapping[str, str]) -> dict[str, str]:
        if unknown := sorted(set(given) - set(NAMES)):
            raise ValueError(f"source {self.title!r}: columns has {unknown[0]!r}, which is none of {', '.join(NAMES)}")
        if missing := [name for name in given.values() if name not in features]:
            raise ValueError(f"source {self.title!r} has no column {missing[0]!r}, but {', '.join(features)}")
        found = {what: next((name for name in names if name in features), None) for what, names in NAMES.items()}
        found |= given
        for what in NEEDED:
            if found[what] is None:
                raise ValueError(
                    f"source {self.title!r}: none of the columns {', '.join(features)} is known as the {what}; name "
                    f"it with --columns {what}=<its name>, or columns: {{{what}: <its name>}} in a recipe"
                )
        if not _is_text(feature := features[found["instruction"]]):
            raise ValueError(f"source {self.title!r}: column {found['instruction']!r} holds no texts but {feature}")
        for what in ("image", "edited"):
            if found[what] is not None and not isinstance(features[found[what]], datasets.Image):
                if what in given or what in NEEDED:
                    raise ValueError(f"source {self.title!r}: column {found[what]!r} holds no images")
                found[what] = None
        return {what: name for what, name in found.items() if name is not None}

    def _repeated_ids(self) -> bool:
        """Whether ids repeat: in datasets of edits they are often those of images that several edits share."""
        if "id" not in self.columns:
            return False
        seen, total = set(), 0
        for ids in self._batches("id"):
            seen.update(hash(str(name)) for name in ids["id"])
            total += len(ids["id"])
        return len(seen) < total

    def _batches(self, *wanted: str) -> Iterator[dict[str, list]]:
        there = {what: self.columns[what] for what in wanted if what in self.columns}
        for batch in self.data.select_columns(list(there.values())).iter(ROWS_AT_ONCE):
            yield {what: batch[name] for what, name in there.items()}

    def rows(self, limit: int | None = None) -> Iterator[SourceRow]:
        """
        See [`Source.rows`]. Where ids repeat, each gets the number of its row behind it. Rows without words, and pairs
        in which nothing changed, are left out. A list of instructions makes a row of each; of captions, which all say
        the same, the first is the instruction.
        """
        return islice(self._rows(), limit)

    def _rows(self) -> Iterator[SourceRow]:
        index = 0
        for batch in self._batches("id", "instruction", "category", "changed", "before_caption", "after_caption"):
            for place, said in enumerate(batch["instruction"]):
                if batch.get("changed", {place: None})[place] is not False:
                    texts = said if isinstance(said, list) else [said]
                    texts = texts[:1] if self.columns["instruction"] == REFERENCES else texts
                    texts = [text for text in (" ".join(str(text or "").split()) for text in texts) if text]
                    values = {what: column[place] for what, column in batch.items()}
                    yield from (self._row(index, number, values, text) for number, text in enumerate(texts))
                index += 1

    def _row(self, index: int, number: int, values: Mapping[str, Any], text: str) -> SourceRow:
        name = str(values.get("id", index))
        name = f"{name}-{index}" if self.repeated else name
        captions = tuple(" ".join(str(values.get(what) or "").split()) for what in ("before_caption", "after_caption"))
        category = str(values.get("category") or "").strip().lower() or CATEGORY
        category = CATEGORY if category == NO_CHANGE else category  # here something changes
        return SourceRow(index, numbered(name, number), text, category, captions if all(captions) else None)

    def read(self, index: int, edited: bool = False) -> bytes:
        """See [`Source.read`]."""
        what = "edited" if edited else "image"
        cell = self.images[what][index][self.columns[what]]
        if not cell or not (cell.get("bytes") or cell.get("path")):
            raise SourceError("there is no image")
        try:
            return content_of(cell, "the image", self.folders)
        except ImageError as error:
            raise SourceError(str(error)) from error


def _is_text(feature: Any) -> bool:
    """Whether a column holds texts, or lists of them; it may be one in which there are none."""
    feature = getattr(feature, "feature", feature)
    return isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string", "null")
