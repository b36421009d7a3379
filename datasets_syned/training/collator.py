"""Rows to batches: reads images and one reference per row, and leaves the rest to the processor."""

import copy
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..common.image_paths import content_of
from ..common.images import open_image, to_rgb


@dataclass(eq=False)
class IDCCollator:
    """
    Collates rows of a dataset into what the processor makes of them: `pixel_values`, `input_ids`, `attention_mask`,
    `labels`. All other columns are dropped here, so the Trainer needs `remove_unused_columns=False`.

    Which of a row's references is learned is drawn at each visit, from `(seed, epoch, visit, id)` alone: not from the
    order of the rows, the batch size or the number of workers and processes. A visit is counted where the collator
    runs, and [`~IDCCollator.set_epoch`] starts the count anew. Worker processes of a data loader hold copies: with
    `num_workers > 0` call `set_epoch` before each epoch, else every epoch repeats the first one's draws. Rows of a
    stream that is read again and again may bring the number of the pass instead, as the column `epoch` (`int`).

    Args:
        processor (`Callable`):
            Called as `processor(images=[(before, after), ...], captions=[caption, ...], return_tensors="pt")`; if a
            row has a `prompt` of its own, with `text=[prompt, ...]`, where `None` stands for the processor's.
        caption_key (`str`, *optional*, defaults to `"captions"`):
            Column with the references: a list of strings, or one string.
        sample_reference (`bool`, *optional*, defaults to `True`):
            Draw one of the references; `False` takes the first, for evaluation.
        seed (`int`, *optional*, defaults to 0):
            Of the references drawn and of the augmentation.
        max_length (`int`, *optional*):
            Passed to the processor with `truncation=True`. Without it captions are as long as they are.
        augment (`Callable`, *optional*):
            `augment(before, after, rng) -> (before, after)`, for training only; see [`BlurJPEG`]. It is given what the
            processor would put on the canvas at full size: `PIL.Image.Image` in RGB, upright, over white.
        folders (`Sequence[str | Path]`, *optional*):
            Where the image files of the rows are. A row that holds the path of an image instead of its content is read
            from there alone: a path in a file of data may name any file of this machine, or a URL.

    Example:
        >>> collator = IDCCollator(processor, augment=BlurJPEG())
        >>> trainer = Seq2SeqTrainer(model, args, data_collator=collator, train_dataset=rows)
        >>> collator.for_evaluation()                            # the same, first reference, nothing augmented
    """

    processor: Callable
    caption_key: str = "captions"
    sample_reference: bool = True
    seed: int = 0
    max_length: int | None = None
    augment: Callable | None = None
    folders: Sequence[str | os.PathLike] = ()
    epoch: int = field(default=0, init=False)
    _visits: Counter = field(default_factory=Counter, init=False)

    def __post_init__(self):
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed={self.seed!r} must be an integer that is not negative")

    def set_epoch(self, epoch: int) -> None:
        """Starts an epoch: what is drawn from here on depends on `epoch` (`int`) and not on what came before."""
        self.epoch = int(epoch)
        self._visits = Counter()

    def for_evaluation(self) -> "IDCCollator":
        """A copy that takes the first reference and augments nothing. Rows may be without references: to predict."""
        other = copy.copy(self)
        other.sample_reference, other.augment, other._visits = False, None, Counter()
        return other

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """
        Args:
            rows (`Sequence[dict]`): with columns `id`, `before`, `after` and `caption_key`, and optionally `prompt`.
                Images may also be as `datasets.Image(decode=False)` gives them: then a broken file is reported with
                its row, and JPEG files can be decoded at the scale that the processor needs.

        Returns:
            What the processor returns.

        Raises:
            ValueError: names the row whose column is missing or empty, or that the processor refuses.
        """
        names = [f"row id={row['id']!r}" if "id" in row else f"row {i} of the batch" for i, row in enumerate(rows)]
        pairs, captions, prompts = [], [], [row.get("prompt") for row in rows]
        unlabelled = not self.sample_reference and all(row.get(self.caption_key) is None for row in rows)
        for row, name in zip(rows, names, strict=True):
            references = [None] if unlabelled else self._references(row, name)
            rng = self._rng(row, name)
            pick = int(rng.integers(len(references)))
            pair = tuple(self._image(row, side, name) for side in ("before", "after"))
            if self.augment is not None:
                try:
                    pair = tuple(self.augment(*pair, rng))
                except (ValueError, TypeError, OSError, SyntaxError, AttributeError) as error:
                    raise ValueError(f"{name}: cannot be augmented: {error}") from error
            pairs.append(pair)
            captions.append(references[pick if self.sample_reference else 0])
        try:
            return self._process(pairs, captions, prompts)
        except (ValueError, TypeError, OSError) as error:
            raise ValueError(self._culprit(names, pairs, captions, prompts) or str(error)) from error

    def _process(self, pairs: list[tuple], captions: list[str | None], prompts: list[str | None]) -> Mapping[str, Any]:
        options = {} if self.max_length is None else {"truncation": True, "max_length": self.max_length}
        if None not in captions:
            options["captions"] = captions
        if any(prompt is not None for prompt in prompts):
            options["text"] = prompts
        return self.processor(images=pairs, return_tensors="pt", **options)

    def _culprit(self, names: list[str], *columns: list) -> str | None:
        for name, *values in zip(names, *columns, strict=True):
            try:
                self._process(*([value] for value in values))
            except (ValueError, TypeError, OSError) as error:
                return f"{name}: {error}"
        return None  # each row is fine alone: the batch as a whole is what the processor refuses

    def _image(self, row: Mapping[str, Any], side: str, name: str) -> Any:
        """The content of an image file, or an image that somebody opened; to be augmented, in RGB."""
        image, name = _column(row, side, name), f"{name}, column {side!r}:"
        if isinstance(image, str | os.PathLike):
            image = {"bytes": None, "path": os.fspath(image)}
        if isinstance(image, Mapping) and {"bytes", "path"} & set(image):
            image = {"bytes": content_of(image, name, self.folders), "path": image.get("path")}
        if self.augment is None:
            return image
        if isinstance(image, Mapping):
            name, image = f"{name} {image['path'] or 'the image'}", image["bytes"]
        return to_rgb(open_image(image, name) if isinstance(image, bytes) else image, name)

    def _references(self, row: Mapping[str, Any], name: str) -> list[str]:
        captions = _column(row, self.caption_key, name)
        captions = [captions] if isinstance(captions, str) else list(captions)
        if not captions or not all(isinstance(caption, str) and caption.strip() for caption in captions):
            raise ValueError(f"{name}, column {self.caption_key!r}: needs references that are not empty: {captions!r}")
        return captions

    def _rng(self, row: Mapping[str, Any], name: str) -> np.random.Generator:
        key = str(_column(row, "id", name))
        if row.get("epoch", self.epoch) != self.epoch:
            self.set_epoch(row["epoch"])
        visit = self._visits[key]
        self._visits[key] += 1
        digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
        return np.random.default_rng([self.seed, self.epoch, visit, digest])


def _column(row: Mapping[str, Any], column: str, name: str) -> Any:
    if row.get(column) is None:
        what = "is None" if column in row else f"is missing; the row has {', '.join(row)}"
        raise ValueError(f"{name}, column {column!r}: {what}")
    return row[column]
