"""The folder of a training run: whose it is, and what a report says of it."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..loading.load import embedded_name, public_name

SETTINGS = "settings.json"

# What may change when a run is continued: it decides where and how fast, not what comes out.
FREE = {
    *("output_dir", "data_dir", "num_proc", "dry_run", "embed", "seeds"),
    *("per_device_eval_batch_size", "eval_accumulation_steps"),
    *("save_total_limit", "save_on_each_node", "enable_jit_checkpoint"),
    *("dataloader_num_workers", "dataloader_prefetch_factor", "dataloader_pin_memory"),
    *("dataloader_persistent_workers", "dataloader_multiprocessing_context", "torch_empty_cache_steps"),
    *("activation_checkpointing", "activation_checkpointing_kwargs"),
    *("gradient_checkpointing", "gradient_checkpointing_kwargs"),
    *("disable_tqdm", "report_to", "run_name", "project", "skip_memory_metrics", "debug", "use_cpu"),
    *("push_to_hub", "local_rank", "log_level", "log_level_replica", "log_on_each_node"),
}
FREE_PREFIXES = ("ddp_", "hub_", "logging_", "trackio_")
FREE_OF_DATA = {"cache_dir", "num_proc", "keep_in_memory", "token"}  # among the arguments of a data set
OF_STREAMS = "dataloader_num_workers"  # each worker reads its own shards of a stream, so it decides their order
LENGTHS = ("max_steps", "num_train_epochs")  # what a finished run may have more of

PLACES = ("data_dir", "data_files", "cache_dir", "num_proc", "keep_in_memory", "token")
OF_LORA = ("towers", "targets", "rank", "lora_alpha", "lora_dropout")
OF_TRAINING = ("learning_rate", "muon_lr", "weight_decay", "warmup_steps", "bf16", "fp16", "seed", "embed")


def claim_run(folder: str | os.PathLike, settings: Mapping[str, Any], finished: bool = False) -> None:
    """
    Takes a folder for a run with these arguments by name, or recognizes it as that of the same run. Those that only
    say where, how fast or how loud (`FREE`) may differ from last time, and so may those of a data set
    (`FREE_OF_DATA`); the number of workers may not where `train_data` stream. A `finished` run ([`is_finished`]) may
    be given more steps. Raises a `ValueError` if the folder is that of a run with other settings, which are named; or
    if it has checkpoints and does not say of which run.
    """
    file = Path(folder) / SETTINGS
    settings = json.loads(json.dumps(_kept(settings), default=str))
    if file.is_file():
        try:
            before = {**json.loads(file.read_text(encoding="utf-8"))}
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{file} cannot be read ({error}): give another output_dir, or remove the folder"
            ) from error
        # a name that only one of them has comes from another version of the library
        changed = [name for name in sorted(before.keys() & settings) if before[name] != settings[name]]
        more = [name for name in changed if name in LENGTHS and settings[name] > before[name] > 0]
        if changed and not (finished and changed == more):
            shown = "; ".join(f"{name} {before[name]!r} there, {settings[name]!r} now" for name in changed)
            raise ValueError(
                f"output_dir {os.fspath(folder)!r} holds a run with other settings ({shown}). Continue it with its "
                "own settings, give another output_dir, or remove it"
                + (". More steps are for a run that has taken all of its own" if changed == more else "")
            )
        if not changed:
            return
    elif any(Path(folder).glob("checkpoint-*")):
        raise ValueError(
            f"output_dir {os.fspath(folder)!r} holds checkpoints of a run that left no {SETTINGS}: give another "
            "output_dir, or remove it"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".tmp")
    unfinished.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    unfinished.replace(file)


def release_run(folder: str | os.PathLike) -> None:
    """Gives a folder up, with those of its seeds, if nothing has been done in it: another run may claim it."""
    files = [path for path in Path(folder).rglob("*") if not path.is_dir()]
    if all(path.name == SETTINGS for path in files):
        for path in files:
            path.unlink(missing_ok=True)


def point_to_final(folder: Path) -> None:
    """Copies beside `final` what `pipeline(model=folder)` reads before our loader, which looks into `final`."""
    for name in ("adapter_config.json", "config.json"):
        if (folder / "final" / name).is_file():
            shutil.copyfile(folder / "final" / name, folder / name)


def note(report: Mapping[str, Any], out: Path) -> None:
    """Writes what is known of a model that was not scored, from which `blip2idc push` writes its card anew."""
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _kept(settings):
    """What decides what comes out of a run."""
    streams = any(spec.get("streaming") for spec in settings.get("train_data") or ())
    free = FREE - {OF_STREAMS} if streams else FREE
    kept = {name: value for name, value in settings.items() if name not in free and not name.startswith(FREE_PREFIXES)}
    for name in ("train_data", "eval_data", "test_data"):
        if isinstance(specs := kept.get(name), Mapping):
            kept[name] = _rows(specs)
        elif specs:
            kept[name] = [_rows(spec) for spec in specs]
    return kept


def _rows(spec):
    return {name: value for name, value in spec.items() if name not in FREE_OF_DATA}


def about_run(
    model_args,
    data_args,
    training_args,
    state,
    trainable: Mapping[str, int],
    precision: Mapping[str, str | None] | None = None,
    base_commit: str | None = None,
) -> dict[str, Any]:
    """
    What a reader of a report or a card has to know about a run, without places of this machine, as JSON can hold it:
    names of run and base, arguments, `batch_size` (pairs a step), `steps`, `epochs`, `best_step` (of the checkpoint
    that was kept, `None` for the last one), and its `evaluation`, by which checkpoints are compared. `trainable` is
    what [`count_trainable`] counts; `precision` the `dtype` of the weights, and of `autocast`; `base_commit` that of
    [`~loading.load.commit_of`].
    """
    lora = OF_LORA if model_args.scratch is None and model_args.tuning != "full" else ()
    model, metric, best = (
        model_args.model,
        str(training_args.metric_for_best_model),
        training_args.load_best_model_at_end,
    )
    metric = f"eval_{metric.removeprefix('eval_')}"  # both are understood
    reached = [entry[metric] for entry in state.log_history if metric in entry]
    return {
        "model": Path(training_args.output_dir).resolve().name,
        "base": None if model_args.scratch is not None else embedded_name(model) or public_name(model),
        "base_commit": base_commit,
        **{key: getattr(model_args, key) for key in ("revision", "prompt", "draft", "scratch", *lora)},
        **(precision or {}),
        "tuning": model_args.tuning if model_args.scratch is None else "full",
        "train_data": [public_spec(spec) for spec in data_args.train_data],
        "test_data": data_args.test_data and public_spec(data_args.test_data),
        "split": data_args.test_data and data_args.test_data["split"],
        "augment": data_args.augment,
        "dense_supervision": data_args.dense_supervision,
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


def pairs_per_step(args) -> int:
    """Pairs between two updates of the weights, on all devices together."""
    return args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def public_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `load_dataset` that say which rows they are; of files and folders their names only."""
    shown = {key: value for key, value in spec.items() if key not in PLACES}
    places = {key for key, value in shown.items() if isinstance(value, str) and os.sep in value}
    return {key: public_name(value) if key in places else value for key, value in shown.items()}


__all__ = ["about_run", "claim_run", "note", "pairs_per_step", "point_to_final", "public_spec", "release_run"]
