"""`IDCTrainer`: which rows reach it, in which order; streams, length groups; what generation gets; what is refused."""

import itertools
import time

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, get_worker_info
from transformers import GenerationConfig

from datasets_syned import IDCCollator
from datasets_syned.training import training_data
from modeling_blip2idc import load_idc
from modeling_blip2idc.training.checkpoints import last_checkpoint
from modeling_blip2idc.training.data_loading import EndlessStream, SeededLengthGroups
from tests.support.tiny_blip2 import CAPTIONS
from tests.support.trainer_rows import arguments, rows_of, trainer_of, weights_of


def stream_of(count, shards=1, buffer_size=4):
    rows = [
        {**row, "before": Image.fromarray(row["before"]), "after": Image.fromarray(row["after"]), "captions": CAPTIONS}
        for row in rows_of(count)
    ]
    rows = datasets.Dataset.from_list(rows).to_iterable_dataset(num_shards=shards)
    return training_data.concatenate([rows], buffer_size=buffer_size)


class Noted(IDCCollator):
    """Remembers which rows it collated."""

    def __call__(self, rows):
        self.__dict__.setdefault("seen", []).extend(row["id"] for row in rows)
        return super().__call__(rows)


class SlowToStart:
    """A stream that one of a loader's workers begins to read late."""

    def __init__(self, stream, worker):
        self.stream, self.worker = stream, worker

    def set_epoch(self, epoch):
        self.stream.set_epoch(epoch)

    def __iter__(self):
        time.sleep(0.5 if get_worker_info().id == self.worker else 0)
        yield from self.stream


