"""The folder of a training run: whose it is, and how its loss and scores went."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

SETTINGS = "settings.json"
METRICS = "metrics.jsonl"

# What may change when a run is continued: it decides where and how fast, not what comes out.
FREE = {
    *("output_dir", "data_dir", "num_proc", "dry_run", "embed", "seeds", "do_train", "do_eval", "do_predict"),
    *("per_device_eval_batch_size", "eval_accumulation_steps", "eval_do_concat_batches", "batch_eval_metrics"),
    *("save_total_limit", "save_on_each_node", "save_only_model", "enable_jit_checkpoint", "resume_from_checkpoint"),
    *("dataloader_num_workers", "dataloader_prefetch_factor", "dataloader_pin_memory"),
    *("dataloader_persistent_workers", "dataloader_multiprocessing_context", "torch_empty_cache_steps"),
    *("activation_checkpointing", "activation_checkpointing_kwargs"),
    *("gradient_checkpointing", "gradient_checkpointing_kwargs"),
    *("disable_tqdm", "report_to", "run_name", "project", "skip_memory_metrics", "debug", "use_cpu"),
    *("push_to_hub", "use_liger_kernel", "include_num_input_tokens_seen", "local_rank"),
    *("log_level", "log_level_replica", "log_on_each_node"),
}
FREE_PREFIXES = ("ddp_", "hub_", "logging_", "trackio_")
FREE_OF_DATA = {"cache_dir", "num_proc", "keep_in_memory", "token"}  # among the arguments of a data set
OF_STREAMS = "dataloader_num_workers"  # each worker reads its own shards of a stream, so it decides their order


def claim_run(folder: str | os.PathLike, settings: Mapping[str, Any]) -> None:
    """
    Takes a folder for a run, or recognizes it as that of the same run.

    Args:
        folder (`str` or `os.PathLike`):
            `output_dir` of the run; made if it is missing.
        settings (`dict`):
            All arguments by name. Those that only say where, how fast or how loud (`FREE`) may differ from last time,
            and so may those of a data set (`FREE_OF_DATA`); the number of workers may not where `train_data` stream.

    Raises:
        `ValueError`: if the folder is that of a run with other settings, which are named; or if it has checkpoints
            and does not say of which run.
    """
    file = Path(folder) / SETTINGS
    settings = json.loads(json.dumps(_kept(settings), default=str))
    if file.is_file():
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(before, dict):
                raise ValueError("settings by name are expected")
        except ValueError as error:
            raise ValueError(
                f"{file} cannot be read ({error}): give another output_dir, or remove the folder"
            ) from None
        # a name that only one of them has comes from another version of the library
        changed = [name for name in sorted(before.keys() & settings) if before[name] != settings[name]]
        if changed:
            shown = "; ".join(f"{name} {before[name]!r} there, {settings[name]!r} now" for name in changed)
            raise ValueError(
                f"output_dir {os.fspath(folder)!r} holds a run with other settings ({shown}). Continue it with its "
                "own, give another output_dir, or remove it"
            )
    elif any(Path(folder).glob("checkpoint-*")):
        raise ValueError(
            f"output_dir {os.fspath(folder)!r} holds checkpoints of a run that left no {SETTINGS}: give another "
            "output_dir, or remove it"
        )
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".tmp")
        unfinished.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        unfinished.replace(file)


def _kept(settings):
    """What decides what comes out of a run."""
    streams = any(spec.get("streaming") for spec in settings.get("train_data") or ())
    free = FREE - {OF_STREAMS} if streams else FREE
    kept = {name: value for name, value in settings.items() if name not in free and not name.startswith(FREE_PREFIXES)}
    for name in ("train_data", "eval_data", "test_data"):
        specs = kept.get(name)
        if isinstance(specs, Mapping):
            kept[name] = _rows(specs)
        elif specs:
            kept[name] = [_rows(spec) for spec in specs]
    return kept


def _rows(spec):
    return {name: value for name, value in spec.items() if name not in FREE_OF_DATA}


class RunLog(TrainerCallback):
    """
    Writes what the Trainer logs to `metrics.jsonl` in its output folder, a line each, and draws the curves anew after
    every evaluation and at the end. A run that is continued from a checkpoint loses the lines from after it.

    Args:
        draw (`Callable`):
            `draw(history, path)`: makes a picture of a Trainer's `log_history`.
        picture (`str`, *optional*, defaults to `"curves.png"`):
            Its name.
    """

    def __init__(self, draw: Callable, picture: str = "curves.png"):
        self.draw, self.picture = draw, picture

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            Path(args.output_dir).mkdir(parents=True, exist_ok=True)
            self._file(args).write_text("".join(map(_line, state.log_history)), encoding="utf-8")

    def on_log(self, args, state, control, **kwargs):
        if state.is_world_process_zero and self._file(args).is_file():  # there is none before training
            with open(self._file(args), "a", encoding="utf-8") as file:
                file.write(_line(state.log_history[-1]))

    def on_evaluate(self, args, state, control, **kwargs):
        self._draw(args, state)

    def on_train_end(self, args, state, control, **kwargs):
        self._draw(args, state)

    def _draw(self, args, state):
        if state.is_world_process_zero and state.log_history:
            self.draw(state.log_history, Path(args.output_dir) / self.picture)

    @staticmethod
    def _file(args):
        return Path(args.output_dir) / METRICS


def _line(entry: dict) -> str:
    return json.dumps(entry) + "\n"


__all__ = ["RunLog", "claim_run"]
