"""The arguments of `train_trainer.py`: three dataclasses, what must go together, and what a folder is for."""

import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from transformers import Seq2SeqTrainingArguments

from blip2idc_scripts import RECIPES
from datasets_syned.loading.specs import check_files, check_roots, check_spec, place_spec
from datasets_syned.training.dense_supervision import check_curriculum
from modeling_blip2idc.hub.push import claim_repo
from modeling_blip2idc.loading.load import check_folder
from modeling_blip2idc.loading.lora import TOWERS
from modeling_blip2idc.loading.trainable import check_trainable
from modeling_blip2idc.training.checkpoints import is_finished
from modeling_blip2idc.training.run_folder import claim_run
from modeling_blip2idc.training.yaml_arguments import parse_recipe

_SCORING = "leave it out: validation and test are scored in the precision of training, as one corpus of captions"
_STEPS = "leave it out: the run trains, evaluates by eval_strategy, and scores test_data if there is one"
_HUB = "leave it out: only the finished model is published, with push_to_hub"
# Arguments of `Seq2SeqTrainingArguments` that would do nothing here, or harm.
REFUSED = {
    **dict.fromkeys(("do_train", "do_eval", "do_predict"), _STEPS),
    **dict.fromkeys(("hub_strategy", "hub_always_push"), _HUB),
    **dict.fromkeys(("bf16_full_eval", "fp16_full_eval", "eval_do_concat_batches", "batch_eval_metrics"), _SCORING),
    **dict.fromkeys(("eval_use_gather_object", "include_for_metrics", "label_names"), _SCORING),
    "resume_from_checkpoint": "leave it out: the same command continues a run from its last checkpoint",
    "save_only_model": "leave it out: a run could not be continued from checkpoints without an optimizer",
    "auto_find_batch_size": "leave it out, as it changes the batch of a step: --dry_run says what memory a run takes",
    "prediction_loss_only": "give predict_with_generate: false",
    "generation_num_beams": "give num_beams, which the saved model keeps",
    "generation_max_length": "give max_new_tokens, which the saved model keeps",
    "generation_config": "give num_beams and max_new_tokens, which the saved model keeps",
    "sortish_sampler": "give train_sampling_strategy: group_by_length",
    "logging_nan_inf_filter": "leave it out: a loss that is not finite ends the run",
    "include_num_input_tokens_seen": "leave it out: it would count pixels",
    "use_liger_kernel": "leave it out: there is none for BLIP-2",
    "liger_kernel_config": "leave it out: there is none for BLIP-2",
    "use_cache": "leave it out: training reads each caption at once",
    "hub_token": "it would be seen in the list of processes, or published with the recipe: set HF_TOKEN instead, or "
    "log in with `hf auth login`",
}
# Arguments that are JSON on a command line, with examples.
AS_JSON = {
    **dict.fromkeys(("train_data", "eval_data", "test_data"), '{"path": "syned", "name": "folder", "split": "train"}'),
    "scratch": '{"canvas_size": 128, "width": 128}',
    "curriculum": "[[0.5, [1]], [1.0, [0, 1]]]",
}


@dataclass
class ModelArguments:
    """What is trained."""

    model: str | None = field(default=None, metadata={"help": "Hub id or folder; the embedded model by default"})
    revision: str | None = field(default=None, metadata={"help": "branch, tag or commit of the model"})
    dtype: str | None = field(default=None, metadata={"help": "of the weights; see load_trainable for the default"})
    attn_implementation: str | None = field(default=None, metadata={"help": "sdpa, eager, flash_attention_2"})
    prompt: str | None = field(default=None, metadata={"help": "text before every caption; the checkpoint's, or none"})
    draft: bool | None = field(
        default=None, metadata={"help": "decode JPEG files at a reduced scale, which is faster"}
    )
    scratch: dict | None = field(default=None, metadata={"help": "geometry of a small model trained from nothing"})
    tuning: Literal["lora", "full", "qlora"] = field(default="lora", metadata={"help": "an adapter, or all weights"})
    towers: list[str] = field(default_factory=lambda: [*TOWERS], metadata={"help": "of LoRA", "choices": TOWERS})
    targets: Literal["full", "authors"] = field(default="full", metadata={"help": "all Q, K, V; or as released"})
    rank: int = field(default=8, metadata={"help": "of LoRA"})
    lora_alpha: int = field(default=16, metadata={"help": "scale of LoRA"})
    lora_dropout: float = field(default=0.05, metadata={"help": "dropout of LoRA"})


