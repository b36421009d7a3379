"""`MuonWithAdamW`: who takes which parameter, schedules, and going on from a saved state."""

import io

import pytest
import torch
from torch import nn

from modeling_blip2idc.from_scratch import muon
from modeling_blip2idc.from_scratch.muon import MuonWithAdamW


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.query_tokens = nn.Parameter(torch.randn(1, 2, 4))
        self.embed_tokens = nn.Embedding(5, 4)
        self.patch_embedding = nn.Conv2d(3, 4, 2)
        self.conv = nn.Conv2d(4, 4, 1)
        self.hidden = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.pair_head = nn.Linear(4, 3)

    def forward(self, ids, image):
        x = self.conv(self.patch_embedding(image)).flatten(2).mean(-1) + self.embed_tokens(ids).mean(1)
        return self.pair_head(self.norm(self.hidden(x + self.query_tokens.sum((0, 1))))).square().mean()


def net():
    torch.manual_seed(0)
    return Net()


def batch(i):
    generator = torch.Generator().manual_seed(i)
    return torch.randint(5, (3, 2), generator=generator), torch.randn(3, 3, 4, 4, generator=generator)


def train(model, optimizer, steps, scheduler=None):
    for i in steps:
        optimizer.zero_grad()
        model(*batch(i)).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def names_in(part, model):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [[names[p] for p in group["params"]] for group in part.param_groups]


def test_each_parameter_is_in_exactly_one_part():
    model = net()
    optimizer = MuonWithAdamW(model.named_parameters(), 1e-3, 3e-3)
    matrices, adamw = optimizer.parts
    assert names_in(matrices, model) == [["hidden.weight"]]
    decayed, free = names_in(adamw, model)
    assert decayed == ["conv.weight", "pair_head.weight"]
    taken = ["hidden.weight", *decayed, *free]
    assert sorted(taken) == sorted(name for name, _ in model.named_parameters())
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.05, 0.05, 0.0]
    assert [g["lr"] for g in optimizer.param_groups] == [3e-3, 1e-3, 1e-3]


def test_on_a_blip2(tiny_model):
    named = list(tiny_model.named_parameters())
    parts = MuonWithAdamW(named, 1e-3, 3e-3).parts
    in_muon, in_adamw = ({p for group in part.param_groups for p in group["params"]} for part in parts)
    assert not in_muon & in_adamw and in_muon | in_adamw == {p for _, p in named}
    for name, parameter in named:
        hidden = parameter.ndim == 2 and "embed" not in name
        assert (parameter in in_muon) == hidden, name
    assert tiny_model.get_output_embeddings().weight in in_adamw


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def fast(request, monkeypatch):
    """Whether this processor multiplies in bfloat16 without emulating it."""
    monkeypatch.setattr(muon, "bfloat16_is_fast", lambda: request.param)
    return request.param


def test_the_parts_do_what_torchs_own_do(fast):
    """In float32 to the precision of bfloat16."""
    model, twin = net(), net()
    optimizer = MuonWithAdamW(model.named_parameters(), 1e-2, 3e-2, weight_decay=0.1, betas=(0.8, 0.9), eps=1e-6)
    parameters = dict(twin.named_parameters())
    hidden = parameters.pop("hidden.weight")
    free = [p for name, p in parameters.items() if name not in ("conv.weight", "pair_head.weight")]
    groups = [
        {"params": [parameters["conv.weight"], parameters["pair_head.weight"]], "weight_decay": 0.1},
        {"params": free, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=1e-2, betas=(0.8, 0.9), eps=1e-6)
    own = torch.optim.Muon([hidden], lr=3e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for i in range(4):
        train(model, optimizer, [i])
        twin.zero_grad()
        twin(*batch(i)).backward()
        adamw.step()
        own.step()
    exact = {"rtol": 0, "atol": 0 if fast else 3e-3}
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, **exact)


@pytest.mark.parametrize("shape", [(48, 16), (16, 48), (24, 24)])
def test_a_step_in_float32_is_torchs_to_the_precision_of_bfloat16(shape, monkeypatch):
    monkeypatch.setattr(muon, "bfloat16_is_fast", lambda: False)
    torch.manual_seed(0)
    gradients = torch.randn(3, *shape)
    ours, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    options = {"lr": 0.1, "weight_decay": 0.1}
    optimizers = muon.Muon([ours], **options), torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **options)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved = (theirs - 0.99**3).norm()
    assert moved > 0.1 and (ours - theirs).norm() < 0.02 * moved and not torch.equal(ours, theirs)


def test_a_scheduler_reaches_both_parts():
    model = net()
    optimizer = MuonWithAdamW(model.named_parameters(), 1e-3, 4e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    train(model, optimizer, range(3), scheduler)
    assert [[group["lr"] for group in part.param_groups] for part in optimizer.parts] == [[1e-3], [2.5e-4, 2.5e-4]]


def test_going_on_from_a_saved_state(fast, monkeypatch):
    def fresh(model):
        optimizer = MuonWithAdamW(model.named_parameters(), 1e-2, 3e-2)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.8**step)

    model = net()
    optimizer, scheduler = fresh(model)
    train(model, optimizer, range(3), scheduler)
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict(), scheduler.state_dict()], file)
    train(model, optimizer, range(3, 7), scheduler)

    monkeypatch.setattr(muon, "bfloat16_is_fast", lambda: not fast)  # the run keeps to what it began with
    file.seek(0)
    states = torch.load(file, weights_only=True)
    resumed = Net()
    optimizer, scheduler = fresh(resumed)
    for part, state in zip((resumed, optimizer, scheduler), states, strict=True):
        part.load_state_dict(state)
    train(resumed, optimizer, range(3, 7), scheduler)
    for (name, a), b in zip(model.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3e-2 * 0.8**7)


@pytest.mark.parametrize("shape", [(4, 4), (4,)])
def test_one_part_alone(shape):
    """An adapter has matrices only."""
    parameter = nn.Parameter(torch.ones(shape))
    optimizer = MuonWithAdamW([("x", parameter)], 1e-2, 1e-2)
    assert len(optimizer.parts) == 1
    assert optimizer.step(lambda: parameter.square().sum().backward()) is None
    assert not torch.equal(parameter, torch.ones(shape))
