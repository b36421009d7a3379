"""Dense auxiliary supervision: what makes a tiny BLIP-2 learn differences from nothing. Used in training only.

Captions alone do not start a small model trained from scratch (they carry a few bits for 64 patches); what a renderer
knows about every patch does. The heads live beside the model and are dropped afterwards, so that the architecture
stays plain BLIP-2.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

IGNORE = -100


class DifferenceAuxiliary(nn.Module):
    """
    Linear heads on the vision tokens and on the Q-Former's output, and their loss.

    Args:
        vision_size (`int`), query_size (`int`):
            Widths of the vision tower and of the Q-Former.
        num_query_tokens (`int`):
            Number of query tokens.
        patch_classes (`dict[str, int]`), pair_classes (`dict[str, int]`):
            Name and number of classes of each label of a patch, and of a pair.
        class_weights (`dict[str, list[float]]`, *optional*):
            Of the cross entropy, by label name.
    """

    def __init__(
        self,
        vision_size: int,
        query_size: int,
        num_query_tokens: int,
        patch_classes: Mapping[str, int],
        pair_classes: Mapping[str, int],
        class_weights: Mapping[str, Sequence[float]] | None = None,
    ):
        super().__init__()
        self.patch_classes, self.pair_classes = dict(patch_classes), dict(pair_classes)
        self.patch_head = nn.Linear(vision_size, sum(self.patch_classes.values()))
        self.pair_head = nn.Linear(query_size * num_query_tokens, sum(self.pair_classes.values()))
        for name, weights in (class_weights or {}).items():
            self.register_buffer(f"weight_{name}", torch.tensor(weights, dtype=torch.float32))

    def forward(
        self, outputs, patch_labels: torch.Tensor, pair_labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The losses of patches and of pairs, each a sum over the labels' mean cross entropies.

        Args:
            outputs (`Blip2ForConditionalGenerationModelOutput`):
                Of the model's forward pass.
            patch_labels (`torch.LongTensor` of shape `(batch, patches, len(patch_classes))`):
                -100 is ignored.
            pair_labels (`torch.LongTensor` of shape `(batch, len(pair_classes))`):
                -100 is ignored.
        """
        tokens = outputs.vision_outputs.last_hidden_state[:, 1:]  # (batch, patches, vision_size)
        queries = outputs.qformer_outputs.last_hidden_state.flatten(1)  # (batch, queries * query_size)
        patch = self._loss(self.patch_head(tokens).flatten(0, 1), patch_labels.flatten(0, 1), self.patch_classes)
        pair = self._loss(self.pair_head(queries), pair_labels, self.pair_classes)
        return patch, pair

    def _loss(self, logits, labels, classes):
        total = 0.0
        for i, (name, part) in enumerate(zip(classes, logits.split(list(classes.values()), dim=1), strict=True)):
            weight = getattr(self, f"weight_{name}", None)
            loss = nn.functional.cross_entropy(part, labels[:, i], weight, ignore_index=IGNORE, reduction="sum")
            total = total + loss / (labels[:, i] != IGNORE).sum().clamp(min=1)
        return total


__all__ = ["DifferenceAuxiliary"]
