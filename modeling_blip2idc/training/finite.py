"""No step is taken with a loss or a gradient that is not finite, on any process."""

import math

import torch
from torch import distributed


class FiniteSteps:
    """
    Watches the losses of a step and the norm of its gradient.

    An accelerator is asked once per step, for the norm that is logged anyway. A loss that is not finite can have a
    finite gradient (a token of probability 0): it is made visible in the gradient, which all processes share, so that
    they all stop at the same step and can tell each other what they know.

    Args:
        process_index (`int`):
            Of this process.
        world_size (`int`):
            Number of processes.
    """

    def __init__(self, process_index: int = 0, world_size: int = 1):
        self.process_index, self.world_size = process_index, world_size
        self._micro_batches = []  # of the step that is being taken: loss, row ids

    def note(self, loss: torch.Tensor, row_ids: list[str]) -> torch.Tensor:
        """The loss of a micro-batch, to go backward from: the same (`torch.Tensor`), or NaN if it is not finite."""
        self._micro_batches.append((loss.detach(), row_ids))
        return loss * torch.where(loss.detach().isfinite(), 1.0, math.nan)

    def check_loss(self) -> None:
        """Asks for the losses so far, on this process alone: for where the backward pass is also the step."""
        self._report([(self.process_index, float(loss), row_ids) for loss, row_ids in self._micro_batches])

    def check_step(self, grad_norm: torch.Tensor | float, scaler=None) -> None:
        """
        Ends a step before it is taken.

        Args:
            grad_norm (`torch.Tensor` or `float`):
                Norm of the gradient that all processes share, after scaling is undone.
            scaler (`torch.amp.GradScaler`, *optional*):
                Of float16. It leaves out steps whose gradient overflows, and tries a smaller scale: until 1, below
                which the gradient itself is not finite.

        Raises:
            `FloatingPointError`: names the rows of the losses that are not finite; if there is none, and the norm is
                not finite, those of the whole step.
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
