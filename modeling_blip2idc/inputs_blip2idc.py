"""What may be given to the pipeline, brought to one form: rows that know their number."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Row:
    """
    One input of a batch run.

    Args:
        index (`int`, *optional*): Position in the input, from 0; `None` for one pair given alone.
        value (`Any`): What stood there; a pair, if all is well.
        error (`str`, *optional*): Why the row could not be read at all.
    """

    index: int | None
    value: Any
    error: str | None = None


class RowDataset(torch.utils.data.Dataset):
    """
    A map-style dataset as [`Row`]s. A row that its own dataset cannot read (a truncated image, say) comes back with
    `error` filled instead of ending the run: whether that is raised is for the pipeline to say.
    """

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Row:
        if index >= len(self.dataset):
            raise IndexError(index)
        try:
            return Row(index, self.dataset[index])
        except Exception as error:  # a dataset may raise anything; the message is kept, with the row's number
            return Row(index, None, describe(error))


def describe(error: Exception) -> str:
    """
    The message of an exception in one line, or its type's name when it has none; without the place in the batch of
    one (`images[0]`) that the processor was given.
    """
    message = " ".join(str(error).split()) or type(error).__name__
    return message.removeprefix("images[0]").lstrip(": ")


def as_rows(inputs: Any) -> Row | list[Row] | RowDataset | Iterator[Row]:
    """
    Sort out one pair from many.

    Args:
        inputs (`tuple`, `Mapping`, `list`, `datasets.Dataset`, `torch.utils.data.Dataset` or `Iterable`):
            One pair; or many: a list, a dataset, or any iterable, which is read only as far as results are asked for.

    Returns:
        [`Row`] for one pair; a list for a list; a [`RowDataset`] for a dataset with a length; else a generator.

    Raises:
        ValueError: for a list of bare images, or a dataset without the columns `before` and `after`.
        TypeError: for what is neither a pair nor many.
    """
    if isinstance(inputs, Sequence) and not isinstance(inputs, (tuple, str, bytes, bytearray)):
        _refuse_bare_images(inputs)
        return [Row(index, value) for index, value in enumerate(inputs)]
    columns = getattr(inputs, "column_names", None)
    if isinstance(columns, Mapping):
        raise ValueError(f"this is a dictionary of splits; choose one of {', '.join(map(repr, columns))}")
    if isinstance(inputs, (tuple, Mapping)):
        return Row(None, inputs if isinstance(inputs, tuple) else dict(inputs))
    if columns is not None and hasattr(inputs, "select_columns"):  # `datasets.Dataset` or `IterableDataset`
        missing = {"before", "after"} - set(columns)
        if missing:
            raise ValueError(
                f"the dataset needs the columns 'before' and 'after'; it has {', '.join(map(repr, columns))}"
            )
        inputs = inputs.select_columns(["before", "after"])  # other images would be decoded for nothing
    has_length = hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__")
    if has_length and (columns is not None or isinstance(inputs, torch.utils.data.Dataset)):
        return RowDataset(inputs)
    if isinstance(inputs, Iterable) and not has_length:
        return (Row(index, value) for index, value in enumerate(inputs))
    raise TypeError(
        f"got one {type(inputs).__name__}; give a pair as (before, after), or a list, generator or dataset of pairs"
    )


def _refuse_bare_images(inputs: Sequence) -> None:
    if inputs and not any(isinstance(value, (tuple, list, Mapping)) or value is None for value in inputs):
        hint = "for one pair, use a tuple: (before, after)" if len(inputs) == 2 else "each must be (before, after)"
        raise ValueError(f"a list is taken for many pairs, but this one holds {len(inputs)} bare images; {hint}")
