"""`IDCTrainer`: nothing that is not finite reaches the weights, and the message says which rows it was."""

import math
import re

import pytest
import torch
from transformers import TrainerCallback

from datasets_syned import IDCCollator
from modeling_blip2idc import load_idc
from modeling_blip2idc.training.checkpoints import last_checkpoint
from modeling_blip2idc.training.finite import FiniteSteps
from tests.support.trainer_rows import rows_of, trainer_of, weights_of


class Break(TrainerCallback):
    """Makes a weight, or what flows back into it, infinite from a step on."""

    def __init__(self, step, in_gradient):
        self.step, self.in_gradient = step, in_gradient

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == self.step:
            weight = model.language_projection.weight
            if self.in_gradient:
                weight.register_hook(lambda gradient: gradient * math.inf)
            else:
                weight.data.fill_(math.inf)


class Broken(IDCCollator):
    """The image of `row-5` has no finite pixels."""

    def __call__(self, rows):
        batch = super().__call__(rows)
        batch["pixel_values"][[row["id"] == "row-5" for row in rows]] = math.inf
        return batch


@pytest.mark.parametrize(("in_gradient", "what"), [(False, "loss is nan"), (True, "norm of the gradient is inf")])
def test_the_run_stops_and_its_last_checkpoint_is_good(tiny_model, tiny_processor, tmp_path, in_gradient, what):
    trainer = trainer_of(
        tiny_model, tiny_processor, tmp_path, callbacks=[Break(3, in_gradient)], save_steps=1, max_steps=6,
        train_sampling_strategy="sequential",
    )  # fmt: skip
    with pytest.raises(
        FloatingPointError, match=rf"step 4: the {what}, rows row-0, row-1; .* {re.escape(repr(str(tmp_path)))}"
    ):
        trainer.train()
    checkpoint = last_checkpoint(tmp_path)
    assert checkpoint.endswith("checkpoint-3")
    assert all(p.isfinite().all() for p in load_idc(checkpoint)[0].parameters())


@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 0.0}, {"bf16": True}])
def test_only_the_row_that_broke_it_is_named_and_no_weight_is_touched(tiny_model, tiny_processor, tmp_path, options):
    """Found at the end of the step, in the third of its four batches."""
    trainer = trainer_of(
        tiny_model, tiny_processor, tmp_path, rows_of(8), Broken(tiny_processor), save_strategy="no", max_steps=2,
        gradient_accumulation_steps=4, per_device_train_batch_size=2, train_sampling_strategy="sequential", **options,
    )  # fmt: skip
    before = weights_of(tiny_model)
    with pytest.raises(FloatingPointError, match="step 1: the loss is nan, rows row-4, row-5;"):
        trainer.train()
    assert torch.equal(weights_of(tiny_model), before)


def test_where_the_backward_pass_is_the_step(tiny_model, tiny_processor, tmp_path, monkeypatch):
    """As with DeepSpeed: then each loss is asked for before it."""
    trainer = trainer_of(
        tiny_model, tiny_processor, tmp_path, rows_of(8), Broken(tiny_processor), save_strategy="no",
        train_sampling_strategy="sequential",
    )  # fmt: skip
    monkeypatch.setattr(trainer, "is_deepspeed_enabled", True)
    tiny_model.train()
    *fine, broken, _ = trainer.get_train_dataloader()
    for batch in fine:
        trainer.compute_loss(tiny_model, batch)
    with pytest.raises(FloatingPointError, match="the loss is nan, rows row-4, row-5"):
        trainer.compute_loss(tiny_model, broken)


class TestFiniteSteps:
    def losses(self, *values):
        steps = FiniteSteps()
        weight = torch.tensor(2.0, requires_grad=True)
        for i, value in enumerate(values):
            steps.note(weight * 0 + value, [f"row-{i}"]).backward()
        return steps, weight.grad

    def test_an_infinite_loss_with_a_finite_gradient(self):
        """As of a token whose probability is 0: its gradient is that of a softmax."""
        steps, gradient = self.losses(1.0, math.inf)
        assert gradient.isnan(), "which is what other processes see of it"
        with pytest.raises(FloatingPointError, match="the loss is inf, rows row-1$"):
            steps.check_step(gradient)

    def test_float16_tries_smaller_scales_first(self):
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
        scaler.scale(torch.ones(1))
        for _ in range(2):
            steps, _ = self.losses(1.0)
            steps.check_step(math.inf, scaler)
            scaler.update(scaler.get_scale() / 2)
        steps, _ = self.losses(1.0)
        with pytest.raises(FloatingPointError, match="the norm of the gradient is inf, rows row-0"):
            steps.check_step(math.inf, scaler)
        steps, gradient = self.losses(math.nan)
        with pytest.raises(FloatingPointError, match="the loss is nan"):
            steps.check_step(gradient, torch.amp.GradScaler("cpu"))
