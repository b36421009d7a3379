"""`Seq2SeqTrainer` for difference captioning: evaluation generates from the images alone."""

import math
from contextlib import contextmanager

import torch
from transformers import Seq2SeqTrainer

from .optimizer_blip2idc import MuonWithAdamW


class IDCTrainer(Seq2SeqTrainer):
    """`Seq2SeqTrainer` with three differences.

    - With `predict_with_generate`, the stock class hands `input_ids` to `generate`, which for a decoder-only model
      hold the reference caption: predictions would begin with it. Here generation gets the image tokens, BOS and the
      prompt only.
    - A batch with `patch_labels` and `pair_labels` adds the loss of `model.auxiliary`
      ([`~auxiliary_blip2idc.DifferenceAuxiliary`]), weighted by `auxiliary_weights`.
    - `muon_lr` switches to [`~optimizer_blip2idc.MuonWithAdamW`].

    Args:
        eval_collator (`Callable`, *optional*): collates rows for evaluation and prediction; by default `data_collator`.
        auxiliary_weights (`tuple[float, float]`, *optional*, defaults to `(0.5, 0.3)`): of patches and of pairs.
        muon_lr (`float`, *optional*): learning rate of the matrices; AdamW for everything when `None`.
        args, kwargs: as for `Seq2SeqTrainer`.
    """

    def __init__(self, *args, eval_collator=None, auxiliary_weights=(0.5, 0.3), muon_lr=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.eval_collator = eval_collator or self.data_collator
        self.auxiliary_weights, self.muon_lr = auxiliary_weights, muon_lr

    def create_optimizer(self, model=None):
        if self.optimizer is None and self.muon_lr is not None:
            named = [(n, p) for n, p in (model or self.model).named_parameters() if p.requires_grad]
            self.optimizer = MuonWithAdamW(
                named,
                lr=self.args.learning_rate,
                muon_lr=self.muon_lr,
                weight_decay=self.args.weight_decay,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
            )
        return super().create_optimizer(model)

    def get_eval_dataloader(self, eval_dataset=None):
        with self._collating_for_evaluation():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset):
        with self._collating_for_evaluation():
            return super().get_test_dataloader(test_dataset)

    @contextmanager
    def _collating_for_evaluation(self):
        train_collator, self.data_collator = self.data_collator, self.eval_collator
        try:
            yield
        finally:
            self.data_collator = train_collator

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = [inputs.pop(name, None) for name in ("patch_labels", "pair_labels")]
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if labels[0] is not None:
            auxiliary = self.accelerator.unwrap_model(model).auxiliary
            for weight, part in zip(self.auxiliary_weights, auxiliary(outputs, *labels), strict=True):
                loss = loss + weight * part
        if model.training and not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.state.global_step}; the last checkpoint in "
                f"{self.args.output_dir!r} is good: resume from it with a lower learning rate or a wider dtype"
            )
        return (loss, outputs) if return_outputs else loss

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
