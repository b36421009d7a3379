"""`DifferenceAuxiliary`: exact losses on hand-made tokens."""

import math
from types import SimpleNamespace

import pytest
import torch

from modeling_blip2idc.from_scratch.auxiliary_heads import DifferenceAuxiliary

PATCH, PAIR = {"present": 2, "change": 3}, {"category": 4}


def outputs(tokens, queries):
    """As a BLIP-2's: a class token before the patches."""
    tokens = torch.cat([torch.full_like(tokens[:, :1], 1e6), tokens], 1)
    return SimpleNamespace(
        vision_outputs=SimpleNamespace(last_hidden_state=tokens),
        qformer_outputs=SimpleNamespace(last_hidden_state=queries),
    )


def heads(class_weights=None, zero=True):
    torch.manual_seed(0)
    module = DifferenceAuxiliary(3, 2, 2, PATCH, PAIR, class_weights)
    if zero:
        for parameter in module.parameters():
            torch.nn.init.zeros_(parameter)
    return module


def test_undecided_heads_lose_the_logarithm_of_the_classes():
    patch, pair = heads()(outputs(torch.randn(2, 6, 3), torch.randn(2, 2, 2)), *labels())
    assert patch.item() == pytest.approx(math.log(2) + math.log(3))
    assert pair.item() == pytest.approx(math.log(4))


def labels(present=1, change=2):
    patches = torch.tensor([present, change]).repeat(2, 6, 1)
    return patches, torch.tensor([[3], [0]])


def test_each_label_reads_its_own_logits():
    module = heads()
    with torch.no_grad():
        module.patch_head.bias.copy_(torch.tensor([0.0, 50, 0, 0, 50]))  # present = 1, change = 2
        module.pair_head.bias.copy_(torch.tensor([0.0, 0, 0, 50]))
    given = outputs(torch.zeros(2, 6, 3), torch.zeros(2, 2, 2))
    patch, pair = module(given, *labels())
    assert patch.item() == pytest.approx(0, abs=1e-6)
    assert pair.item() == pytest.approx(25)  # right for one of two
    assert module(given, *labels(present=0))[0].item() == pytest.approx(50)


def test_ignored_labels_do_not_count():
    module = heads(zero=False)
    tokens, queries = torch.randn(2, 6, 3), torch.randn(2, 2, 2)
    patches, pairs = labels()
    expected = module(outputs(tokens[:, :3], queries), patches[:, :3], pairs)[0]
    patches[:, 3:] = -100
    assert module(outputs(tokens, queries), patches, pairs)[0].item() == pytest.approx(expected.item(), rel=1e-5)
    patch, pair = module(outputs(tokens, queries), torch.full_like(patches, -100), torch.full_like(pairs, -100))
    assert patch.item() == pair.item() == 0  # and not NaN
    (patch + pair).backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


def test_class_weights():
    module = heads({"change": [0.25, 1.0, 1.0]})
    given = outputs(torch.zeros(2, 6, 3), torch.zeros(2, 2, 2))
    assert module(given, *labels(change=0))[0].item() == pytest.approx(math.log(2) + 0.25 * math.log(3))
    assert module(given, *labels(change=1))[0].item() == pytest.approx(math.log(2) + math.log(3))
    assert "weight_change" in module.state_dict()
