"""What a Trainer's data loaders read and yield: batches that know their rows, length groups, endless streams."""

import copy
import math

import torch
from torch.utils.data import IterableDataset, Sampler, get_worker_info
from transformers import TrainerCallback
from transformers.trainer_pt_utils import get_length_grouped_indices

IGNORE = -100


class CollatedBatches:
    """
    Another collator's batches, and about them, found here in the loader's process and not on the accelerator:

    - `caption_start` (`int`): the position of the first label, before which all rows have the image tokens, BOS and
      the prompt; only where labels are positions of `input_ids`.
    - `row_ids` (`list[str]`): which rows they are, for messages; in training only.

    Args:
        collator (`Callable`):
            Rows to a batch with `labels`.
        decoder_only (`bool`):
            Whether labels are positions of `input_ids`.
        training (`bool`, *optional*, defaults to `False`):
            Whether to add `row_ids`.
    """

    def __init__(self, collator, decoder_only: bool, training: bool = False):
        self.collator, self.decoder_only, self.training = collator, decoder_only, training
        self.skip = self.seen = 0

    def skip_first(self, batches: int) -> None:
        """
        Collates nothing for the first `batches` (`int`) of the next loader: they are only counted. A stream that is
        resumed has no other way than to read them, but their images need not be decoded.
        """
        self.skip, self.seen = batches, 0

    def __call__(self, rows):
        if self.seen < self._own_share(self.skip):
            self.seen += 1
            return {}
        batch = self.collator(rows)
        if self.decoder_only:
            learned = batch["labels"].ne(IGNORE).any(0)
            batch["caption_start"] = max(1, int(learned.int().argmax()))
        if self.training:
            batch["row_ids"] = [str(row["id"]) for row in rows if "id" in row]
        return batch

    @staticmethod
    def _own_share(batches):
        worker = get_worker_info()  # each collates every num_workers-th batch
        return batches if worker is None else math.ceil((batches - worker.id) / worker.num_workers)


class EndlessStream(IterableDataset):
    """
    A stream that is read again and again, its rows with the column `epoch` (`int`, from 0), so that a run is one pass
    over it: what a resumed run skips is then a number of rows, no matter where passes end or how rows fall to
    processes.

    Args:
        stream (`Iterable[dict]`):
            With `set_epoch`, it is told each pass, as a `datasets.IterableDataset` shuffles by it.
    """

    def __init__(self, stream):
        self.stream = stream

    def __iter__(self):
        # the workers of a loader share the memory of a datasets.IterableDataset's epoch, and are in different passes
        stream = self.stream if get_worker_info() is None else copy.deepcopy(self.stream)
        epoch, rows = 0, True
        while rows:  # a worker that got no shard of it is done at once
            if hasattr(stream, "set_epoch"):
                stream.set_epoch(epoch)
            rows = False
            for row in stream:
                rows = True
                yield {**row, "epoch": epoch}
            epoch += 1


class LengthGroupSampler(Sampler):
    """
    Draws a new order of length groups each epoch from the seed and the epoch alone, as transformers'
    `LengthGroupedSampler` does from the global generator: there, a resumed run and each process get another one.

    Args:
        lengths (`Sequence[float]`):
            Of all rows.
        batch_size (`int`):
            Rows of one group: of a step of all processes.
        seed (`int`):
            Of the order.
    """

    def __init__(self, lengths, batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed = list(lengths), batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self):
        return len(self.lengths)

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class EpochToCollator(TrainerCallback):
    """Tells a collator with `set_epoch` each epoch."""

    def __init__(self, collator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.collator.set_epoch(int(state.epoch or 0))  # a fraction when resumed within an epoch


def sampler_of(loader):
    """The sampler at the bottom of a data loader that accelerate has prepared; `None` for a stream."""
    sampler = loader.batch_sampler
    while hasattr(sampler, "batch_sampler"):
        sampler = sampler.batch_sampler
    return getattr(sampler, "sampler", None)


__all__ = ["CollatedBatches", "EndlessStream", "EpochToCollator", "LengthGroupSampler", "sampler_of"]
