"""Trains a model for image difference captioning, scores it, and leaves it ready to load.

    python train_trainer.py recipes/mini.yaml
    python train_trainer.py recipes/scenes_lora.yaml --rank 16 --output_dir runs/lora16

A recipe is a YAML file of the arguments below and of those of `Seq2SeqTrainingArguments`; what is given on the command
line wins. A run that was interrupted, at any moment, is continued by the same command. `<output_dir>/final` then holds
the model (or the adapter) with its card, `results.json` and the test captions in `predictions.jsonl`.
"""

import json
import shutil
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import evaluate
import yaml
from transformers import HfArgumentParser, Seq2SeqTrainingArguments, set_seed

from datasets_syned import BlurJPEG, IDCCollator, lessons, training_data
from datasets_syned.scenes import NO_CHANGE_CAPTIONS
from datasets_syned.scorer import Scorer
from modeling_blip2idc.card_blip2idc import write_card
from modeling_blip2idc.compact_blip2idc import name_base, save_compact
from modeling_blip2idc.image_processing_blip2idc import make_canvas
from modeling_blip2idc.loading_blip2idc import EMBEDDED, load_idc
from modeling_blip2idc.peft_blip2idc import TOWERS, count_trainable, lora_config
from modeling_blip2idc.scratch_blip2idc import add_auxiliary, build_from_scratch, remove_auxiliary
from modeling_blip2idc.trainer_blip2idc import IDCTrainer, last_checkpoint

METRIC = Path(__file__).parent / "metrics" / "cider"
CURVES = {
    "eval_cider": ("CIDEr-D / 10", 10),
    "eval_category_accuracy": ("kind of change", 1),
    "eval_exact": ("equals a reference", 1),
    "eval_attributes_accuracy": ("attribute words", 1),
    "eval_no_change_f1": ("F1 of no change", 1),
}


@dataclass
class ModelArguments:
    """What is trained."""

    model: str | None = field(default=None, metadata={"help": "Hub id or folder; the embedded model by default"})
    revision: str | None = field(default=None, metadata={"help": "branch, tag or commit of the model"})
    dtype: str | None = field(default=None, metadata={"help": "such as bfloat16; the checkpoint's by default"})
    scratch: dict | None = field(default=None, metadata={"help": "geometry of a small model trained from nothing"})
    tuning: Literal["lora", "full"] = field(default="lora", metadata={"help": "an adapter, or all weights"})
    towers: list[str] = field(default_factory=lambda: [*TOWERS], metadata={"help": "of LoRA", "choices": TOWERS})
    targets: Literal["paper", "authors"] = field(default="paper", metadata={"help": "all Q, K, V; or as released"})
    rank: int = field(default=8, metadata={"help": "of LoRA"})
    lora_alpha: int = field(default=16, metadata={"help": "scale of LoRA"})
    lora_dropout: float = field(default=0.05, metadata={"help": "dropout of LoRA"})


@dataclass
class DataArguments:
    """What it learns from. A data set is a dict of arguments of `datasets.load_dataset`, as JSON on a command line."""

    train_data: list[dict] = field(default_factory=list, metadata={"help": "data sets, one after the other"})
    eval_data: dict | None = field(default=None, metadata={"help": "scored during training"})
    test_data: dict | None = field(default=None, metadata={"help": "scored at the end"})
    augment: bool = field(default=False, metadata={"help": "blur and JPEG on training images (paper, section 5.1)"})
    max_length: int | None = field(default=None, metadata={"help": "tokens of a row, image tokens included"})
    num_proc: int | None = field(default=None, metadata={"help": "processes that prepare data"})
    lessons: bool = field(default=False, metadata={"help": "dense labels of the embedded scenes; needs `scratch`"})
    curriculum: list[list] | None = field(default=None, metadata={"help": "lessons: [until, [parts]] of each phase"})


@dataclass
class IDCTrainingArguments(Seq2SeqTrainingArguments):
    """As `Seq2SeqTrainingArguments`, with defaults for this task."""

    output_dir: str = field(default="runs/idc", metadata={"help": "where checkpoints and results go"})
    remove_unused_columns: bool = field(default=False, metadata={"help": "the collator reads the columns"})
    predict_with_generate: bool = field(default=True, metadata={"help": "score generated captions"})
    metric_for_best_model: str | None = field(default="cider", metadata={"help": "of the evaluation"})
    muon_lr: float | None = field(default=None, metadata={"help": "Muon for the matrices, at this learning rate"})
    auxiliary_weights: list[float] = field(default_factory=lambda: [0.5, 0.3], metadata={"help": "of patches, pairs"})
    embed: bool = field(default=False, metadata={"help": "replace the model embedded in the package by the result"})


