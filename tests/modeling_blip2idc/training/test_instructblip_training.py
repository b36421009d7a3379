"""Losses of all four families of models in parts of a step, logits of the caption only, and the Trainer."""

import pytest
import torch
from peft import get_peft_model
from transformers import Seq2SeqTrainer

from datasets_syned import IDCCollator
from modeling_blip2idc import lora_config
from tests.support.tiny_blip2 import random_pairs, tiny_instructblip, tiny_pair
from tests.support.trainer_rows import arguments, rows_of, trainer_of

FAMILIES = {
    "blip2-opt": tiny_pair,
    "blip2-t5": lambda: tiny_pair(t5=True),
    "instructblip-llama": tiny_instructblip,
    "instructblip-t5": lambda: tiny_instructblip(t5=True),
}
TEXTS = ["the cube", "the large green rubber cube has been added"]  # of very different lengths


@pytest.fixture(params=FAMILIES)
def pair(request):
    return FAMILIES[request.param]()


class TestLoss:
    def test_accumulation_in_the_stock_trainer(self, pair, tmp_path):
        model, processor = pair
        start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        after = []
        for batch, steps in ((2, 1), (1, 2)):
            model.load_state_dict(start)
            sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps, "max_steps": 1}
            args = arguments(tmp_path, **sizes, learning_rate=1e-2, optim="sgd", max_grad_norm=0.0)
            Seq2SeqTrainer(model, args, data_collator=IDCCollator(processor), train_dataset=rows_of(2, TEXTS)).train()
            after.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        assert any(not torch.equal(after[0][name], tensor) for name, tensor in start.items())
        torch.testing.assert_close(after[1], after[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["blip2-opt", "instructblip-llama"])
def test_logits_of_the_caption_only(family):
    """The last position of the prompt predicts the first token of the caption; its own label is -100."""
    model, processor = FAMILIES[family]()
    batch = processor(images=random_pairs(2), captions=TEXTS)
    kept = batch["labels"].shape[1] - int((batch["labels"][0] != -100).nonzero()[0]) + 1
    losses, gradients, logits = [], [], []
    for options in ({}, {"logits_to_keep": kept, "labels": batch["labels"][:, -kept:]}):
        model.zero_grad()
        output = model(**{**batch, **options})
        output.loss.backward()
        losses.append(output.loss)
        logits.append(output.logits)
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    assert logits[1].shape[1] == kept < logits[0].shape[1]
    torch.testing.assert_close(logits[1], logits[0][:, -kept:])
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["instructblip-llama", "instructblip-t5"])
def test_the_trainer_on_instructblip(family, tmp_path):
    model, processor = FAMILIES[family]()
    adapted = get_peft_model(model, lora_config(r=16, lora_alpha=64, lora_dropout=0.0))
    rows, options = rows_of(4), {"learning_rate": 1e-2, "max_steps": 60, "save_strategy": "no"}
    trainer = trainer_of(adapted, processor, tmp_path, rows, per_device_train_batch_size=4, **options)
    first = trainer.predict(rows, max_new_tokens=24).metrics["test_loss"]
    trainer.train()
    found = trainer.predict(rows, max_new_tokens=24)
    assert found.metrics["test_loss"] < 0.5 * first
    captions = processor.post_process_captions(found.predictions)
    inputs = processor(images=[(row["before"], row["after"]) for row in rows])
    ids = adapted.generate(**inputs, max_new_tokens=24)
    ids = ids if processor.is_encoder_decoder else ids[:, inputs["input_ids"].shape[1] :]
    assert captions == processor.post_process_captions(ids)
    assert len(set(captions)) > 1, "they depend on the images"