@dataclass
class DataArguments:
    """What it learns from. A data set is a dict of arguments of `datasets.load_dataset`, as JSON on a command line."""

    train_data: list[dict] = field(default_factory=list, metadata={"help": "a data set, or a list of them"})
    eval_data: dict | None = field(default=None, metadata={"help": "scored during training"})
    test_data: dict | None = field(default=None, metadata={"help": "scored at the end"})
    data_dir: list[str] = field(
        default_factory=list, metadata={"help": "folder of the files; name=folder for one of several"}
    )
    extend_vocabulary: bool = field(
        default=False, metadata={"help": "add the words of train_data that the model's tokenizer does not know"}
    )
    augment: bool = field(default=False, metadata={"help": "blur and JPEG on training images (paper, section 5.1)"})
    max_length: int | None = field(default=None, metadata={"help": "tokens of a row, image tokens included"})
    shuffle_buffer: int = field(default=1000, metadata={"help": "rows among which streamed ones are shuffled"})
    num_proc: int | None = field(default=None, metadata={"help": "processes that prepare data"})
    dense_supervision: bool = field(
        default=False, metadata={"help": "labels of every patch of the embedded scenes; needs `scratch`"}
    )
    curriculum: list[list] | None = field(
        default=None, metadata={"help": "of dense_supervision: [until, [parts]] of each phase"}
    )

    @property
    def specs(self):
        """All data sets of the run."""
        return [spec for spec in (*self.train_data, self.eval_data, self.test_data) if spec is not None]


@dataclass
class IDCTrainingArguments(Seq2SeqTrainingArguments):
    """As `Seq2SeqTrainingArguments`, with defaults for this task."""

    output_dir: str = field(default="runs/idc", metadata={"help": "where checkpoints and results go"})
    bf16: bool | None = field(default=None, metadata={"help": "mixed precision; by default where a GPU has bfloat16"})
    remove_unused_columns: bool = field(default=False, metadata={"help": "the collator reads the columns"})
    predict_with_generate: bool = field(default=True, metadata={"help": "score generated captions"})
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "continue to count the evaluations without a better one"}
    )
    metric_for_best_model: str | None = field(default="cider", metadata={"help": "cider, loss, ..."})
    early_stopping_patience: int | None = field(default=None, metadata={"help": "evaluations without a better one"})
    max_new_tokens: int | None = field(default=None, metadata={"help": "of a caption"})
    num_beams: int | None = field(default=None, metadata={"help": "of the search for a caption; 1 is greedy"})
    seeds: list[int] = field(default_factory=list, metadata={"help": "a run for each, and their mean and spread"})
    dry_run: bool = field(default=False, metadata={"help": "take two steps, say what the run would take, stop"})
    muon_lr: float | None = field(default=None, metadata={"help": "Muon for the matrices, at this learning rate"})
    auxiliary_weights: list[float] = field(default_factory=lambda: [0.5, 0.3], metadata={"help": "of patches, pairs"})
    embed: Literal["mini", "mini_photos"] | None = field(
        default=None, metadata={"help": "the embedded model that the result replaces"}
    )

    def __post_init__(self):
        if self.bf16 is None:
            cuda = not self.use_cpu and torch.cuda.is_available()
            self.bf16 = not self.fp16 and cuda and torch.cuda.is_bf16_supported()
        self.use_cpu = self.use_cpu or self.bf16 and not torch.accelerator.is_available()  # which stock asks for
        super().__post_init__()


def parse(argv):
    """Arguments from `[recipe] [--name value ...]`, as the dataclasses above. A mistake ends the program."""
    groups = (ModelArguments, DataArguments, IDCTrainingArguments)
    return parse_recipe(groups, argv, check, AS_JSON, ("synthesis",), REFUSED, RECIPES)


def check(model_args, data_args, training_args):
    """Raises a `ValueError` for arguments that do not go together."""
    if not data_args.train_data:
        raise ValueError("train_data is empty: name a recipe, such as recipes/mini.yaml")
    for name in ("train_data", "eval_data", "test_data"):
        if (specs := getattr(data_args, name)) is not None:
            check_spec(name, specs, masks=data_args.dense_supervision and name == "train_data")
    check_roots(data_args.specs, data_args.data_dir)
    if any(spec.get("streaming") for spec in data_args.train_data):
        if training_args.max_steps <= 0:
            raise ValueError("train_data is a stream, whose end nobody knows: give max_steps")
        if data_args.extend_vocabulary:
            raise ValueError("extend_vocabulary reads all captions first: leave out `streaming: true`")
    for name in ("eval_data", "test_data"):
        if (getattr(data_args, name) or {}).get("streaming"):
            raise ValueError(f"{name}: rows to be scored cannot be a stream: leave out `streaming: true`")
    _check_dense_supervision(model_args, data_args, training_args)
    if model_args.scratch is not None and model_args.model is not None:
        raise ValueError("give scratch or model, not both")
    if model_args.model is None and (given := _given(model_args, "revision", None)):
        raise ValueError(f"{given} is that of model, which is not given")
    if model_args.scratch is not None and (given := _given(model_args, "dtype attn_implementation", None)):
        raise ValueError(f"{given} is that of a checkpoint: leave it out with scratch")
    if training_args.muon_lr is not None and training_args.optim != IDCTrainingArguments.optim:
        raise ValueError("muon_lr replaces the optimizer: leave out optim")
    if not training_args.push_to_hub and (
        given := _given(training_args, "hub_model_id hub_private_repo hub_revision")
    ):
        raise ValueError(f"{given} needs push_to_hub: true")
    if training_args.eval_strategy != "no" and data_args.eval_data is None:
        raise ValueError(f"eval_strategy is {training_args.eval_strategy.value!r}, and there is no eval_data")
    if training_args.early_stopping_patience is not None and not training_args.load_best_model_at_end:
        raise ValueError("early_stopping_patience needs load_best_model_at_end: true, which keeps the best checkpoint")
    if not training_args.predict_with_generate:
        if data_args.test_data is not None:
            raise ValueError("predict_with_generate: false leaves no captions to score test_data by")
        if training_args.eval_strategy != "no" and training_args.metric_for_best_model not in ("loss", "eval_loss"):
            raise ValueError("predict_with_generate: false leaves the loss alone: give metric_for_best_model: loss")
    if len(set(training_args.seeds)) < len(training_args.seeds):
        raise ValueError(f"seeds {training_args.seeds}: one of them is there twice")


