"""What a Trainer's data loaders read and yield: batches that know their rows, length groups, endless streams."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info
from transformers import TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

IGNORE = -100


class CollatedBatches:
    """
    Calls another collator and adds what the Trainer wants to know of a batch, in the loader's process, as the
    Trainer's own would have to wait for the accelerator: `caption_start` (`int`, for decoder-only models), the first
    position that has a label in any row; and in training `row_ids` (`list[str]`), the column `id` of the rows, for
    messages.
    """

    def __init__(self, collator: Callable, decoder_only: bool, training: bool = False):
        self.collator, self.decoder_only, self.training = collator, decoder_only, training
        self.skip = self.seen = 0

    def skip_first(self, batches: int) -> None:
        """
        Counts the first batches of the next loader instead of collating them: a resumed stream can only be read again
        up to where it was, but its images need not be decoded.
        """
        self.skip, self.seen = batches, 0

    def __call__(self, rows: Sequence) -> Any:
        worker = get_worker_info()  # each worker collates every num_workers-th batch
        skip = self.skip if worker is None else math.ceil((self.skip - worker.id) / worker.num_workers)
        if self.seen < skip:
            self.seen += 1
            return {}
        batch = self.collator(rows)
        if self.decoder_only and "labels" in batch:
            learned = batch["labels"].ne(IGNORE).any(0)
            batch["caption_start"] = max(1, int(learned.int().argmax()))
        if self.training:
            batch["row_ids"] = [str(row["id"]) for row in rows if isinstance(row, Mapping) and "id" in row]
        return batch


class EndlessStream(IterableDataset):
    """
    Reads a stream again and again, so that a run is one pass over it: what a resumed run skips is then a number of
    rows, wherever passes end and whichever process reads a row. Rows get the column `epoch` (from 0) if they are
    mappings. The stream's `set_epoch`, if it has one, is called before each pass: a `datasets.IterableDataset`
    shuffles by it.
    """

    def __init__(self, stream: Iterable):
        self.stream = stream

    def __iter__(self) -> Iterator:
        # the workers of a loader share the memory of a datasets.IterableDataset's epoch, and are in different passes
        stream = self.stream if get_worker_info() is None else copy.deepcopy(self.stream)
        epoch, rows = 0, True
        while rows:  # a worker that has no shard of the stream ends at once
            if hasattr(stream, "set_epoch"):
                stream.set_epoch(epoch)
            rows = False
            for row in stream:
                rows = True
                yield {**row, "epoch": epoch} if isinstance(row, Mapping) else row
            epoch += 1


class SeededLengthGroups(LengthGroupedSampler):
    """
    `LengthGroupedSampler` whose order depends on the seed and the epoch alone. The stock class draws from the global
    generator, so that each process and each resumed run gets another order.
    """

    def __init__(self, batch_size: int, lengths: Sequence[float], seed: int = 0):
        super().__init__(batch_size, lengths=list(lengths))
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class EpochToCollator(TrainerCallback):
    """Calls a collator's `set_epoch` at the start of each epoch."""

    def __init__(self, collator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.collator.set_epoch(int(state.epoch or 0))  # a fraction when resumed within an epoch


def prompts_of(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """
    What generation gets of rows for training of a decoder-only model, of shape `(rows, length)` and padded on any
    side: each row up to its first label (without `labels` all that is not padding), moved to the right; 0 on padding.
    """
    keep = attention_mask.bool()
    if labels is not None:
        keep &= labels.ne(IGNORE).cumsum(1).eq(0)
    order = keep.int().argsort(dim=1, stable=True)[:, -int(keep.sum(1).max()) :]
    keep = keep.gather(1, order)
    return {"input_ids": input_ids.gather(1, order) * keep, "attention_mask": keep.long()}


__all__ = ["CollatedBatches", "EndlessStream", "EpochToCollator", "SeededLengthGroups", "prompts_of"]
