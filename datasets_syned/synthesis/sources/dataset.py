"""Any dataset that `datasets.load_dataset` reads: a benchmark of this package, a folder, a repository of the Hub."""

from collections.abc import Iterator, Mapping
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

from ...common.image_paths import content_of, data_folders
from ...common.images import ImageError
from ...common.row import NO_CHANGE
from ...loading.registration import NAME
from ...loading.specs import check_spec
from ..pretrained.weights import one_line
from .protocol import SourceError, SourceRow, numbered

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
SIDES = ("image", "edited")
REFERENCES = "captions"  # its first text is the instruction, the others say the same
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
        sides = {what: self.columns.pop(what) for what in SIDES if what in self.columns}
        for name in sides.values():
            rows = rows.cast_column(name, datasets.Image(decode=False))
        self.texts, self.edited = rows.select_columns(list(set(self.columns.values()))), "edited" in sides
        self.folders = data_folders(spec)
        self.images = {what: rows.select_columns([name]) for what, name in sides.items()}
        # In datasets of edits ids are often those of images that several edits share.
        name = self.columns.get("id")
        self.repeated = name is not None and len(rows.unique(name)) < len(rows)

    def _load(self, spec: Mapping[str, Any]) -> Any:
        try:
            return datasets.load_dataset(**spec)
        except Exception as error:  # each reader has its own kinds; the reason may be a level below
            why = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
            told = str(why) if isinstance(why, ValueError) else f"{one_line(why)}{'' if str(why) else ': no data'}"
            raise ValueError(f"source {self.title!r} cannot be loaded: {told}") from error

    def _find(self, features: datasets.Features, given: Mapping[str, str]) -> dict[str, str]:
        for what, name in given.items():
            if what not in NAMES:
                raise ValueError(f"source {self.title!r}: columns has {what!r}, which is none of {', '.join(NAMES)}")
            if name not in features:
                raise ValueError(f"source {self.title!r} has no column {name!r}, but {', '.join(features)}")
            if what in SIDES and not isinstance(features[name], datasets.Image):
                raise ValueError(f"source {self.title!r}: column {name!r} holds no images")
        found = dict(given)
        for what, names in NAMES.items():
            for name in names:
                if name in features and (what not in SIDES or isinstance(features[name], datasets.Image)):
                    found.setdefault(what, name)
        for what in ("image", "instruction"):
            if what not in found:
                raise ValueError(
                    f"source {self.title!r}: none of the columns {', '.join(features)} is known as the {what}; name "
                    f"it with --columns {what}=<its name>, or columns: {{{what}: <its name>}} in a recipe"
                )
        said = features[found["instruction"]]
        said = getattr(said, "feature", said)  # a list of texts, or one; the column may have none at all
        if not isinstance(said, datasets.Value) or said.dtype not in ("string", "large_string", "null"):
            raise ValueError(f"source {self.title!r}: column {found['instruction']!r} holds no texts but {said}")
        return found

    def rows(self) -> Iterator[SourceRow]:
        """
        See [`Source.rows`]. Where ids repeat, each gets the number of its row behind it. Rows without words, and pairs
        in which nothing changed, are left out. A list of instructions makes a row of each; of captions, which all say
        the same, the first is the instruction.
        """
        index = 0
        for batch in self.texts.iter(ROWS_AT_ONCE):
            for place in range(len(batch[self.columns["instruction"]])):
                values = {what: batch[name][place] for what, name in self.columns.items()}
                if values.get("changed") is not False:
                    yield from self._rows_of(index, values)
                index += 1

    def _rows_of(self, index: int, values: Mapping[str, Any]) -> Iterator[SourceRow]:
        """The rows of an image."""
        said = values["instruction"]
        texts = said if isinstance(said, list) else [said]
        texts = texts[:1] if self.columns["instruction"] == REFERENCES else texts
        name = str(values.get("id", index))
        name = f"{name}-{index}" if self.repeated else name
        category = str(values.get("category") or "").strip().lower() or CATEGORY
        category = CATEGORY if category == NO_CHANGE else category  # here something changes
        captions = tuple(_tidy(values.get(what)) for what in ("before_caption", "after_caption"))
        for number, text in enumerate(filter(None, map(_tidy, texts))):
            yield SourceRow(index, numbered(name, number), text, category, captions if all(captions) else None)

    def read(self, index: int, edited: bool = False) -> bytes:
        """See [`Source.read`]."""
        (cell,) = self.images[SIDES[edited]][index].values()
        if not cell or not (cell.get("bytes") or cell.get("path")):
            raise SourceError("there is no image")
        try:
            return content_of(cell, "the image", self.folders)
        except ImageError as error:
            raise SourceError(str(error)) from error


def _tidy(text: Any) -> str:
    return " ".join(str(text or "").split())