def _given(args, names, usual=None):
    """The first of some arguments that is not as usual."""
    return next((name for name in names.split() if getattr(args, name) != usual), None)


def _check_dense_supervision(model_args, data_args, training_args):
    if not data_args.dense_supervision:
        if data_args.curriculum is not None:
            raise ValueError("curriculum needs `dense_supervision: true`")
        return
    if model_args.scratch is None or training_args.max_steps <= 0:
        raise ValueError(
            "dense_supervision needs scratch (it labels the patches of a small model's canvas) and max_steps"
        )
    usual = {"augment": False, "max_length": None}
    if given := [name for name, value in usual.items() if getattr(data_args, name) != value]:
        raise ValueError(f"dense_supervision prepares its rows by itself: leave out {given[0]}")
    if training_args.train_sampling_strategy not in ("random", "sequential"):
        raise ValueError("dense_supervision draws the order of its rows: leave out train_sampling_strategy")
    kinds = {spec.get("name") == "photos" for spec in data_args.train_data}
    if len(kinds) > 1:
        raise ValueError("dense_supervision labels either photos or scenes: train_data has both")
    if data_args.curriculum is not None:
        check_curriculum(data_args.curriculum, len(data_args.train_data))


def preflight(model_args, data_args, training_args):
    """Raises a `ValueError` or `OSError`, from small files alone, for what would fail after minutes or days."""
    if model_args.model is not None:
        model_args.model = check_folder(model_args.model)  # of a run, its result
    if model_args.scratch is None:
        how = {"fp16": training_args.fp16, "use_cpu": training_args.use_cpu}
        how["attn_implementation"] = model_args.attn_implementation
        lora = (model_args.tuning, model_args.towers, model_args.targets)
        check_trainable(model_args.model, model_args.revision, *lora, model_args.dtype, **how)
        local = model_args.model is not None and Path(model_args.model).exists()
        if training_args.push_to_hub and local and model_args.tuning != "full":
            raise ValueError(
                "push_to_hub: the adapter's base is not on the Hub, so that nobody could load it. Publish the base "
                "and name it by its id, or use tuning full"
            )
    for spec in data_args.specs:
        check_files(place_spec(spec, data_args.data_dir))
    if training_args.dry_run or training_args.process_index != 0:
        return
    settings = {**asdict(model_args), **asdict(data_args), **training_args.to_dict()}
    # the order of dense supervision is drawn for a whole run
    finished = not data_args.dense_supervision and all(is_finished(args.output_dir) for args in runs(training_args))
    if training_args.seeds:  # the folder around theirs holds the result of no single run
        claim_run(
            training_args.output_dir, settings | {"seed": None, "world_size": training_args.world_size}, finished
        )
    for args in runs(training_args):
        claim_run(args.output_dir, settings | {"seed": args.seed, "world_size": training_args.world_size}, finished)
    if training_args.push_to_hub:
        claim_repo(*hub_target(training_args))


def hub_target(training_args):
    """Where the result is published: name of the repository, token, whether it is private, branch."""
    name = training_args.hub_model_id or Path(training_args.output_dir).resolve().name
    return name, training_args.hub_token, training_args.hub_private_repo, training_args.hub_revision


def runs(training_args):
    """The arguments of each seed's run."""
    if not training_args.seeds:
        return [training_args]
    copies = [copy.copy(training_args) for _ in training_args.seeds]
    for args, seed in zip(copies, training_args.seeds, strict=True):
        args.seed, args.output_dir = seed, str(Path(training_args.output_dir, f"seed-{seed}"))
    return copies
