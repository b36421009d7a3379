"""The checkpoints of a training run and its log: which is whole, what is damaged, what was reached."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME

METRICS = "metrics.jsonl"


def last_checkpoint(folder: str | os.PathLike) -> str | None:
    """
    The newest checkpoint of a run that is whole, or `None`. (`transformers.trainer_utils.get_last_checkpoint` also
    returns one that was being written when the run was killed.)
    """
    numbers = (path.name.removeprefix("checkpoint-") for path in Path(folder).glob("checkpoint-*"))
    for number in sorted((int(number) for number in numbers if number.isdecimal()), reverse=True):
        if _state(checkpoint := Path(folder, f"checkpoint-{number}")) is not None:
            return str(checkpoint)
    return None


def is_finished(folder: str | os.PathLike) -> bool:
    """Whether the newest checkpoint of the run in `folder` is that of its last step."""
    checkpoint = last_checkpoint(folder)
    state = {} if checkpoint is None else _state(checkpoint)
    return state.get("max_steps", 0) > 0 and state["global_step"] >= state["max_steps"]


def _state(checkpoint):
    """What the Trainer writes last; `None` if the checkpoint is not whole."""
    try:
        return json.loads(Path(checkpoint, TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextmanager
def reading(checkpoint: str | os.PathLike, *names: str) -> Iterator[None]:
    """
    Raises a `ValueError` instead of whatever torch, peft or safetensors raise for a damaged file of a checkpoint. It
    names the file, one of those of the patterns `names`, in the order in which they are read.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        files = [file for name in names for file in sorted(Path(checkpoint).glob(name))]
        broken = [file for file in files if len(files) > 1 and not _is_readable(file)][:1] or files
        raise ValueError(
            f"{' or '.join(map(str, broken))} cannot be read ({str(error).partition(chr(10))[0] or repr(error)}). "
            "Without this checkpoint's folder the same command continues from the one before"
        ) from error


def _is_readable(file):
    try:
        return isinstance(torch.load(file, map_location="meta", weights_only=True), dict)
    except Exception:
        return False


class RunLog(TrainerCallback):
    """
    Writes what the Trainer logs to `metrics.jsonl` in its output folder, and draws the curves anew after every
    evaluation and at the end, by `draw(history, path)`. A run that is continued from a checkpoint loses the lines from
    after it, and its `train_loss` is the mean over all steps; it has none if not all steps were logged.
    """

    def __init__(self, draw: Callable, picture: str = "curves.png"):
        self.draw, self.picture = draw, picture
        self.before, self.loss = 0, 0.0  # steps taken by earlier processes, and the sum of their losses

    def on_train_begin(self, args, state, control, **kwargs):
        losses = [entry for entry in state.log_history if "loss" in entry]
        steps = [0, *(entry["step"] for entry in losses)]  # each loss is the mean since the one before
        known = (entry["loss"] * (end - begin) for entry, begin, end in zip(losses, steps, steps[1:], strict=False))
        self.before, self.loss = state.global_step, sum(known) if steps[-1] == state.global_step else None
        if state.is_world_process_zero:
            Path(args.output_dir).mkdir(parents=True, exist_ok=True)
            Path(args.output_dir, METRICS).write_text("".join(map(_line, state.log_history)), encoding="utf-8")

    def on_log(self, args, state, control, logs=None, **kwargs):
        for entry in (logs, state.log_history[-1]):  # the former is printed, the latter kept
            if "train_loss" in (entry or {}) and self.before:  # stock: of the steps since it was continued
                own = entry.pop("train_loss") * (state.global_step - self.before)
                if self.loss is not None:
                    entry["train_loss"] = (self.loss + own) / state.global_step
        file = Path(args.output_dir, METRICS)
        if state.is_world_process_zero and file.is_file():  # there is none before training
            with open(file, "a", encoding="utf-8") as lines:
                lines.write(_line(state.log_history[-1]))

    def on_evaluate(self, args, state, control, **kwargs):
        if state.is_world_process_zero and state.log_history:
            self.draw(state.log_history, Path(args.output_dir, self.picture))

    on_train_end = on_evaluate


def _line(entry: dict) -> str:
    return json.dumps(entry) + "\n"


__all__ = ["RunLog", "is_finished", "last_checkpoint", "reading"]
