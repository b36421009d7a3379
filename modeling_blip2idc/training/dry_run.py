"""What a training run would take, from two of its steps and one generation."""

import copy
import math
import resource
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import IntervalStrategy

from ..loading.lora import count_trainable
from .run_folder import pairs_per_step

STEPS = 2  # the first one warms up


class _Clock(TrainerCallback):
    """Seconds of the step that was taken last."""

    def on_step_begin(self, args, state, control, **kwargs):
        self.began = _now(args.device)

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds = _now(args.device) - self.began


def _now(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def dry_run(make_trainer: Callable, args, eval_rows=None) -> dict[str, Any]:
    """
    Takes two steps with the [`IDCTrainer`] of `make_trainer(args)`, whose `args` are those of the whole run, and
    generates the captions of one batch of `eval_rows` (a `datasets.Dataset`), unless these or `predict_with_generate`
    are missing. Nothing that it writes stays. Returns the figures of [`describe`]: `steps`, `training_seconds`,
    `evaluations` (with the test) and `evaluation_seconds` are those of the whole run; `image_size` is height and width
    of the canvas, `padding` the share of a batch's positions that hold nothing, `memory_bytes` the peak of the GPU or
    else of this process.
    """
    short = copy.copy(args)
    short.max_steps, short.early_stopping_patience, short.report_to = STEPS, None, []
    short.eval_strategy, short.save_strategy, short.load_best_model_at_end = "no", "no", False
    with tempfile.TemporaryDirectory() as folder:
        short.output_dir = folder
        return _measure(make_trainer(short), args, eval_rows)


def _measure(trainer, whole, eval_rows):
    args, clock = trainer.args, _Clock()
    trainer.add_callback(clock)
    batch = trainer.data_collator(list(islice(trainer.train_dataset, args.train_batch_size)))
    tokens, places = int(batch["attention_mask"].sum()), batch["attention_mask"].numel()
    trainer.train()
    samples = pairs_per_step(args)
    sized = hasattr(trainer.train_dataset, "__len__")
    epoch = math.ceil(len(trainer.train_dataset) / samples) if sized else None  # steps
    steps = whole.max_steps if whole.max_steps > 0 else math.ceil(whole.num_train_epochs * epoch)
    result = {
        "trainable_parameters": count_trainable(trainer.model),
        "steps": steps,
        "step_samples": samples,
        "seconds_per_step": clock.seconds,
        "samples_per_second": samples / clock.seconds,
        "training_seconds": steps * clock.seconds,
        "image_size": tuple(batch["pixel_values"].shape[-2:]),
        "tokens_per_sample": tokens / len(batch["attention_mask"]),
        "padding": 1 - tokens / places,
    }
    if eval_rows is not None and args.predict_with_generate:
        result |= _generate(trainer, eval_rows, _evaluations(whole, steps, epoch) + 1)
    cuda = args.device.type == "cuda"  # without a GPU this process, in kilobytes on Linux
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result | {"memory_bytes": torch.cuda.max_memory_allocated(args.device) if cuda else own}


def _evaluations(args, steps, epoch):
    """How often a run of so many steps, of which `epoch` are one, is evaluated."""
    if args.eval_strategy == IntervalStrategy.EPOCH:
        return math.ceil(steps / epoch) if epoch else 0
    if args.eval_strategy == IntervalStrategy.STEPS:
        every = args.eval_steps if args.eval_steps >= 1 else math.ceil(steps * args.eval_steps)  # or a share of them
        return math.ceil(steps / every)  # the last step is evaluated in any case
    return 0


def _generate(trainer, rows, evaluations):
    args = trainer.args
    chosen = rows.select(range(min(args.eval_batch_size * args.world_size, len(rows))))
    trainer.compute_metrics = None
    began = _now(args.device)
    output = trainer.predict(chosen)
    rate = len(chosen) / (_now(args.device) - began)
    return {
        "captions": trainer.processing_class.post_process_captions(output.predictions),
        "references": list(chosen["captions"]),
        "captions_per_second": rate,
        "evaluations": evaluations,
        "evaluation_seconds": evaluations * len(rows) / rate,
    }


def describe(result: dict[str, Any]) -> str:
    """A [`dry_run`]'s result (`dict`) in lines for people."""
    height, width = result["image_size"]
    lines = [
        f"{result['step_samples']} pairs a step, canvas {height}x{width}, {result['tokens_per_sample']:.1f} tokens a "
        f"pair, {result['padding']:.0%} padding",
        f"{result['trainable_parameters']['total']:,} trained parameters",
        f"peak memory {result['memory_bytes'] / 2**30:.2f} GiB",
        f"{result['samples_per_second']:.1f} pairs a second, {result['seconds_per_step']:.3f} s a step",
        f"training would take {_duration(result['training_seconds'])} ({result['steps']:,} steps)",
    ]
    if "captions" in result:
        lines += [
            f"generation {result['captions_per_second']:.1f} captions a second; all evaluations would take "
            f"{_duration(result['evaluation_seconds'])}",
            f"first caption {result['captions'][0]!r}; a reference {result['references'][0][0]!r}",
        ]
    return "\n".join(lines)


def _duration(seconds):
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


__all__ = ["describe", "dry_run"]
