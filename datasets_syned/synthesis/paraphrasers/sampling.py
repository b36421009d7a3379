"""Sampling in which a row of a batch is a function of its own seed."""

from collections.abc import Sequence
from typing import Any


class GumbelSampling:
    """
    A logits processor of transformers after which the largest score is a sample: it adds noise of the Gumbel
    distribution to the scaled logits (Gumbel, 1954; "Gumbel-max trick"). So generation runs with `do_sample=False`.

    `generate(do_sample=True)` draws all rows of a batch from one generator, and a row then depends on its neighbours.
    Here each row has a generator of its own, on the CPU, so that neither the batch nor the device decides.

    Args:
        seeds (`Sequence[int]`): one per row.
        temperature (`float`): logits are divided by it.
        top_p (`float`): tokens are drawn from the fewest that have this probability together.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float):
        import torch
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.warpers = [TemperatureLogitsWarper(float(temperature))]
        if top_p < 1:
            self.warpers.append(TopPLogitsWarper(float(top_p)))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(rows, length)`): so far.
            scores (`torch.Tensor` of shape `(rows, vocabulary)`): logits of the next token.

        Returns:
            `torch.Tensor` of shape `(rows, vocabulary)`: in float32, `-inf` for tokens outside of `top_p`.
        """
        import torch

        scores = scores.float()
        for warper in self.warpers:
            scores = warper(input_ids, scores)
        # The logarithm of an exponential variable is Gumbel noise with the sign turned.
        waits = [torch.empty(scores.shape[1]).exponential_(generator=each) for each in self.generators]
        return scores - torch.stack(waits).log().to(scores.device)
