"""`IDCTrainer`: no reference reaches `generate`, and an interrupted run goes on as if it had not been."""

import json
import math

import numpy as np
import pytest
import torch
from transformers import Blip2ForConditionalGeneration, Seq2SeqTrainer, TrainerCallback

from datasets_syned import IDCCollator
from modeling_blip2idc import Blip2IDCProcessor, load_idc
from modeling_blip2idc.from_scratch.muon import MuonWithAdamW
from modeling_blip2idc.training.run_folder import last_checkpoint
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support.tiny_blip2 import CAPTIONS, random_pairs
from tests.support.trainer_rows import arguments, rows_of, trainer_of, weights_of


@pytest.fixture(params=["tiny_model_dir", "tiny_t5_dir"])
def family(request):
    """A tiny model with OPT, then one with T5."""
    return load_idc(request.getfixturevalue(request.param))


class TestLeak:
    def predictions(self, trainer, rows):
        return trainer.predict(rows, max_new_tokens=12)

    def test_predictions_do_not_depend_on_the_references(self, family, tmp_path):
        model, processor = family
        trainer = trainer_of(model, processor, tmp_path)
        rows = rows_of(4)
        shuffled = [
            {**row, "captions": other["captions"]} for row, other in zip(rows, rows[1:] + rows[:1], strict=True)
        ]
        first, second = (self.predictions(trainer, some) for some in (rows, shuffled))
        captions = processor.post_process_captions(first.predictions)
        assert len(set(captions)) > 1, "they depend on the images"
        assert captions == processor.post_process_captions(second.predictions)
        assert first.metrics["test_loss"] != second.metrics["test_loss"], "the references did arrive"
        inputs = processor(images=[(row["before"], row["after"]) for row in rows])
        ids = model.generate(**inputs, max_new_tokens=12)
        if not processor.is_encoder_decoder:
            ids = ids[:, inputs["input_ids"].shape[1] :]
        assert captions == processor.post_process_captions(ids)

    @pytest.fixture
    def plain(self, plain_dir):
        """A stock model, which wants a canvas of its own image size."""
        processor = Blip2IDCProcessor.from_pretrained(plain_dir)
        processor.image_processor.size = {"height": 28, "width": 28}
        return Blip2ForConditionalGeneration.from_pretrained(plain_dir), processor

    def test_the_stock_trainer_leaks(self, plain, plain_dir, tmp_path):
        """With a stock model; ours refuses what the stock trainer gives it, labels among the arguments of generate."""
        model, processor = plain
        model.config.pad_token_id = 1
        collator = IDCCollator(processor).for_evaluation()
        stock = Seq2SeqTrainer(model, arguments(tmp_path), data_collator=collator)
        ids = np.maximum(self.predictions(stock, rows_of(4)).predictions, 1)  # -100 pads
        said = processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        assert all(caption in text for caption, text in zip(CAPTIONS, said, strict=True))
        stock.model = stock.model_wrapped = load_idc(plain_dir)[0]
        with pytest.raises(ValueError, match="made for training and hold the caption"):
            self.predictions(stock, rows_of(4))

    def test_a_stock_model_does_not_leak_here(self, plain, tmp_path):
        trainer = trainer_of(*plain, tmp_path)
        predicted = self.predictions(trainer, rows_of(4)).predictions
        other = self.predictions(trainer, rows_of(4, CAPTIONS[::-1])).predictions
        assert np.array_equal(predicted, other)

    def test_a_prompt_is_kept_and_the_reference_is_not(self, tiny_model, tiny_processor, tmp_path):
        tiny_processor.prompt = "the small"
        trainer = trainer_of(tiny_model, tiny_processor, tmp_path)
        predicted = tiny_processor.post_process_captions(self.predictions(trainer, rows_of(2)).predictions)
        inputs = tiny_processor(images=random_pairs(2))
        ids = tiny_model.generate(**inputs, max_new_tokens=12)[:, inputs["input_ids"].shape[1] :]
        assert predicted == tiny_processor.post_process_captions(ids)

    def test_loss_only(self, tiny_model, tiny_processor, tmp_path):
        trainer = trainer_of(tiny_model, tiny_processor, tmp_path, prediction_loss_only=True)
        assert math.isfinite(trainer.evaluate(rows_of(2))["eval_loss"])


