"""What a reader of a report or a card has to know about a run, without places of this machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.utils.hub import resolve_revision

from ..loading.load import public_name

PLACES = ("data_dir", "data_files", "cache_dir", "num_proc", "keep_in_memory", "token")
OF_LORA = ("towers", "targets", "rank", "lora_alpha", "lora_dropout")
OF_TRAINING = ("learning_rate", "muon_lr", "weight_decay", "warmup_steps", "bf16", "fp16", "seed", "embed")


def about_run(
    model_args, data_args, training_args, state, trainable: Mapping[str, int], base_commit: str | None = None
) -> dict[str, Any]:
    """
    Facts of a training run, as JSON can hold them.

    Args:
        model_args, data_args, training_args:
            The arguments of `train_trainer.py`.
        state (`TrainerState`):
            Of the finished run.
        trainable (`dict[str, int]`):
            Trained parameters by part, as [`count_trainable`] counts them.
        base_commit (`str`, *optional*):
            Of the base on the Hub, as [`commit_of`] finds it.

    Returns:
        `dict`: `model`, the name of the run; `base`, what was tuned, and `base_commit`; arguments by their names;
        `train_data`, `test_data`; `batch_size` (pairs a step); `steps`, `epochs`, `best_step` (of the checkpoint that
        was kept, `None` for the last one); `evaluation` (the score of that one by which checkpoints are compared);
        `trainable_parameters`.
    """
    lora = OF_LORA if model_args.scratch is None and model_args.tuning != "full" else ()
    metric, best = str(training_args.metric_for_best_model), training_args.load_best_model_at_end
    metric = f"eval_{metric.removeprefix('eval_')}"  # both are understood
    reached = [entry[metric] for entry in state.log_history if metric in entry]
    return {
        "model": Path(training_args.output_dir).resolve().name,
        "base": public_name(model_args.model),
        "base_commit": base_commit,
        **{key: getattr(model_args, key) for key in ("revision", "dtype", "prompt", "scratch", *lora)},
        "tuning": model_args.tuning if model_args.scratch is None else "full",
        "train_data": [public_spec(spec) for spec in data_args.train_data],
        "test_data": data_args.test_data and public_spec(data_args.test_data),
        "split": data_args.test_data and data_args.test_data["split"],
        "augment": data_args.augment,
        "lessons": data_args.lessons,
        **{key: getattr(training_args, key) for key in OF_TRAINING},
        "lr_scheduler_type": training_args.lr_scheduler_type.value,
        "batch_size": pairs_per_step(training_args),
        "steps": state.global_step,
        "epochs": round(state.epoch, 2),
        "best_step": state.best_global_step if best else None,
        "evaluation": state.best_metric if best else reached[-1] if reached else None,
        "decoding": {"max_new_tokens": training_args.max_new_tokens, "num_beams": training_args.num_beams or 1},
        "trainable_parameters": dict(trainable),
    }


def commit_of(model: str | os.PathLike | None, revision: str | None = None) -> str | None:
    """The commit that a revision of a model on the Hub is at; `None` for a folder, and where nobody can tell."""
    return None if model is None else getattr(resolve_revision(model, revision), "resolved", None)


def pairs_per_step(args) -> int:
    """Pairs between two updates of the weights, on all devices together."""
    return args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def public_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `load_dataset` that say which rows they are; of files and folders their names only."""
    shown = {key: value for key, value in spec.items() if key not in PLACES}
    return {key: public_name(value) if _is_place(value) else value for key, value in shown.items()}


def _is_place(value):
    return isinstance(value, str) and os.sep in value


__all__ = ["about_run", "commit_of", "pairs_per_step", "public_spec"]