def parse(argv):
    """Arguments from `[recipe.yaml] [--name value ...]`, as the dataclasses above. A mistake ends the program."""
    usage = "%(prog)s recipe.yaml [--argument value ...]"
    parser = HfArgumentParser((ModelArguments, DataArguments, IDCTrainingArguments), usage=usage, description=__doc__)
    for action in parser._actions:
        if action.dest in ("train_data", "eval_data", "test_data", "scratch", "curriculum"):
            action.type, action.nargs = json.loads, None
    arguments = {action.dest: action for action in parser._actions if action.dest != "help"}
    parser.add_argument("recipe", nargs="?", help="a YAML file with any of the arguments below; comes first")
    recipe = argv[0] if argv and not argv[0].startswith("-") else None
    try:
        if recipe is not None:
            parser.set_defaults(**read_recipe(recipe, arguments))
        *groups, rest = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
        if rest.recipe != recipe:
            raise ValueError(f"the recipe comes first: {rest.recipe!r}")
        check(*groups)
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    return groups


def read_recipe(path, arguments):
    """Values of a YAML file, each of the type that the command line would give it (YAML takes `1e-3` for a text)."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"recipe {path!r}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"recipe {path!r} must hold lines of the form `argument: value`")
    if unknown := sorted(str(name) for name in set(values) - set(arguments)):
        raise ValueError(f"recipe {path!r}: unknown argument {', '.join(unknown)}")
    for name, value in values.items():
        try:
            values[name] = typed(arguments[name], value)
        except Exception as error:  # whatever the argument's own type raises
            raise ValueError(f"recipe {path!r}: {name}: {value!r} is no valid value: {error}") from error
    return values


def typed(action, value):
    """A value of a recipe as an argument of the command line would be read."""
    if value is None or isinstance(value, dict) or action.type is json.loads:
        return value
    if isinstance(value, list):
        return [typed(action, item) for item in value]
    read = action.type(str(value))
    if action.choices and read not in action.choices:
        raise ValueError(f"choose from {', '.join(map(str, action.choices))}")
    return value if read == value else read


def check(model_args, data_args, training_args):
    """Raises a `ValueError` for what would otherwise fail after minutes of preparation or hours of training."""
    if not data_args.train_data:
        raise ValueError("train_data is empty: name a recipe, such as recipes/mini.yaml")
    for name in ("train_data", "eval_data", "test_data"):
        if (specs := getattr(data_args, name)) is not None:
            training_data.check(name, specs, masks=data_args.lessons and name == "train_data")
    if data_args.lessons and (model_args.scratch is None or training_args.max_steps <= 0):
        raise ValueError("lessons need scratch (they label the patches of a small model's canvas) and max_steps")
    if data_args.curriculum is not None:
        if not data_args.lessons:
            raise ValueError("curriculum orders lessons: it needs `lessons: true`")
        lessons.check_curriculum(data_args.curriculum, len(data_args.train_data))
    if model_args.scratch is not None and model_args.model is not None:
        raise ValueError("give scratch or model, not both")
    if training_args.eval_strategy != "no" and data_args.eval_data is None:
        raise ValueError(f"eval_strategy is {training_args.eval_strategy.value!r}, and there is no eval_data")


def make_model(args, with_auxiliary):
    """The model to be trained and its processor."""
    if args.scratch is not None:
        words = lessons.vocabulary()
        model, processor = build_from_scratch(words, no_change_captions=NO_CHANGE_CAPTIONS, **args.scratch)
        if with_auxiliary:
            add_auxiliary(model, lessons.PATCH_CLASSES, lessons.PAIR_CLASSES, lessons.CLASS_WEIGHTS)
        return model, processor
    model, processor = load_idc(args.model, args.revision, args.dtype)
    is_adapter = hasattr(model, "merge_and_unload")
    if args.tuning == "full":
        return (model.merge_and_unload() if is_adapter else model).requires_grad_(True), processor
    if is_adapter:
        raise ValueError(f"{args.model!r} is an adapter already: give its base model, or use --tuning full")
    from peft import get_peft_model

    size = {"r": args.rank, "lora_alpha": args.lora_alpha, "lora_dropout": args.lora_dropout}
    return get_peft_model(model, lora_config(args.towers, args.targets, **size, revision=args.revision)), processor


def canvas(before, after, size, concat_axis):
    """The canvas of a pair, a `PIL.Image`: what `datasets_syned` may not know."""
    return make_canvas(before, after, size, concat_axis)[0]


def make_train_data(args, training_args, processor, config):
    """Rows to train on, and what collates them."""
    parts = [training_data.load(spec) for spec in args.train_data]
    if args.lessons:
        training_args.train_sampling_strategy = "sequential"  # the order is drawn inside
        rows_per_step = training_args.train_batch_size * training_args.gradient_accumulation_steps
        rows = training_data.lessons(
            parts,
            partial(canvas, size=dict(processor.image_processor.size), concat_axis=processor.concat_axis),
            config.vision_config.patch_size,
            training_args.max_steps * rows_per_step * training_args.world_size,
            args.curriculum or [(1.0, range(len(parts)))],
            training_args.seed,
            num_proc=args.num_proc,
        )
        return rows, lessons.LessonCollator(processor)
    augment = BlurJPEG() if args.augment else None
    collator = IDCCollator(processor, seed=training_args.seed, max_length=args.max_length, augment=augment)
    return training_data.concatenate(parts), collator


def draw_curve(history, path):
    """Draws the scores of the evaluations over the steps of the run, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="score on the evaluation split", ylim=(0, 1))
    for name, (label, unit) in CURVES.items():
        if points := [(entry["step"], entry[name] / unit) for entry in history if name in entry]:
            axes.plot(*zip(*points, strict=True), label=label)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main(model_args, data_args, training_args):
    """Trains, saves and scores. Returns what `results.json` holds."""
    set_seed(training_args.seed)
    metric = evaluate.load(str(METRIC))
    model, processor = make_model(model_args, data_args.lessons)
    trainable = {part: n for part, n in count_trainable(model).items() if n}
    print("trainable parameters:", trainable)
    eval_rows, test_rows = (spec and training_data.load(spec) for spec in (data_args.eval_data, data_args.test_data))
    train_rows, collator = make_train_data(data_args, training_args, processor, model.config)
    trainer = IDCTrainer(
        model,
        training_args,
        data_collator=collator,
        eval_collator=IDCCollator(processor, max_length=data_args.max_length).for_evaluation(),
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        compute_metrics=None if eval_rows is None else Scorer(eval_rows, processor.post_process_captions, metric),
        muon_lr=training_args.muon_lr,
        auxiliary_weights=training_args.auxiliary_weights,
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(training_args.output_dir))

    out = Path(training_args.output_dir) / "final"
    if model_args.scratch is not None:
        save_compact(remove_auxiliary(trainer.model), processor, out)
    else:
        trainer.save_model(out)
        (out / "training_args.bin").unlink()  # a pickle, and full of this machine
        name_base(out, EMBEDDED if model_args.model is None else model_args.model)
    # what is scored is what was written, read back as anybody would
    trainer.model = trainer.model_wrapped = load_idc(out, dtype=model_args.dtype)[0].to(training_args.device)
    results = {"steps": trainer.state.global_step, "trainable_parameters": trainable}
    results["history"] = [entry for entry in trainer.state.log_history if "eval_cider" in entry]
    if test_rows is not None:
        trainer.compute_metrics = scorer = Scorer(test_rows, processor.post_process_captions, metric)
        trainer.predict(test_rows)
        results["test"] = scorer.report()
        scorer.write_predictions(out / "predictions.jsonl")
        print(json.dumps(results["test"], indent=1))
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if results["history"]:
        draw_curve(results["history"], out / "curve.png")
    write_card(out, results, {**vars(model_args), **vars(data_args), "embed": training_args.embed})
    if training_args.embed:
        shutil.copytree(out, EMBEDDED, dirs_exist_ok=True, ignore=shutil.ignore_patterns("predictions.jsonl"))
    return results


if __name__ == "__main__":
    main(*parse(sys.argv[1:]))