class TestStreams:
    def test_each_row_once_in_each_pass_and_each_pass_in_another_order(self, tiny_model, tiny_processor, tmp_path):
        """Five rows, batches of two: no row is left out and none repeated where passes end."""
        collator = Noted(tiny_processor)
        trainer = trainer_of(tiny_model, tiny_processor, tmp_path, stream_of(5), collator, max_steps=10,
                             save_strategy="no")  # fmt: skip
        trainer.train()
        passes = [collator.seen[i : i + 5] for i in range(0, 20, 5)]
        assert all(sorted(rows) == [f"row-{i}" for i in range(5)] for rows in passes)
        assert len({tuple(rows) for rows in passes}) > 1

    def test_continued(self, tiny_model_dir, tmp_path):
        """Shuffled, references drawn, accumulated, in the second pass, by worker processes: bit for bit the same."""

        def weights(folder, steps):
            model, processor = load_idc(tiny_model_dir)
            options = {"dataloader_num_workers": 2, "max_steps": steps, "gradient_accumulation_steps": 2}
            rows = stream_of(10, shards=2)
            trainer = trainer_of(model, processor, folder, rows, **options, save_steps=1, lr_scheduler_type="constant")
            torch.manual_seed(0)
            trainer.train(resume_from_checkpoint=last_checkpoint(folder))
            return weights_of(trainer.model)

        weights(tmp_path / "parts", 3)
        expected = weights(tmp_path / "whole", 5)
        assert torch.equal(weights(tmp_path / "parts", 5), expected)

    def test_workers_in_different_passes(self):
        """What a worker reads does not depend on how fast the other one is: each row once in each pass of its own."""

        def rows(slow):
            stream = EndlessStream(SlowToStart(stream_of(10, shards=2), slow))
            loader = DataLoader(stream, batch_size=5, num_workers=2, collate_fn=lambda rows: [r["id"] for r in rows])
            return list(itertools.islice(loader, 4))

        batches = rows(slow=0)
        assert batches == rows(slow=1)
        assert len({*batches[0], *batches[1]}) == 10

    def test_references_are_drawn_anew_in_each_pass(self, tiny_processor):
        rows = EndlessStream(stream_of(5))
        collator = IDCCollator(tiny_processor)
        captions = [collator([row])["input_ids"].tolist() for row in itertools.islice(rows, 60)]
        by_epoch = IDCCollator(tiny_processor)
        for i, row in enumerate(itertools.islice(rows, 60)):
            if i % 5 == 0:
                by_epoch.set_epoch(i // 5)
            del row["epoch"]
            assert by_epoch([row])["input_ids"].tolist() == captions[i]
        assert len({str(caption) for caption in captions}) == len(CAPTIONS)

    def test_what_is_refused(self, tiny_model, tiny_processor, tmp_path):
        with pytest.raises(ValueError, match="max_steps has to be specified"):
            trainer_of(tiny_model, tiny_processor, tmp_path, stream_of(4), max_steps=-1)
        with pytest.raises(ValueError, match="dataloader_num_workers is 2 and the stream has 1 shards"):
            trainer_of(tiny_model, tiny_processor, tmp_path, stream_of(4), dataloader_num_workers=2)

    def test_an_evaluation(self, tiny_model, tiny_processor, tmp_path):
        """As of the same rows in a list, with and without captions."""
        for loss_only in (False, True):
            trainer = trainer_of(tiny_model, tiny_processor, tmp_path, prediction_loss_only=loss_only)
            stream, rows = (
                trainer.predict(some, max_new_tokens=4)
                for some in (stream_of(3, buffer_size=1), rows_of(3, CAPTIONS[:1]))
            )
            assert stream.metrics["test_loss"] == pytest.approx(rows.metrics["test_loss"])
            assert loss_only or np.array_equal(stream.predictions, rows.predictions)

    def test_an_empty_stream_ends(self):
        assert list(EndlessStream([])) == []


class TestLengthGroups:
    LENGTHS = np.random.default_rng(0).permutation(np.repeat(np.arange(5, 45), 8)).tolist()

    def test_less_padding_and_each_row_once(self):
        def padding(order):
            batches = [[self.LENGTHS[i] for i in order[k : k + 8]] for k in range(0, len(order), 8)]
            return sum(max(batch) * len(batch) - sum(batch) for batch in batches)

        order = list(SeededLengthGroups(8, self.LENGTHS, seed=0))
        assert sorted(order) == list(range(320))
        assert padding(order) < 0.2 * padding(list(range(320)))

    def rows(self, count=12):
        rows = [{**row, "before": row["before"].tolist(), "after": row["after"].tolist()} for row in rows_of(count)]
        rows = datasets.Dataset.from_list(rows)
        columns = {"before": "uint8", "after": "uint8"}
        for name in columns:
            rows = rows.cast_column(name, datasets.Array3D((20, 30, 3), "uint8"))
        return rows.with_format("numpy", list(columns), output_all_columns=True)

    def test_continued_in_another_epoch(self, tiny_model_dir, tmp_path):

        def run(folder, steps):
            model, processor = load_idc(tiny_model_dir)
            rows = training_data.with_lengths(self.rows(), lambda texts: processor.tokenizer(texts)["input_ids"])
            collator = Noted(processor)
            options = {"train_sampling_strategy": "group_by_length", "max_steps": steps, "save_steps": 4}
            trainer = trainer_of(model, processor, folder, rows, collator, **options, lr_scheduler_type="constant",
                                 per_device_train_batch_size=3)  # fmt: skip
            torch.manual_seed(0)
            trainer.train(resume_from_checkpoint=last_checkpoint(folder))
            return weights_of(trainer.model), collator.seen, SeededLengthGroups(3, rows["length"], seed=42)

        run(tmp_path / "parts", 6)
        expected, seen, order = run(tmp_path / "whole", 10)
        weights, rest, _ = run(tmp_path / "parts", 10)
        assert torch.equal(weights, expected) and rest == seen[18:]
        assert seen[:12] == [f"row-{i}" for i in order]
        assert sorted(seen[:12]) == sorted(seen[12:24]) and seen[:12] != seen[12:24]

    def test_evaluation_keeps_the_order_of_the_rows(self, tiny_model, tiny_processor, tmp_path):
        """Stock: captions are returned in the order of lengths, to be scored against other rows' references."""
        rows = training_data.with_lengths(self.rows(6), lambda texts: tiny_processor.tokenizer(texts)["input_ids"])
        grouped, plain = (
            trainer_of(tiny_model, tiny_processor, tmp_path, rows, train_sampling_strategy=strategy)
            .predict(rows, max_new_tokens=4)
            .predictions
            for strategy in ("group_by_length", "random")
        )
        assert np.array_equal(grouped, plain)

    def test_no_lengths(self, tiny_model, tiny_processor, tmp_path):
        trainer = trainer_of(tiny_model, tiny_processor, tmp_path, train_sampling_strategy="group_by_length")
        with pytest.raises(ValueError, match="'group_by_length' needs a column 'length'"):
            trainer.train()


class TestGenerate:
    def test_what_else_is_in_a_batch_reaches_it(self, instructblip_dir, tmp_path):
        """The Q-Former of InstructBLIP reads the prompt as well."""
        model, processor = load_idc(instructblip_dir)
        trainer = trainer_of(model, processor, tmp_path)
        rows = rows_of(3)
        predicted = trainer.predict(rows, max_new_tokens=6).predictions
        inputs = processor(images=[(row["before"], row["after"]) for row in rows])
        assert "qformer_input_ids" in inputs
        ids = model.generate(**inputs, max_new_tokens=6)
        ids = ids if processor.is_encoder_decoder else ids[:, inputs["input_ids"].shape[1] :]
        assert processor.post_process_captions(predicted) == processor.post_process_captions(ids)
        assert len(set(processor.post_process_captions(ids))) > 1

    def test_a_generation_config_of_the_arguments(self, tiny_model, tiny_processor, tmp_path):
        config = GenerationConfig(max_new_tokens=3, eos_token_id=202, pad_token_id=1, bos_token_id=2)
        trainer = trainer_of(tiny_model, tiny_processor, tmp_path, generation_config=config)
        assert trainer.predict(rows_of(2)).predictions.shape == (2, 3)


class TestRefused:
    def test_workers_that_would_repeat_the_first_epoch(self, tiny_model, tiny_processor, tmp_path):
        options = {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}
        with pytest.raises(ValueError, match="dataloader_persistent_workers"):
            trainer_of(tiny_model, tiny_processor, tmp_path, **options)
        trainer_of(tiny_model, tiny_processor, tmp_path, stream_of(4), **options)  # where rows bring their epoch

    def test_another_loss(self, tiny_model, tiny_processor, tmp_path):
        with pytest.raises(ValueError, match="compute_loss_func"):
            trainer_of(tiny_model, tiny_processor, tmp_path, compute_loss_func=lambda *_, **__: None)

    def test_several_gpus_and_one_process(self, tiny_model, tiny_processor, tmp_path, monkeypatch):
        monkeypatch.setattr(type(arguments(tmp_path)), "n_gpu", 2)
        with pytest.raises(ValueError, match=r"2 GPUs: start one for each \(torchrun --nproc_per_node 2\)"):
            trainer_of(tiny_model, tiny_processor, tmp_path)
