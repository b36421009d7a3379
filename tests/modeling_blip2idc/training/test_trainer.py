"""`IDCTrainer`: no reference reaches `generate`, and an interrupted run goes on as if it had not been."""

import json

import numpy as np
import pytest
import torch
from transformers import Blip2ForConditionalGeneration, Seq2SeqTrainer, TrainerCallback

from datasets_syned import IDCCollator
from modeling_blip2idc import Blip2IDCProcessor, load_idc
from modeling_blip2idc.from_scratch.muon import MuonWithAdamW
from modeling_blip2idc.training.checkpoints import last_checkpoint
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support.tiny_blip2 import CAPTIONS, random_pairs, tiny_instructblip, tiny_pair
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
        first, second = (
            self.predictions(trainer, rows_of(4, texts)).predictions for texts in (CAPTIONS, CAPTIONS[::-1])
        )
        assert np.array_equal(first, second)

    def test_a_prompt_is_kept_and_the_reference_is_not(self, tiny_model, tiny_processor, tmp_path):
        tiny_processor.prompt = "the small"
        trainer = trainer_of(tiny_model, tiny_processor, tmp_path)
        predicted = tiny_processor.post_process_captions(self.predictions(trainer, rows_of(2)).predictions)
        inputs = tiny_processor(images=random_pairs(2))
        ids = tiny_model.generate(**inputs, max_new_tokens=12)[:, inputs["input_ids"].shape[1] :]
        assert predicted == tiny_processor.post_process_captions(ids)


class TestPredict:
    @pytest.mark.parametrize(("each", "in_config"), [(1, False), (2, True), (3, False)])
    def test_several_sequences_of_each_row(self, family, each, in_config, tmp_path):
        """All of them, next to each other, though the last batch is smaller; and what `compute_metrics` sees."""
        model, processor = family
        options, seen = {"num_beams": 3, "num_return_sequences": each}, []
        if in_config:
            model.generation_config.update(**options)
        trainer = trainer_of(model, processor, tmp_path, compute_metrics=lambda got: seen.append(got) or {})
        rows = rows_of(5)
        found = trainer.predict(rows, max_new_tokens=4, **({} if in_config else options))
        inputs = processor(images=[(row["before"], row["after"]) for row in rows])
        ids = model.generate(**inputs, max_new_tokens=4, **options)
        ids = ids if processor.is_encoder_decoder else ids[:, inputs["input_ids"].shape[1] :]
        captions = processor.post_process_captions(ids)
        assert processor.post_process_captions(found.predictions) == captions and len(captions) == 5 * each
        assert np.array_equal(found.label_ids[::each], found.label_ids[each - 1 :: each])
        assert [len(seen[0].predictions), len(seen[0].label_ids)] == [5 * each] * 2

    @pytest.mark.parametrize("make", [tiny_pair, tiny_instructblip])
    @pytest.mark.parametrize("t5", [False, True])
    def test_a_prompt_of_each_row(self, make, t5, tmp_path):
        """Of unequal lengths: captions and losses are those of the rows alone."""
        model, processor = make(t5=t5)
        prompts = ["the small", "the", None, "the large green cube was"]
        rows = [{**row, "prompt": prompt} for row, prompt in zip(rows_of(4), prompts, strict=True)]
        together, alone = (
            trainer_of(model, processor, tmp_path, per_device_eval_batch_size=size).predict(rows, max_new_tokens=8)
            for size in (4, 1)
        )
        captions = [processor.post_process_captions(found.predictions) for found in (together, alone)]
        assert captions[0] == captions[1] and len(set(captions[0])) > 1
        assert together.metrics["test_loss"] == pytest.approx(alone.metrics["test_loss"], rel=1e-5)
        trainer = trainer_of(model, processor, tmp_path, rows, per_device_train_batch_size=4)
        batch = next(iter(trainer.get_train_dataloader()))
        expected = model(**{name: batch[name] for name in batch if name not in ("caption_start", "row_ids")}).loss
        assert trainer.compute_loss(model, batch).item() == pytest.approx(expected.item(), rel=1e-5)

    def test_without_references(self, family, tmp_path):
        model, processor = family
        rows = rows_of(3)
        bare = [{name: row[name] for name in ("id", "before", "after")} for row in rows]
        trainer = trainer_of(model, processor, tmp_path)
        expected, found = (trainer.predict(some, max_new_tokens=4) for some in (rows, bare))
        assert np.array_equal(found.predictions, expected.predictions)
        assert found.label_ids is None and "test_loss" not in found.metrics
        with pytest.raises(ValueError, match="without references there is no loss: set predict_with_generate"):
            trainer_of(model, processor, tmp_path, predict_with_generate=False).predict(bare)

    def test_rows_that_are_no_mappings(self, tiny_model, tiny_processor, tmp_path):
        """They go to the collator as they are, also in training."""
        inner = IDCCollator(tiny_processor)
        rows, seen = [tuple(row.values()) for row in rows_of(4)], []

        def collator(batch):
            seen.extend(batch)
            return inner([dict(zip(("id", "before", "after", "captions"), row, strict=True)) for row in batch])

        trainer = trainer_of(tiny_model, tiny_processor, tmp_path, rows, collator, max_steps=2, save_strategy="no")
        trainer.eval_collator = collator
        trainer.train()
        assert len(trainer.predict(rows, max_new_tokens=2).predictions) == 4
        assert {id(row) for row in seen} <= {id(row) for row in rows} and len(seen) >= 8

    def test_the_arguments_stay_as_they_are(self, tiny_model, tiny_processor, tmp_path):
        args = arguments(tmp_path, dataloader_drop_last=True)
        before = dict(vars(args))
        trainer = IDCTrainer(tiny_model, args, data_collator=IDCCollator(tiny_processor), train_dataset=rows_of(6))
        assert vars(args) == before and trainer.args is not args
        assert len(trainer.predict(rows_of(3), max_new_tokens=2).predictions) == 3, "an evaluation drops no row"
        assert trainer.args.dataloader_drop_last


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

    def test_an_interrupted_run_goes_on_as_if_it_had_not_been(self, tiny_model_dir, tmp_path):
        """Steps of three per epoch: the references drawn and the order of rows belong to the right epoch."""
        rows = rows_of(6)
        for row in rows:
            row["captions"] = CAPTIONS
        expected = self.weights(tiny_model_dir, tmp_path / "whole", rows=rows)
        for stop in (4, 7):
            assert self.weights(tiny_model_dir, tmp_path / "parts", stop=stop, rows=rows) is None
        assert last_checkpoint(tmp_path / "parts").endswith("checkpoint-6")
        # killed while it wrote a checkpoint
        (tmp_path / "parts" / "checkpoint-7").mkdir()
        (tmp_path / "parts" / "checkpoint-7" / "model.safetensors").write_bytes(b"half a file")
        (tmp_path / "parts" / "checkpoint-7" / "trainer_state.json").write_text('{"best_glo')
        assert last_checkpoint(tmp_path / "parts").endswith("checkpoint-6")
        assert torch.equal(self.weights(tiny_model_dir, tmp_path / "parts", rows=rows), expected)

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
    def test_by_number(self, tmp_path):
        assert last_checkpoint(tmp_path / "missing") is None
        (tmp_path / "checkpoint-last").mkdir()
        assert last_checkpoint(tmp_path) is None
        for number in (9, 10, 100):
            (tmp_path / f"checkpoint-{number}").mkdir()
        for number in (9, 10):
            (tmp_path / f"checkpoint-{number}" / "trainer_state.json").write_text(json.dumps({}))
        assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
