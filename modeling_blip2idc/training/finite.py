"""No step is taken with a loss or a gradient that is not finite, on any process."""

import math

import torch
from torch import distributed


class FiniteSteps:
    """
    Watches the losses of a step and the norm of its gradient. The accelerator is asked once per step, for the norm
    that is logged anyway. A loss that is not finite can have a finite gradient (a token of probability 0), so such a
    loss makes the gradient NaN. All processes share the gradient: they stop at the same step and can tell each other
    which rows it was.
    """

    def __init__(self, process_index: int = 0, world_size: int = 1):
        self.process_index, self.world_size = process_index, world_size
        self._micro_batches = []  # of the current step: loss, row ids

    def note(self, loss: torch.Tensor, row_ids: list[str]) -> torch.Tensor:
        """Returns the loss of a micro-batch (`torch.Tensor`) to go backward from: NaN where it is not finite."""
        self._micro_batches.append((loss.detach(), row_ids))
        return loss * torch.where(loss.detach().isfinite(), 1.0, math.nan)

    def check_loss(self) -> None:
        """Checks the losses so far on this process alone, for DeepSpeed, whose backward pass is also the step."""
        self._report([(self.process_index, float(loss), row_ids) for loss, row_ids in self._micro_batches])

    def check_step(self, grad_norm: torch.Tensor | float, scaler: torch.amp.GradScaler | None = None) -> None:
        """
        Ends a step before the weights change. If the norm of the gradient (without the scale of float16) is not
        finite, raises a `FloatingPointError` that names the rows whose loss is not finite, or else all rows of the
        step. The scaler of float16 skips a step whose gradient overflows and lowers its scale; below a scale of 1 the
        gradient itself is not finite.
        """
        batches, self._micro_batches = self._micro_batches, []
        if math.isfinite(float(grad_norm)):
            return
        batches = [(self.process_index, float(loss), row_ids) for loss, row_ids in batches]
        if self.world_size > 1:
            gathered = [None] * self.world_size
            distributed.all_gather_object(gathered, batches)
            batches = [batch for part in gathered for batch in part]
        self._report(batches)
        if scaler is None or scaler.get_scale() < 1:
            raise FloatingPointError(f"the norm of the gradient is {float(grad_norm)}, {_rows(batches)}")

    def _report(self, batches):
        broken = [batch for batch in batches if not math.isfinite(batch[1])]
        if broken:
            process, loss, _ = broken[0]
            where = f" on process {process}" if self.world_size > 1 else ""
            raise FloatingPointError(f"the loss is {loss}{where}, {_rows(broken)}")


def _rows(batches):
    return "rows " + ", ".join(name for _, _, row_ids in batches for name in row_ids)


__all__ = ["FiniteSteps"]
