"""`Seq2SeqTrainer` for difference captioning: evaluation generates from the images and the prompt alone."""

import copy

import torch
from torch.distributed.fsdp import FSDPModule
from torch.nn import functional as F
from torch.utils.data import IterableDataset, SequentialSampler
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

from ..from_scratch.muon import MuonWithAdamW
from .checkpoints import reading
from .data_loading import IGNORE, CollatedBatches, EndlessStream, EpochToCollator, SeededLengthGroups, prompts_of
from .finite import FiniteSteps
from .sharding import prepare_sharding, save_sharded

AUXILIARY = ("patch_labels", "pair_labels")


class IDCTrainer(Seq2SeqTrainer):
    """
    `Seq2SeqTrainer` with what difference captioning, and runs of days, need.

    - Generation gets each row's image tokens, BOS and prompt only, padded on the left. (The stock class hands
      `input_ids` to `generate`. For a decoder-only model they hold the reference caption: predictions would begin
      with it.)
    - Each token of a caption counts the same, in any batch, accumulation step or process, for both families of
      language models, and in the evaluation's loss. Logits are computed from the first label on.
    - Evaluation keeps the order of the rows and counts each once. With `num_return_sequences=n` each row has `n`
      predictions, next to each other, and its labels are there `n` times. Rows without references are captioned, too.
      A stream is evaluated by a single process.
    - A loss or a gradient that is not finite ends the run on all processes with a `FloatingPointError` that names the
      step and the rows (their column `id`), before any weight is touched.
    - A `data_collator` with `set_epoch` is told each epoch: a resumed run draws what an uninterrupted one does.
    - An iterable `train_dataset` is read again and again, each row once per pass ([`EndlessStream`]).
    - `train_sampling_strategy="group_by_length"` orders training only, the same in all processes and when resumed.
    - Resumed from the checkpoint of its last step, a run does not train on. A checkpoint whose `trainer_state.json`
      exists has the files of all processes.
    - With FSDP (version 2), what is saved is what one process would save.
    - A batch with `patch_labels` and `pair_labels` adds the loss of `model.auxiliary` ([`DifferenceAuxiliary`]).

    Args:
        model, args, kwargs:
            As for `Seq2SeqTrainer`. `args` are copied and stay as they are.
        eval_collator (`Callable`, *optional*, defaults to `data_collator`):
            Collates rows for evaluation and prediction.
        auxiliary_weights (`tuple[float, float]`, *optional*, defaults to `(0.5, 0.3)`):
            Of the auxiliary losses of patches and of pairs.
        muon_lr (`float`, *optional*):
            Learning rate of the matrices under [`MuonWithAdamW`]. By default AdamW takes everything.

    Raises:
        `ValueError`: for settings under which the above does not hold.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self, model=None, args=None, *, eval_collator=None, auxiliary_weights=(0.5, 0.3), muon_lr=None, **kwargs
    ):
        args = Seq2SeqTrainingArguments() if args is None else copy.copy(args)
        # stock: asks the accelerator after each micro-batch, and logs something else than it found
        args.logging_nan_inf_filter = False
        # each trainable parameter is used in each step, and a search would miss the auxiliary heads
        if args.ddp_find_unused_parameters is None:
            args.ddp_find_unused_parameters = False
        super().__init__(model, args, **kwargs)
        self.eval_collator = eval_collator or self.data_collator
        self.auxiliary_weights, self.muon_lr = auxiliary_weights, muon_lr
        self.decoder_only = self.model.config.use_decoder_only_language_model
        # count all labels of a step: the first is -100 for a decoder-only model, and a token for T5
        self.model_accepts_loss_kwargs, self._loss_shifts_labels = True, False
        self._finite = FiniteSteps(self.args.process_index, self.args.world_size)
        self._row_losses, self._sequences = [], 1  # of the current evaluation: losses and counts; captions of a row
        self._length_groups = None
        # each process reads a stream and takes its rows; row ids cannot be sent around as tensors are
        self.accelerator.dataloader_config.dispatch_batches = False
        if isinstance(self.train_dataset, IterableDataset):
            self.train_dataset = EndlessStream(self.train_dataset)
        if hasattr(self.data_collator, "set_epoch"):
            self.add_callback(EpochToCollator(self.data_collator))
        self._check_settings()
        if self.is_fsdp_enabled:
            prepare_sharding(self.accelerator.state.fsdp_plugin, self.model)

    def _check_settings(self):
        args, rows = self.args, self.train_dataset
        if self.compute_loss_func is not None:
            raise ValueError("compute_loss_func: IDCTrainer has a loss of its own, override compute_loss instead")
        if args.n_gpu > 1:
            raise ValueError(
                f"one process and {args.n_gpu} GPUs: start one for each (torchrun --nproc_per_node {args.n_gpu}), or "
                "show it one of them (CUDA_VISIBLE_DEVICES=0)"
            )
        if args.fsdp and not self.is_fsdp_enabled:
            raise ValueError("fsdp: accelerate shards models on more than one GPU; on CPUs leave it out")
        if isinstance(rows, EndlessStream):
            shards = getattr(rows.stream, "num_shards", args.dataloader_num_workers)
            if args.dataloader_num_workers > shards:
                raise ValueError(
                    f"dataloader_num_workers is {args.dataloader_num_workers} and the stream has {shards} shards, "
                    f"which workers share out: at most {shards}"
                )
        elif args.dataloader_persistent_workers and hasattr(self.data_collator, "set_epoch"):
            raise ValueError(
                "dataloader_persistent_workers draws the first epoch's references in each: set it to false"
            )

    def create_optimizer(self, model=None):
        if self.optimizer is None and self.muon_lr is not None:
            named = [(n, p) for n, p in (model or self.model).named_parameters() if p.requires_grad]
            adam = {"betas": (self.args.adam_beta1, self.args.adam_beta2), "eps": self.args.adam_epsilon}
            rates = {"lr": self.args.learning_rate, "muon_lr": self.muon_lr, "weight_decay": self.args.weight_decay}
            self.optimizer = MuonWithAdamW(named, **rates, **adam)
        return super().create_optimizer(model)

    # --- what is read, and in which order

    def get_train_dataloader(self):
        self._train_batches = CollatedBatches(self.data_collator, self.decoder_only, training=True)
        return self._collating(self._train_batches, super().get_train_dataloader)

    def get_eval_dataloader(self, *args, **kwargs):
        return self._collating(None, super().get_eval_dataloader, *args, **kwargs)

    def get_test_dataloader(self, *args, **kwargs):
        return self._collating(None, super().get_test_dataloader, *args, **kwargs)

    def _collating(self, train_batches, make_loader, *args, **kwargs):
        usual = self.data_collator, self.args.dataloader_drop_last
        self.data_collator = train_batches or CollatedBatches(self.eval_collator, self.decoder_only)
        self.args.dataloader_drop_last &= train_batches is not None  # stock: evaluations lose their last rows, too
        try:
            return make_loader(*args, **kwargs)
        finally:
            self.data_collator, self.args.dataloader_drop_last = usual

    def _get_train_sampler(self, train_dataset=None):
        rows, args = self.train_dataset if train_dataset is None else train_dataset, self.args
        if args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        if args.length_column_name not in getattr(rows, "column_names", ()):
            column = args.length_column_name
            raise ValueError(f"train_sampling_strategy 'group_by_length' needs a column {column!r} of caption lengths")
        step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        seed = args.seed if args.data_seed is None else args.data_seed
        self._length_groups = SeededLengthGroups(step, rows[args.length_column_name], seed)
        return self._length_groups

    def _get_eval_sampler(self, eval_dataset):
        return SequentialSampler(eval_dataset)  # stock: captions in another order than the rows, if grouped by length

    def _run_epoch(self, *args, **kwargs):
        # stock: a checkpoint of the last step that is not the end of an epoch is trained on for one more step
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        if self._length_groups is not None:  # stock: with several processes, not in an epoch that is resumed
            self._length_groups.set_epoch(kwargs["epoch"])
        if isinstance(self.train_dataset, EndlessStream) and kwargs["resume_from_checkpoint"] is not None:
            self._train_batches.skip_first(kwargs["steps_trained_in_current_epoch"])
        super()._run_epoch(*args, **kwargs)

    # --- losses

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        row_ids = inputs.pop("row_ids", [])
        dense = [inputs.pop(name, None) for name in AUXILIARY]
        smoothing = self.args.label_smoothing_factor
        losses, targets, outputs = self._token_losses(model, inputs, inputs.pop("labels"), smoothing)
        if num_items_in_batch is None:
            loss = losses.sum() / targets.ne(IGNORE).sum()
        else:
            loss = losses.sum() / num_items_in_batch
            if self.args.average_tokens_across_devices:  # gradients will be averaged, and it is a share of the sum
                loss = loss * self.accelerator.num_processes
        if dense[0] is not None:
            auxiliary = self.accelerator.unwrap_model(model).auxiliary
            # the captions' loss has been divided by the tokens of all batches of the step, and the sum is left alone
            batches = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
            for weight, part in zip(self.auxiliary_weights, auxiliary(outputs, *dense), strict=True):
                loss = loss + weight * part / batches
        if model.training:
            loss = self._finite.note(loss, row_ids)
            if self.is_deepspeed_enabled:
                self._stopping(self._finite.check_loss)
        return (loss, outputs) if return_outputs else loss

    def _token_losses(self, model, inputs, labels, smoothing=0.0):
        """Losses of shape (batch, tokens), 0 where the targets, which are returned as well, are -100; and outputs."""
        if self.decoder_only:
            start = inputs.pop("caption_start", 1)
            targets = F.pad(labels[:, start:], (0, 1), value=IGNORE)  # the last token predicts nothing
            outputs = model(**inputs, logits_to_keep=targets.shape[1], use_cache=False)
        else:
            language_model = self.accelerator.unwrap_model(model).language_model
            decoder_input_ids = language_model.prepare_decoder_input_ids_from_labels(labels)
            targets, outputs = labels, model(**inputs, decoder_input_ids=decoder_input_ids, use_cache=False)
        logits = outputs.logits.flatten(0, 1).float()
        losses = F.cross_entropy(
            logits, targets.flatten(), ignore_index=IGNORE, reduction="none", label_smoothing=smoothing
        )
        return losses.view_as(targets), targets, outputs

    def _get_grad_norm(self, model, grad_norm=None):
        grad_norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        norm = 0.0 if grad_norm is None else grad_norm  # DeepSpeed may not tell
        self._stopping(self._finite.check_step, norm, self.accelerator.scaler)
        return grad_norm

    def _stopping(self, check, *args):
        try:
            check(*args)
        except FloatingPointError as error:
            raise FloatingPointError(
                f"step {self.state.global_step + 1}: {error}; the last checkpoint in {self.args.output_dir!r} is from "
                "before: resume from it with a lower learning rate or a wider dtype"
            ) from error

    # --- evaluation

    def evaluation_loop(self, dataloader, description, *args, metric_key_prefix="eval", **kwargs):
        if isinstance(dataloader.dataset, IterableDataset) and self.args.world_size > 1:
            raise ValueError(f"{description}: several processes cannot share a stream: load its rows as a whole")
        self.gather_function = self._gather
        self._row_losses, self._sequences = [], 1
        output = super().evaluation_loop(dataloader, description, *args, metric_key_prefix=metric_key_prefix, **kwargs)
        if self._row_losses:
            total, tokens = torch.cat(self._row_losses).cpu().double().sum(0).tolist()
            output.metrics[f"{metric_key_prefix}_loss"] = total / tokens  # stock: a mean of means
        return output

    def _gather(self, tensor):
        # ids and labels have a row for each sequence; the last batch is cut to the rows that there are
        each = self._sequences if tensor.ndim == 2 else 1
        return self.accelerator.gather_for_metrics(tensor.unflatten(0, (-1, each))).flatten(0, 1)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None, **gen_kwargs):
        inputs = self._prepare_inputs(inputs)
        for name in AUXILIARY:
            inputs.pop(name, None)
        labels, loss, generated = inputs.pop("labels", None), None, None
        generates = self.args.predict_with_generate and not prediction_loss_only
        if labels is None and not generates:
            raise ValueError("without references there is no loss: set predict_with_generate to get captions")
        with torch.no_grad(), self.compute_loss_context_manager():
            if generates:
                generated = self._generate(model, inputs, labels, gen_kwargs)
            if labels is not None:
                losses, targets, _ = self._token_losses(model, inputs, labels)
                rows = torch.stack([losses.sum(1), targets.ne(IGNORE).sum(1)], dim=1)
                self._row_losses.append(self.accelerator.gather_for_metrics(rows))
                loss = rows[:, 0].sum() / rows[:, 1].sum()
        both = generated is not None and labels is not None
        return loss, generated, labels.repeat_interleave(self._sequences, 0) if both else None

    def _generate(self, model, inputs, labels, gen_kwargs):
        """New tokens of each row (`torch.LongTensor` of shape `(rows * num_return_sequences, length)`)."""
        gen_kwargs = {k: v for k, v in {**getattr(self, "_gen_kwargs", {}), **gen_kwargs}.items() if v is not None}
        if self.args.generation_config is not None:
            gen_kwargs.setdefault("generation_config", self.args.generation_config)
        prompt, length = {name: value for name, value in inputs.items() if name != "caption_start"}, 0
        if self.decoder_only:
            prompt |= prompts_of(prompt["input_ids"], prompt["attention_mask"], labels)
            length = prompt["input_ids"].shape[1]
        gen_kwargs["return_dict_in_generate"] = False
        ids = self.accelerator.unwrap_model(model).generate(**prompt, **gen_kwargs)
        self._sequences = len(ids) // len(prompt["pixel_values"])
        return ids[:, length:].contiguous()

    # --- checkpoints

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        with reading(resume_from_checkpoint, "*model*.safetensors", "*model*.bin"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint):
        with reading(checkpoint, "optimizer*", "scheduler.pt"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint):
        with reading(checkpoint, f"rng_state_{self.args.process_index}.pth", "rng_state.pth"):
            super()._load_rng_state(checkpoint)

    def _save_rng_state(self, output_dir):
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()  # trainer_state.json comes next, and says that the checkpoint is whole

    def save_model(self, output_dir=None, _internal_call=False):
        if not isinstance(self.model, FSDPModule):
            return super().save_model(output_dir, _internal_call)
        # stock: collects the frozen weights, too; and with SHARDED_STATE_DICT saves nothing
        save_sharded(self.model, lambda weights: self._save(output_dir or self.args.output_dir, weights))
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save", revision=self.args.hub_revision)


__all__ = ["IDCTrainer"]
