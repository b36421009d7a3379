"""`IDCTrainer`: the loss of captions, its gradients, and how it adds up over batches and processes' shares."""

import copy

import pytest
import torch
from torch.nn import functional as F

from datasets_syned import IDCCollator
from modeling_blip2idc import load_idc
from modeling_blip2idc.from_scratch.build import add_auxiliary, build_from_scratch
from tests.support.tiny_blip2 import CAPTIONS
from tests.support.trainer_rows import rows_of, trainer_of, weights_of


@pytest.fixture(params=["tiny_model_dir", "tiny_t5_dir"])
def folder(request):
    """Of a tiny model with OPT, then of one with T5."""
    return request.getfixturevalue(request.param)


def batches_of(trainer, training=True):
    return list(trainer.get_train_dataloader() if training else trainer.get_eval_dataloader(rows_of(6)))


class TestCaptions:
    @pytest.mark.parametrize("items", [None, 50])
    def test_the_stock_loss_and_its_gradients(self, folder, items, tmp_path):
        model, processor = load_idc(folder)
        model.train()
        batch = IDCCollator(processor)(rows_of(4))
        stock = copy.deepcopy(model)
        outputs = stock(**batch)
        learned = (batch["labels"] != -100).sum()
        expected = outputs.loss if items is None else outputs.loss * learned / items
        expected.backward()
        trainer = trainer_of(model, processor, tmp_path, rows_of(4), per_device_train_batch_size=4,
                             train_sampling_strategy="sequential")  # fmt: skip
        loss, ours = trainer.compute_loss(model, batches_of(trainer)[0], True, items and torch.tensor(items))
        loss.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
        for (name, p), q in zip(model.named_parameters(), stock.parameters(), strict=True):
            assert (p.grad is None) == (q.grad is None), name
            assert p.grad is None or torch.allclose(p.grad, q.grad, rtol=1e-4, atol=1e-6), name
        if not processor.is_encoder_decoder:
            tokens = batch["input_ids"].shape[1] - (processor.num_query_tokens + 1)
            assert ours.logits.shape[1] == tokens + 1 < outputs.logits.shape[1], "from BOS on"

    def test_label_smoothing(self, tiny_model, tiny_processor, tmp_path):
        trainer = trainer_of(tiny_model.train(), tiny_processor, tmp_path, label_smoothing_factor=0.1)
        batch = batches_of(trainer)[0]
        labels = batch["labels"][:, 1:].flatten()
        inputs = {name: batch[name] for name in ("pixel_values", "input_ids", "attention_mask")}
        logits = tiny_model(**inputs).logits[:, :-1].flatten(0, 1)
        expected = F.cross_entropy(logits, labels, label_smoothing=0.1)
        assert trainer.compute_loss(tiny_model, batch).item() == pytest.approx(expected.item(), rel=1e-6)

    def test_the_loss_of_an_evaluation_is_that_of_its_tokens(self, folder, tmp_path):
        """In batches of any size, the last one smaller; stock: a mean over batches."""
        model, processor = load_idc(folder)
        rows = rows_of(5, [" ".join(CAPTIONS), *CAPTIONS])
        whole = IDCCollator(processor).for_evaluation()(rows)
        with torch.no_grad():
            expected = model(**whole).loss.item()
        for size in (5, 2, 3):
            options = {"per_device_eval_batch_size": size, "prediction_loss_only": size == 3}
            trainer = trainer_of(model, processor, tmp_path, **options)
            assert trainer.evaluate(rows)["eval_loss"] == pytest.approx(expected, rel=1e-5), size


class TestAccumulation:
    def step(self, model, processor, folder, rows, collator=None, **kwargs):
        trainer = trainer_of(
            model, processor, folder, rows, collator, max_steps=1, optim="sgd", learning_rate=0.1, max_grad_norm=0.0,
            save_strategy="no", lr_scheduler_type="constant", train_sampling_strategy="sequential", **kwargs,
        )  # fmt: skip
        trainer.train()
        return weights_of(trainer.model), trainer.state.log_history[0]["loss"]

    def test_captions(self, folder, tmp_path):
        """Of unequal length: four rows in one batch, in two, in four, and in four with their activations made anew."""
        rows, results = rows_of(4, [CAPTIONS[3], " ".join(CAPTIONS), *CAPTIONS[:2]]), []
        for size, batches, anew in ((4, 1, False), (2, 2, False), (1, 4, False), (1, 4, True)):
            model, processor = load_idc(folder)
            start = weights_of(model)
            options = {"per_device_train_batch_size": size, "gradient_accumulation_steps": batches}
            options["activation_checkpointing"] = anew
            weights, loss = self.step(model, processor, tmp_path, rows, **options)
            results.append((weights - start, loss))
        (first, loss), *others = results
        assert first.abs().max() > 1e-3
        for other, other_loss in others:
            assert torch.allclose(first, other, atol=1e-6) and other_loss == pytest.approx(loss, rel=1e-6)

    def test_auxiliary(self, tmp_path):
        words, results = sorted({word for caption in CAPTIONS for word in caption.split()}), []
        for size, batches in ((4, 1), (2, 2)):
            geometry = {"vision_layers": 1, "qformer_layers": 1, "text_layers": 1, "num_query_tokens": 2}
            model, processor = build_from_scratch(words, 32, patch_size=8, width=32, heads=2, **geometry)
            torch.manual_seed(0)
            add_auxiliary(model, {"present": 2}, {"category": 3})
            inner = IDCCollator(processor)

            def collator(rows, inner=inner):
                batch = inner(rows)
                batch["patch_labels"] = torch.ones(len(rows), 16, 1, dtype=torch.long)
                batch["pair_labels"] = torch.full((len(rows), 1), 2)
                return batch

            options = {"per_device_train_batch_size": size, "gradient_accumulation_steps": batches}
            results.append(self.step(model, processor, tmp_path, rows_of(1) * 4, collator, **options)[0])
            heads = model.auxiliary.pair_head.bias
            assert heads[2] > heads[0], "they learn"
        assert torch.allclose(*results, atol=1e-6)
