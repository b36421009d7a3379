"""What is told of a run: the facts, and no place of this machine."""

import json

import pytest
from transformers import TrainerState

from modeling_blip2idc.training.run_folder import about_run, public_name, public_spec
from train_arguments import DataArguments, IDCTrainingArguments, ModelArguments

TRAIN = {"path": "syned", "name": "scenes", "split": "train"}
HISTORY = [
    {"step": 5, "loss": 2.0},
    {"step": 10, "eval_loss": 1.5, "eval_cider": 2.5},
    {"step": 20, "eval_loss": 1.25, "eval_cider": 2.0},
    {"step": 20, "train_loss": 1.75},
]
BEST = {"load_best_model_at_end": True, "eval_strategy": "steps", "save_strategy": "steps"}


def about(folder, model=None, history=HISTORY, test=None, **options):
    state = TrainerState(epoch=1.23456, global_step=20, log_history=history, best_global_step=10, best_metric=2.5)
    arguments = IDCTrainingArguments(str(folder), report_to="none", bf16=False, use_cpu=True, **options)
    data = DataArguments(train_data=[TRAIN], test_data=test)
    return about_run(ModelArguments(**(model or {})), data, arguments, state, {"vit": 8, "total": 8})


def test_facts(tmp_path):
    options = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 4, "lr_scheduler_type": "cosine"}
    facts = about(
        tmp_path / "my_run", {"model": "a/b", "revision": "v1"}, test={**TRAIN, "split": "test[:9]"}, **options
    )
    assert json.loads(json.dumps(facts)) == facts
    expected = {"model": "my_run", "base": "a/b", "revision": "v1", "tuning": "lora", "rank": 8, "scratch": None}
    expected |= {"towers": ["vit", "qformer", "language"], "targets": "full", "lora_alpha": 16, "lora_dropout": 0.05}
    expected |= {"train_data": [TRAIN], "test_data": {**TRAIN, "split": "test[:9]"}, "split": "test[:9]"}
    expected |= {"batch_size": 12, "steps": 20, "epochs": 1.23, "lr_scheduler_type": "cosine", "seed": 42}
    expected |= {"trainable_parameters": {"vit": 8, "total": 8}, "embed": False, "bf16": False}
    assert expected.items() <= facts.items()


def test_nothing_of_lora_where_there_is_none(tmp_path):
    for model in ({"tuning": "full"}, {"scratch": {"width": 32}}):
        facts = about(tmp_path, model)
        assert not {"rank", "towers", "targets", "lora_alpha"} & set(facts) and facts["base"] is None
        assert facts["test_data"] is None and facts["split"] is None


@pytest.mark.parametrize(
    ("options", "evaluation", "step"),
    [
        ({}, 2.0, None),  # the last one: that is kept
        ({"metric_for_best_model": "loss"}, 1.25, None),
        ({"metric_for_best_model": "eval_loss"}, 1.25, None),
        (BEST, 2.5, 10),
        ({"history": HISTORY[:1]}, None, None),
    ],
)
def test_by_which_score_it_is_compared(options, evaluation, step, tmp_path):
    facts = about(tmp_path, **options)
    assert (facts["evaluation"], facts["best_step"]) == (evaluation, step)


def test_names_of_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "base").mkdir(parents=True)
    (tmp_path / "train").mkdir()
    for path in (tmp_path / "models" / "base", "models/base", "./models/base/", tmp_path / "gone" / "base"):
        assert public_name(str(path)) == "base"
    assert public_name("someone/base") == "someone/base" and public_name(None) is None
    places = {"data_dir": "/x", "data_files": ["/x/y"], "cache_dir": "/x", "num_proc": 2, "token": "hf_secret"}
    files = {"path": str(tmp_path / "models"), "references": str(tmp_path / "gt.json"), "splits": "models/base"}
    kept = {"split": "train", "masks": True, "columns": {"before": "a"}, "streaming": True, "repo": "someone/pairs"}
    spec = {**files, **places, **kept}
    assert public_spec(spec) == {"path": "models", "references": "gt.json", "splits": "base", **kept}
    assert spec["path"] == str(tmp_path / "models")
