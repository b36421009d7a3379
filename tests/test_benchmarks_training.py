"""The peer of `benchmarks/training.py`: what its text is, that it takes our step, and how FLOPs are counted."""

import argparse
import subprocess
import sys

import numpy as np
import pytest
import torch
from peft import get_peft_model
from PIL import Image
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import Seq2SeqTrainingArguments

from benchmarks import authors_loop
from benchmarks.authors_loop import AuthorsLoop
from benchmarks.training import measure, report
from benchmarks.training_geometries import CAPTIONS, build, count_flops
from datasets_syned.training.collator import IDCCollator
from modeling_blip2idc.loading.lora import lora_config
from modeling_blip2idc.training.data_loading import CollatedBatches
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support.source_tree import ROOT
from tests.support.tiny_blip2 import tiny_pair

# height and width of a half of the tiny canvas, so that there is nothing to resize and no seam
SIZE = (14, 28)


def noise_rows(captions):
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)) for _ in range(2 * len(captions))]
    return [
        {"id": str(i), "before": images[2 * i], "after": images[2 * i + 1], "captions": [caption]}
        for i, caption in enumerate(captions)
    ]


@pytest.fixture
def model_and_processor():
    return tiny_pair(height=28, width=28)


def test_text_is_padded_to_30_with_the_token_that_begins_it(model_and_processor):
    loop = AuthorsLoop(*model_and_processor, noise_rows(CAPTIONS), batch_size=2, workers=0)
    text = loop.encode([["the cube"], ["the cube was moved " * 20]])
    cube = loop.tokenizer("the cube", add_special_tokens=False)["input_ids"]
    assert text.shape == (2, 30)
    assert text[0].tolist() == [2, *cube] + [2] * (29 - len(cube))  # </s>, the caption, and no line break
    assert text[1, 0] == 2 and 2 not in text[1, 1:]  # too long: there is no stop token


def test_pads_are_learned_and_nothing_is_masked(model_and_processor):
    loop = AuthorsLoop(*model_and_processor, noise_rows(CAPTIONS), batch_size=2, workers=0)
    loop.model.eval()
    pixels, captions = next(iter(loop.loader))
    text = loop.encode(captions)
    assert pixels.shape == (2, 3, 28, 28)
    queries = torch.tensor([loop.image_tokens] * 2)
    logits = loop.model(
        pixel_values=pixels, input_ids=torch.cat([queries, text], 1), attention_mask=torch.ones(2, 4 + 30)
    ).logits
    tokens = F.cross_entropy(logits[:, 4:-1].transpose(1, 2), text[:, 1:], reduction="none")
    assert tokens.shape == (2, 29)
    torch.testing.assert_close(loop.loss(pixels, text), tokens.mean())


def test_takes_our_step_where_both_mean_the_same(model_and_processor, tmp_path, monkeypatch):
    """With one pad, which is our stop token, and halves of the canvas's size, there is no difference left."""
    model, processor = model_and_processor
    processor.stop_token = "</s>"
    caption = "the yellow cylinder was moved"
    rows = noise_rows([caption] * 2)
    monkeypatch.setattr(authors_loop, "TEXT_LENGTH", len(processor.tokenizer(caption)["input_ids"]) + 1)
    loop = AuthorsLoop(model, processor, rows, batch_size=2, workers=0)
    loop.model.eval()  # no dropout
    pixels = torch.stack([loop.loader.dataset[i][0] for i in range(2)])
    text = loop.encode([row["captions"] for row in rows])
    theirs = loop.loss(pixels, text)
    theirs.backward()

    torch.manual_seed(0)
    adapted = get_peft_model(model, lora_config(targets="authors")).eval()
    adapted.load_state_dict(loop.model.state_dict())
    args = Seq2SeqTrainingArguments(tmp_path, use_cpu=True, remove_unused_columns=False)
    trainer = IDCTrainer(adapted, args, data_collator=IDCCollator(processor), train_dataset=rows)
    batch = CollatedBatches(trainer.data_collator, decoder_only=True)(rows)
    torch.testing.assert_close(batch["pixel_values"], pixels)
    ours = trainer.compute_loss(adapted, dict(batch))
    ours.backward()

    torch.testing.assert_close(ours, theirs)
    compared = 0
    for (name, mine), other in zip(adapted.named_parameters(), loop.model.parameters(), strict=True):
        if mine.requires_grad:
            torch.testing.assert_close(mine.grad, other.grad, msg=name)
            compared += int(mine.grad.abs().max() > 0)
    assert compared >= 10  # B of each adapter; A has no gradient while B is zero


def test_flops_are_those_that_pytorch_counts():
    model, processor = build("tiny")
    model.set_attn_implementation("eager")  # PyTorch would count what flash attention computes twice
    model = get_peft_model(model, lora_config()).train()
    batch = CollatedBatches(IDCCollator(processor), decoder_only=True)(noise_rows(CAPTIONS[2:]))
    labels, start = batch.pop("labels"), batch.pop("caption_start")
    learned = labels.shape[1] - start + 1
    with FlopCounterMode(display=False) as counter:
        model(**batch, logits_to_keep=learned).logits.sum().backward()
    assert counter.get_total_flops() == 2 * count_flops(model, labels.shape[1], learned)


def test_the_full_geometry_is_that_of_the_checkpoint():
    model, _ = build("full", "meta")
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_744_761_856
    model = get_peft_model(model, lora_config())
    # 4 for each weight and position: 986 M of the ViT at 257, 2,517 M of OPT's blocks at 46, and attention
    assert count_flops(model, 46, 14) == pytest.approx(4 * (986e6 * 257 + 2517e6 * 46) + 0.08e12, rel=0.03)


@pytest.mark.slow
def test_measures_and_reports(capsys):
    args = argparse.Namespace(device="cpu", bf16=True, threads=1, workers=1, blocks=1)
    found = measure("tiny", args)
    assert set(found) == {("ours", name) for name in ("training", "model_alone", "loader_alone")} | {
        ("peer", "training")
    }
    assert all(len(values) == 1 and values[0] > 0 for figures in found.values() for values in figures.values())
    rates = {key: figures["pairs/s"][0] for key, figures in found.items()}
    missed = report("tiny", found, args)
    ratio = rates["ours", "training"] / rates["peer", "training"]
    enough = rates["ours", "loader_alone"] / rates["ours", "model_alone"]
    assert missed == (ratio < 1.2 or enough < 3)
    assert f"ours / peer          {ratio:.4g}x" in capsys.readouterr().out


def test_needs_no_datasets():
    """The machine with the GPU has what training takes, and no data sets."""
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'datasets' else find(name, *a)\n"
        "import benchmarks.training as t; print(t.IDCCollator.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "datasets_syned.training.collator", done.stderr