class TestResume:
    def weights(self, folder, directory, stop=None, **kwargs):
        model, processor = load_idc(folder)
        trainer = trainer_of(model, processor, directory, max_steps=7, save_steps=3, **kwargs)
        if stop is not None:
            trainer.add_callback(Stop(stop))
        torch.manual_seed(0)
        try:
            trainer.train(resume_from_checkpoint=last_checkpoint(directory))
        except KeyboardInterrupt:
            return None
        return weights_of(trainer.model)

    @pytest.mark.parametrize("muon", [None, 1e-3])
    def test_an_interrupted_run_goes_on_as_if_it_had_not_been(self, tiny_model_dir, tmp_path, muon):
        """Steps of three per epoch: the references drawn and the order of rows belong to the right epoch."""
        rows = rows_of(6)
        for row in rows:
            row["captions"] = CAPTIONS
        options = {"rows": rows, "muon_lr": muon}
        expected = self.weights(tiny_model_dir, tmp_path / "whole", **options)
        for stop in (4, 7):
            assert self.weights(tiny_model_dir, tmp_path / "parts", stop=stop, **options) is None
        assert last_checkpoint(tmp_path / "parts").endswith("checkpoint-6")
        # killed while it wrote a checkpoint
        (tmp_path / "parts" / "checkpoint-7").mkdir()
        (tmp_path / "parts" / "checkpoint-7" / "model.safetensors").write_bytes(b"half a file")
        (tmp_path / "parts" / "checkpoint-7" / "trainer_state.json").write_text('{"best_glo')
        assert last_checkpoint(tmp_path / "parts").endswith("checkpoint-6")
        assert torch.equal(self.weights(tiny_model_dir, tmp_path / "parts", **options), expected)

    def test_a_finished_run_does_not_train_on(self, tiny_model_dir, tmp_path, monkeypatch):
        """Nor when its last step is in the middle of an epoch, where the stock class takes one step more."""
        expected = self.weights(tiny_model_dir, tmp_path)
        files = sorted(path.name for path in tmp_path.iterdir())

        def forbidden(*args, **kwargs):
            raise AssertionError("it trains")

        monkeypatch.setattr(IDCTrainer, "training_step", forbidden)
        assert torch.equal(self.weights(tiny_model_dir, tmp_path), expected)
        assert sorted(path.name for path in tmp_path.iterdir()) == files

    def test_muon_takes_the_matrices(self, tiny_model, tiny_processor, tmp_path):
        trainer = trainer_of(tiny_model, tiny_processor, tmp_path, muon_lr=4e-3, weight_decay=0.1, adam_epsilon=1e-5)
        optimizer = trainer.create_optimizer()
        assert isinstance(optimizer, MuonWithAdamW)
        muon, decayed, *_ = optimizer.param_groups
        assert (muon["lr"], muon["weight_decay"]) == (4e-3, 0.1)
        assert (decayed["lr"], decayed["eps"], decayed["betas"]) == (1e-3, 1e-5, (0.9, 0.999))
        plain = trainer_of(tiny_model, tiny_processor, tmp_path).create_optimizer()
        assert isinstance(plain, torch.optim.AdamW)


class Stop(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step - 1:
            raise KeyboardInterrupt


class TestLastCheckpoint:
    def test_none(self, tmp_path):
        assert last_checkpoint(tmp_path / "missing") is None
        (tmp_path / "checkpoint-last").mkdir()
        (tmp_path / "final").mkdir()
        assert last_checkpoint(tmp_path) is None

    def test_by_number(self, tmp_path):
        for number in (9, 10, 100):
            (tmp_path / f"checkpoint-{number}").mkdir()
        for number in (9, 10):
            (tmp_path / f"checkpoint-{number}" / "trainer_state.json").write_text(json.dumps({}))
        assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
