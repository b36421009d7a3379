"""`Seq2SeqTrainer` for difference captioning: evaluation generates from the images alone."""

import json
import math
import os
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import Seq2SeqTrainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from .optimizer_blip2idc import MuonWithAdamW


class IDCTrainer(Seq2SeqTrainer):
    """
    `Seq2SeqTrainer` with what difference captioning, and runs of days, need.

    - With `predict_with_generate`, the stock class hands `input_ids` to `generate`, which for a decoder-only model
      hold the reference caption: predictions would begin with it. Here generation gets the image tokens, BOS and the
      prompt only.
    - A batch with `patch_labels` and `pair_labels` adds the loss of `model.auxiliary`
      ([`~auxiliary_blip2idc.DifferenceAuxiliary`]), weighted by `auxiliary_weights`.
    - `muon_lr` switches to [`~optimizer_blip2idc.MuonWithAdamW`].
    - A loss or a gradient that is not finite ends the run with a `FloatingPointError` that names the step and the rows
      (their column `id`), before any weight is touched.
    - A `data_collator` with `set_epoch` is told each epoch: a resumed run then draws what an uninterrupted one does.
    - Resumed from the checkpoint of its last step, a run does not train on.

    Args:
        args, kwargs:
            As for `Seq2SeqTrainer`.
        eval_collator (`Callable`, *optional*):
            Collates rows for evaluation and prediction; by default `data_collator`.
        auxiliary_weights (`tuple[float, float]`, *optional*, defaults to `(0.5, 0.3)`):
            Of patches and of pairs.
        muon_lr (`float`, *optional*):
            Learning rate of the matrices. By default AdamW takes everything.

    Raises:
        `ValueError`: for `dataloader_persistent_workers` and a collator with `set_epoch`, which could not reach it.
    """

    def __init__(self, *args, eval_collator=None, auxiliary_weights=(0.5, 0.3), muon_lr=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.eval_collator = eval_collator or self.data_collator
        self.auxiliary_weights, self.muon_lr = auxiliary_weights, muon_lr
        self._row_ids = (None, [])  # step, and what its batches hold
        if not self.model.config.use_decoder_only_language_model:
            # T5's loss is the mean of its batch; the Trainer would take it for its share of the whole step's
            self.model_accepts_loss_kwargs = False
        if hasattr(self.data_collator, "set_epoch"):
            if self.args.dataloader_persistent_workers:
                raise ValueError(
                    "dataloader_persistent_workers would keep copies of the collator that draw the first epoch's "
                    "references again in every epoch: set it to false"
                )
            self.add_callback(_EpochToCollator(self.data_collator))

    def create_optimizer(self, model=None):
        if self.optimizer is None and self.muon_lr is not None:
            named = [(n, p) for n, p in (model or self.model).named_parameters() if p.requires_grad]
            self.optimizer = MuonWithAdamW(
                named,
                lr=self.args.learning_rate,
                muon_lr=self.muon_lr,
                weight_decay=self.args.weight_decay,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
            )
        return super().create_optimizer(model)

    def get_train_dataloader(self):
        with self._collating(_WithRowIds(self.data_collator)):
            return super().get_train_dataloader()

    def get_eval_dataloader(self, eval_dataset=None):
        with self._collating(self.eval_collator):
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset):
        with self._collating(self.eval_collator):
            return super().get_test_dataloader(test_dataset)

    @contextmanager
    def _collating(self, collator):
        usual, self.data_collator = self.data_collator, collator
        try:
            yield
        finally:
            self.data_collator = usual

    def _run_epoch(self, *args, **kwargs):
        # stock: a checkpoint of the last step that is not the end of an epoch is trained on for one more step
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = [inputs.pop(name, None) for name in ("patch_labels", "pair_labels")]
        self._note_rows(inputs.pop("row_ids", []))
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if labels[0] is not None:
            auxiliary = self.accelerator.unwrap_model(model).auxiliary
            # the captions' loss has been divided by the tokens of all batches of the step, and the sum is left alone
            batches = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
            for weight, part in zip(self.auxiliary_weights, auxiliary(outputs, *labels), strict=True):
                loss = loss + weight * part / batches
        if model.training:
            self._check_finite("loss", loss.detach().mean().item())
        return (loss, outputs) if return_outputs else loss

    def _get_grad_norm(self, model, grad_norm=None):
        grad_norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if grad_norm is not None and getattr(self.accelerator, "scaler", None) is None:  # a scaler skips the step
            self._check_finite("norm of the gradient", float(grad_norm))
        return grad_norm

    def _note_rows(self, ids):
        step, before = self._row_ids
        self._row_ids = (self.state.global_step, [*before, *ids] if step == self.state.global_step else ids)

    def _check_finite(self, what, value):
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the {what} is {value} at step {self.state.global_step + 1}, rows "
                f"{', '.join(map(str, self._row_ids[1]))}; the last checkpoint in {self.args.output_dir!r} is from "
                "before: resume from it with a lower learning rate or a wider dtype"
            )

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None, **gen_kwargs):
        if not self.args.predict_with_generate or prediction_loss_only:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys=ignore_keys)
        inputs = self._prepare_inputs(inputs)
        gen_kwargs = {k: v for k, v in {**getattr(self, "_gen_kwargs", {}), **gen_kwargs}.items() if v is not None}
        if self.args.generation_config is not None:
            gen_kwargs.setdefault("generation_config", self.args.generation_config)
        unwrapped = self.accelerator.unwrap_model(model)
        decoder_only = unwrapped.config.use_decoder_only_language_model
        # image tokens, BOS and prompt are the same for every row; what follows is the reference
        prompt = int((inputs["labels"][0] != -100).nonzero()[0]) if decoder_only else inputs["input_ids"].shape[1]
        with torch.no_grad(), self.compute_loss_context_manager():
            generated = unwrapped.generate(
                pixel_values=inputs["pixel_values"],
                input_ids=inputs["input_ids"][:, :prompt],
                attention_mask=inputs["attention_mask"][:, :prompt],
                **gen_kwargs,
            )
            loss = model(**inputs).loss.detach().mean()
        return loss, generated[:, prompt if decoder_only else 0 :].contiguous(), inputs["labels"]


class _EpochToCollator(TrainerCallback):
    def __init__(self, collator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.collator.set_epoch(int(state.epoch or 0))  # a fraction when resumed within an epoch


class _WithRowIds:
    """Another collator's batches, and which rows they are, for messages."""

    def __init__(self, collator):
        self.collator = collator

    def __call__(self, rows):
        batch = self.collator(rows)
        batch["row_ids"] = [str(row["id"]) for row in rows if "id" in row]
        return batch


def last_checkpoint(folder: str | os.PathLike) -> str | None:
    """
    The newest checkpoint of a run that is whole. (`transformers.trainer_utils.get_last_checkpoint` also returns one
    that was being written when the run was killed.)

    Args:
        folder (`str` or `os.PathLike`):
            `output_dir` of the run; may be missing.

    Returns:
        `str` or `None`: its folder; `None` when there is none.
    """
    numbers = (path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-") for path in Path(folder).glob("checkpoint-*"))
    for number in sorted((int(number) for number in numbers if number.isdecimal()), reverse=True):
        checkpoint = Path(folder) / f"{PREFIX_CHECKPOINT_DIR}-{number}"
        try:  # what the Trainer writes last
            json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return str(checkpoint)
    return None


__all__ = ["IDCTrainer", "last_checkpoint"]
