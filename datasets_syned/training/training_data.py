"""From the data sets that a recipe names to what a Trainer reads."""

import inspect
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import datasets
from datasets.fingerprint import Hasher

from ..common.row import FEATURES
from ..loading.builder import DEFAULT, RENDERED
from ..loading.registration import NAME
from ..loading.rendered import PhotosConfig
from ..loading.specs import READING, check_spec
from ..photos import captions as photos
from ..photos.settings import PhotoSettings
from ..scenes import captions as scenes
from . import dense_supervision, photo_supervision
from .dense_supervision import prepare_row

NEEDED = ("id", "before", "after", "captions")
TIMED = 5  # pairs that are rendered to see how long all of them take


def load(spec: Mapping[str, Any]) -> datasets.Dataset | datasets.IterableDataset:
    """
    Loads one data set of a recipe, with its images not decoded. The collator opens them, with limits that `datasets`
    does not have; and many are only passed by, in a shuffle buffer or a resumed run.

    Args:
        spec (`dict`): arguments of `datasets.load_dataset`, `split` among them; with `streaming: true` nothing is read
            before it is needed.

    Raises:
        ValueError: `path` or `split` is missing, or the rows lack a column that training reads.
    """
    check_spec("data set", spec)
    rows = datasets.load_dataset(**spec)
    names = rows.column_names
    if names is None:  # a stream whose files do not say
        names = [name for row in rows.take(1) for name in row]
    if missing := [name for name in NEEDED if name not in names]:
        raise ValueError(
            f"data set {dict(spec)}: no column {', '.join(missing)}; it has {', '.join(names)}, and a row "
            f"is {', '.join(FEATURES)}"
        )
    return _with_images(rows, decode=False)


def _with_images(
    rows: datasets.Dataset | datasets.IterableDataset, decode: bool
) -> datasets.Dataset | datasets.IterableDataset:
    for name, feature in (rows.features or {}).items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=decode))
    return rows


def concatenate(
    parts: Sequence[datasets.Dataset] | Sequence[datasets.IterableDataset], seed: int = 0, buffer_size: int = 1000
) -> datasets.Dataset | datasets.IterableDataset:
    """
    One data set of several, with the columns that all of them have.

    Args:
        parts (`Sequence[datasets.Dataset]` or `Sequence[datasets.IterableDataset]`): all of one kind. Streams take
            turns, each row once, and are shuffled; the others come one after the other, as they are.
        seed (`int`, *optional*, defaults to 0): of the shuffled streams; with `set_epoch` each pass has another order.
        buffer_size (`int`, *optional*, defaults to 1000): rows from which the next one of a stream is drawn.

    Raises:
        ValueError: some parts are streams and some are not.
    """
    streams = [isinstance(part, datasets.IterableDataset) for part in parts]
    if any(streams) != all(streams):
        raise ValueError("some data sets have `streaming: true` and some have not: give it to all or to none")
    columns = [part.column_names or [name for row in part.take(1) for name in row] for part in parts]
    common = [name for name in columns[0] if all(name in other for other in columns)]
    parts = [part.select_columns(common) for part in parts]
    if not all(streams):
        return datasets.concatenate_datasets(parts)
    if len(parts) > 1:
        parts = [datasets.interleave_datasets(parts, stopping_strategy="all_exhausted_without_replacement")]
    return parts[0].shuffle(seed=seed, buffer_size=buffer_size)


def to_render(specs: Iterable[Mapping[str, Any]]) -> tuple[int, float]:
    """
    How many pairs of "scenes" and "photos" are not in the cache and have to be rendered before data sets of a recipe
    can be read, and about how many seconds that takes, as the first few pairs of each data set do.
    """
    pairs, seconds, seen = 0, 0.0, set()
    for spec in specs:
        if spec["path"] != NAME or spec.get("name", DEFAULT) not in RENDERED or spec.get("streaming"):
            continue
        builder = datasets.load_dataset_builder(**{key: value for key, value in spec.items() if key not in READING})
        if builder.cache_dir in seen or Path(builder.cache_dir).is_dir():
            continue
        seen.add(builder.cache_dir)
        (split, _), *_ = builder.config.sizes.items()
        rows = sum(builder.config.sizes.values())
        began = time.perf_counter()
        for i in range(min(TIMED, rows)):
            builder.config.settings.row(split, i)
        pairs += rows
        processes = min(spec.get("num_proc") or 1, os.cpu_count() or 1)
        seconds += (time.perf_counter() - began) / min(TIMED, rows) * rows / processes
    return pairs, seconds


