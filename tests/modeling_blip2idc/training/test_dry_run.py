"""What a dry run says of the whole run, against what that does; and that nothing of it stays."""

import pytest
from datasets import Dataset
from PIL import Image

from datasets_syned import IDCCollator
from modeling_blip2idc import load_idc
from modeling_blip2idc.training.dry_run import describe, dry_run
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support.tiny_blip2 import CAPTIONS
from tests.support.trainer_rows import arguments as plain
from tests.support.trainer_rows import rows_of

ROWS = 6


@pytest.fixture(scope="module")
def rows():
    made = [
        {**row, "before": Image.fromarray(row["before"]), "after": Image.fromarray(row["after"])}
        for row in rows_of(ROWS)
    ]
    return Dataset.from_list(made)


@pytest.fixture
def make_trainer(tiny_model_dir, rows):
    """Makes trainers, and remembers with which arguments."""

    def make(args):
        make.asked.append(args)
        model, processor = load_idc(tiny_model_dir)
        collator = IDCCollator(processor)
        data = {"data_collator": collator, "train_dataset": rows, "eval_dataset": rows}
        return IDCTrainer(model, args, processing_class=processor, **data)

    make.asked = []
    return make


def arguments(folder, **options):
    return plain(folder, **{"max_steps": 7, "save_strategy": "no", **options})


@pytest.mark.parametrize(
    ("options", "steps", "evaluations"),
    [
        ({"eval_strategy": "steps", "eval_steps": 3}, 7, 3),  # at 3, 6 and the end
        ({"eval_strategy": "steps", "eval_steps": 0.25}, 7, 4),  # every second one, and the end
        ({"eval_strategy": "epoch", "max_steps": -1, "num_train_epochs": 2}, 6, 2),
        ({"eval_strategy": "no", "gradient_accumulation_steps": 3, "max_steps": -1, "num_train_epochs": 2}, 2, 0),
    ],
)
def test_steps_and_evaluations(options, steps, evaluations, make_trainer, rows, tmp_path):
    args = arguments(tmp_path / "run", **options)
    result = dry_run(make_trainer, args, rows)
    assert (result["steps"], result["evaluations"]) == (steps, evaluations + 1)  # and the test
    assert result["evaluation_seconds"] == pytest.approx((evaluations + 1) * ROWS / result["captions_per_second"])
    trainer = make_trainer(args)
    trainer.args.predict_with_generate = False  # which takes longer
    trainer.train()
    assert trainer.state.global_step == steps
    assert sum("eval_loss" in entry for entry in trainer.state.log_history) == evaluations


def test_nothing_stays(make_trainer, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = arguments(
        tmp_path / "run", eval_strategy="steps", eval_steps=2, save_strategy="steps",
        save_steps=2, load_best_model_at_end=True, metric_for_best_model="loss",
    )  # fmt: skip
    args.report_to = ["wandb"]  # would begin a run there
    result = dry_run(make_trainer, args, rows)
    (short,) = make_trainer.asked
    assert short.report_to == [] and short.max_steps == 2
    assert (args.report_to, args.max_steps, args.output_dir) == (["wandb"], 7, str(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []
    assert len(result["captions"]) == 2 and result["references"] == [[CAPTIONS[0]], [CAPTIONS[1]]]
    height, width = result["image_size"]
    assert (height, width) == (56, 28)
    text = describe(result)
    assert "2 pairs a step, canvas 56x28" in text and "(7 steps)" in text
    assert f"{result['trainable_parameters']['total']:,} trained parameters" in text


@pytest.mark.parametrize("generates", [True, False])
def test_without_captions(generates, make_trainer, rows, tmp_path):
    args = arguments(tmp_path, predict_with_generate=generates)
    result = dry_run(make_trainer, args, None if generates else rows)
    assert "captions" not in result and "generation" not in describe(result)
    assert 0 <= result["padding"] < 1 and result["tokens_per_sample"] > 4 and result["memory_bytes"] > 1e8
