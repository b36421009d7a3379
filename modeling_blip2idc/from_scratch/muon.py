"""Muon for the matrices, AdamW for the rest, as one optimizer: for training a small model from scratch."""

import math
from collections.abc import Callable, Iterable

import torch

STEPS, COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)  # of Newton and Schulz's iteration, as in `torch.optim.Muon`


def bfloat16_is_fast() -> bool:
    """Whether this CPU has instructions for bfloat16; without them, PyTorch emulates it, about 90 times slower."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class Muon(torch.optim.Muon):
    """
    `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"` that orthogonalises in float32 on a CPU that emulates
    bfloat16. A resumed run keeps the dtype that its first part had.
    """

    def __init__(self, params, lr: float, weight_decay: float):
        super().__init__(params, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        (group,) = self.param_groups
        group["float32"] = group["params"][0].device.type == "cpu" and not bfloat16_is_fast()

    @torch.no_grad()
    def step(self):
        (group,) = self.param_groups
        if not group["float32"]:
            return super().step()
        for parameter in group["params"]:
            if (gradient := parameter.grad) is None:
                continue
            state, momentum = self.state[parameter], group["momentum"]
            average = state.setdefault("momentum_buffer", torch.zeros_like(gradient)).lerp_(gradient, 1 - momentum)
            update = orthogonalised(gradient.lerp(average, momentum).float())
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-0.2 * math.sqrt(max(parameter.shape)) * group["lr"])


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """The orthogonal matrix near a matrix (`torch.Tensor` of shape `(rows, columns)`), in the matrix's dtype."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide, (a, b, c) = wide / wide.norm().clamp(min=1e-7), COEFFICIENTS
    for _ in range(STEPS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


class MuonWithAdamW(torch.optim.Optimizer):
    """
    Steps the hidden matrices with [`Muon`] and every other parameter with `torch.optim.AdamW`.

    Muon (Jordan et al., 2024) orthogonalises the momentum of a matrix. On the embedded model it learns as much in two
    minutes as AdamW in five (`docs/mini.md`). A scheduler scales both learning rates alike.

    Args:
        named_parameters (`Iterable[tuple[str, torch.nn.Parameter]]`):
            What is trained.
        lr (`float`):
            Of AdamW.
        muon_lr (`float`):
            Of Muon.
        weight_decay (`float`, *optional*, defaults to 0.05):
            Of matrices, in both.
        betas (`tuple[float, float]`, *optional*, defaults to `(0.9, 0.98)`):
            Of AdamW.
        eps (`float`, *optional*, defaults to 1e-8):
            Of AdamW.
        not_muon (`tuple[str, ...]`, *optional*):
            Parts of names of matrices that AdamW takes: embeddings and heads, as Muon's authors advise.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, torch.nn.Parameter]],
        lr: float,
        muon_lr: float,
        weight_decay: float = 0.05,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        not_muon: tuple[str, ...] = ("embed", "query_tokens", "lm_head", "_head."),
    ):
        muon, decayed, free = [], [], []
        for name, parameter in named_parameters:
            excluded = any(part in name for part in not_muon)
            if parameter.ndim == 2 and not excluded:
                muon.append(parameter)
            elif parameter.ndim >= 2 and "embed" not in name and "query_tokens" not in name:
                decayed.append(parameter)
            else:
                free.append(parameter)
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
        self.parts = []
        if muon:
            self.parts.append(Muon(muon, lr=muon_lr, weight_decay=weight_decay))
        if decayed or free:
            self.parts.append(
                torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, betas=betas, eps=eps)
            )
        super().__init__([{"params": [*muon, *decayed, *free]}], {})
        self._share_groups()

    def _share_groups(self):
        # the very dictionaries of the parts, so that a scheduler that writes a learning rate here reaches them
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable | None = None):
        """One step of each part; returns what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()


__all__ = ["Muon", "MuonWithAdamW"]