def captions_of(parts: Iterable[datasets.Dataset | datasets.IterableDataset], most: int = 1000) -> list[str]:
    """The references of data sets, each once; of a stream those of the first `most` rows. No image is read."""
    found = {}
    for part in parts:
        captions = part.select_columns("captions")
        captions = captions.take(most) if isinstance(part, datasets.IterableDataset) else captions
        for batch in captions.iter(1000):
            for references in batch["captions"]:
                found |= dict.fromkeys([references] if isinstance(references, str) else references)
    return list(found)


def with_lengths(rows: datasets.Dataset, tokenize: Callable[[list[str]], Sequence[Sequence[int]]]) -> datasets.Dataset:
    """
    Adds the column `length` (`float`), by which a Trainer groups rows (`train_sampling_strategy: group_by_length`):
    the mean number of tokens of a row's references, of which one is drawn at each visit. No image is read.

    Args:
        rows (`datasets.Dataset`): with the column captions.
        tokenize (`Callable`): `n` captions to their ids.

    Raises:
        ValueError: the rows are a stream, which is read in its own order.
    """
    if isinstance(rows, datasets.IterableDataset):
        raise ValueError("a stream is read in its own order, not by length: load it without `streaming: true`")

    lengths = []
    for batch in rows.select_columns("captions").iter(1000):
        counts = iter([len(ids) for ids in tokenize([caption for group in batch["captions"] for caption in group])])
        lengths += [sum(next(counts) for _ in group) / len(group) for group in batch["captions"]]
    return rows.add_column("length", lengths)


class Supervision:
    """
    Dense supervision of a run: labels for the patches of a small model that is trained from nothing. Of "scenes" the
    rows are prepared first; pairs of "photos" are composed when they are needed, and no pair is seen twice.

    Args:
        specs (`Sequence[dict]`): of the training data, which `check_spec` has looked at.
    """

    def __init__(self, specs: Sequence[Mapping[str, Any]]):
        names = [field.name for field in fields(PhotoSettings)]
        self.photos = [
            PhotoSettings(**{name: spec[name] for name in names if name in spec})
            for spec in specs
            if spec.get("name") == PhotosConfig.name
        ]

    @property
    def no_change_captions(self) -> Sequence[str]:
        """Captions that say that nothing changed."""
        return scenes.NO_CHANGE_CAPTIONS if not self.photos else photos.NO_CHANGE_CAPTIONS

    @property
    def words(self) -> list[str]:
        """Every word of the captions."""
        if not self.photos:
            return dense_supervision.vocabulary()
        return photos.vocabulary(photo_supervision.names_of(self.photos[0]))

    @property
    def classes(self) -> tuple[dict, dict, dict]:
        """What `add_auxiliary` takes."""
        if not self.photos:
            return dense_supervision.CLASSES
        return photo_supervision.classes(photo_supervision.names_of(self.photos[0]))

    @property
    def knows(self) -> dict[str, list[str]]:
        """Of photographs, the kinds of edit and the names of the objects that can be learned; else nothing."""
        if not self.photos:
            return {}
        return {"edits": [*photos.CATEGORIES], "objects": [*photo_supervision.names_of(self.photos[0])]}

    def rows(
        self,
        parts: Sequence[datasets.Dataset],
        make_canvas: Callable,
        geometry: tuple[int, int],
        length: int,
        curriculum: Sequence[tuple[float, Sequence[int]]] | None = None,
        seed: int = 0,
        num_proc: int | None = None,
    ) -> dense_supervision.DenseSupervision | photo_supervision.PhotoSupervision:
        """
        What a Trainer reads: the whole run, in order.

        Args:
            parts (`Sequence[datasets.Dataset]`): rows of "scenes" with masks; nothing is read of "photos".
            make_canvas (`Callable`): `make_canvas(before, after) -> PIL.Image`, before above after; picklable.
            geometry (`tuple[int, int]`): sides of the canvas and of a patch, in pixels.
            length (`int`): rows of the run: steps times rows per step.
            curriculum, seed: see [`DenseSupervision`]; by default all parts take part from the first step.
            num_proc (`int`, *optional*): processes that prepare the rows.
        """
        curriculum = curriculum or [(1.0, range(len(parts)))]
        if self.photos:
            return photo_supervision.PhotoSupervision(self.photos, curriculum, *geometry, length, seed)
        parts = [_with_images(part, decode=True) for part in parts]  # rendered by this package
        code = Path(inspect.getfile(prepare_row)).read_text(encoding="utf-8")
        prepared = [
            part.map(
                prepare_row,
                fn_kwargs={"make_canvas": make_canvas, "patch_size": geometry[1]},
                remove_columns=part.column_names,
                num_proc=num_proc,
                desc="labels of patches",
                # by itself the cache knows an imported function by its name, and would return what older code made
                new_fingerprint=Hasher.hash([part._fingerprint, code, make_canvas, geometry[1]]),
            )
            for part in parts
        ]
        return dense_supervision.DenseSupervision(prepared, curriculum, length, seed)
