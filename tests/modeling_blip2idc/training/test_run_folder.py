"""The folder of a run: whose it is, what its log says after any interruption, and what a report says of it."""

import json

import pytest
from transformers import TrainerState

from modeling_blip2idc.training.run_folder import about_run, claim_run, public_name, public_spec, release_run
from train_arguments import DataArguments, IDCTrainingArguments, ModelArguments

DATA = {"path": "syned", "name": "scenes", "split": "train", "num_proc": 2, "token": "hf_secret"}
SETTINGS = {
    "learning_rate": 1e-3,
    "scratch": {"width": 32},
    "train_data": [DATA],
    "test_data": {**DATA, "split": "test"},
    "seed": 0,
    "world_size": 1,
    "output_dir": "here",
    "hub_token": "hf_secret",
    "logging_steps": 5,
    "dataloader_num_workers": 2,
}


def kept(folder):
    return json.loads((folder / "settings.json").read_text(encoding="utf-8"))


class TestClaim:
    def test_a_new_folder(self, tmp_path):
        claim_run(tmp_path / "runs" / "a", SETTINGS)
        assert [path.name for path in (tmp_path / "runs" / "a").iterdir()] == ["settings.json"]
        data = {"path": "syned", "name": "scenes", "split": "train"}
        assert kept(tmp_path / "runs" / "a") == {
            "learning_rate": 1e-3,
            "scratch": {"width": 32},
            "train_data": [data],
            "test_data": {**data, "split": "test"},
            "seed": 0,
            "world_size": 1,
        }

    @pytest.mark.parametrize(
        "other",
        [
            {},
            {"output_dir": "there", "hub_token": None, "logging_steps": 1, "dataloader_num_workers": 0},
            {"train_data": [{**DATA, "num_proc": 8, "cache_dir": "c"}], "push_to_hub": True, "seeds": [1, 2]},
            {"activation_checkpointing": True, "ddp_find_unused_parameters": False, "use_cpu": True},
            {"an_argument_of_a_later_version": 3},
        ],
    )
    def test_the_same_run_again(self, other, tmp_path):
        claim_run(tmp_path, SETTINGS)
        before = (tmp_path / "settings.json").read_bytes()
        claim_run(tmp_path, {**SETTINGS, **other})
        assert (tmp_path / "settings.json").read_bytes() == before

    @pytest.mark.parametrize(
        ("name", "value"),
        [("seed", 1), ("world_size", 2), ("train_data", [{**DATA, "name": "emu_edit"}]), ("test_data", None)],
    )
    def test_other_settings(self, name, value, tmp_path):
        claim_run(tmp_path, SETTINGS)
        before = (tmp_path / "settings.json").read_bytes()
        with pytest.raises(ValueError, match=rf"other settings \({name} .* there, .* now\)"):
            claim_run(tmp_path, {**SETTINGS, name: value})
        other = {**SETTINGS, "learning_rate": 5e-4, "scratch": {"width": 64}, "logging_steps": 1}
        with pytest.raises(ValueError) as error:
            claim_run(tmp_path, other)
        assert str(error.value) == (
            f"output_dir {str(tmp_path)!r} holds a run with other settings (learning_rate 0.001 there, 0.0005 now; "
            "scratch {'width': 32} there, {'width': 64} now). Continue it with its own settings, give another "
            "output_dir, or remove it"
        )
        assert (tmp_path / "settings.json").read_bytes() == before

    def test_workers_decide_the_order_of_a_stream(self, tmp_path):
        streaming = {**SETTINGS, "train_data": [{**DATA, "streaming": True}]}
        claim_run(tmp_path, streaming)
        claim_run(tmp_path, {**streaming, "dataloader_pin_memory": False})
        with pytest.raises(ValueError, match="dataloader_num_workers 2 there, 1 now"):
            claim_run(tmp_path, {**streaming, "dataloader_num_workers": 1})

    def test_a_run_that_was_given_up(self, tmp_path):
        """Another may take its folder, unless something has been done in it."""
        for folder in (tmp_path, tmp_path / "seed-1"):
            claim_run(folder, SETTINGS)
        release_run(tmp_path)
        claim_run(tmp_path / "seed-1", {**SETTINGS, "learning_rate": 5e-4})
        (tmp_path / "seed-1" / "metrics.jsonl").touch()
        release_run(tmp_path)
        with pytest.raises(ValueError, match="other settings"):
            claim_run(tmp_path / "seed-1", SETTINGS)

    def test_checkpoints_of_nobody_knows_which_run(self, tmp_path):
        (tmp_path / "checkpoint-3").mkdir()
        with pytest.raises(ValueError, match="holds checkpoints of a run that left no settings.json: give another"):
            claim_run(tmp_path, SETTINGS)
        assert not (tmp_path / "settings.json").exists()

    @pytest.mark.parametrize(
        ("other", "finished", "accepted"),
        [
            ({"max_steps": 20}, True, True),
            ({"max_steps": 20, "num_train_epochs": 4.0}, True, True),
            ({"max_steps": 20}, False, False),
            ({"max_steps": 5}, True, False),
            ({"max_steps": -1, "num_train_epochs": 4.0}, True, False),
            ({"max_steps": 20, "seed": 1}, True, False),
        ],
    )
    def test_more_steps(self, other, finished, accepted, tmp_path):
        """For a finished run, and nothing else with them."""
        first = {**SETTINGS, "max_steps": 10, "num_train_epochs": 3.0}
        claim_run(tmp_path, first)
        if not accepted:
            with pytest.raises(ValueError, match=f"max_steps 10 there, {other['max_steps']} now"):
                claim_run(tmp_path, {**first, **other}, finished)
            other = {}
        else:
            claim_run(tmp_path, {**first, **other}, finished)
        assert {name: kept(tmp_path)[name] for name in first if name in other} == other
        claim_run(tmp_path, {**first, **other})

    @pytest.mark.parametrize("content", ["", '{"seed": 0', "[]", "3", "\udcff"])
    def test_broken_settings(self, content, tmp_path):
        file = tmp_path / "settings.json"
        file.write_text(content, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(
            ValueError, match=r"settings.json cannot be read \(.+\): give another output_dir, or remove"
        ):
            claim_run(tmp_path, SETTINGS)


TRAIN = {"path": "syned", "name": "scenes", "split": "train"}
SCORES = [
    {"step": 5, "loss": 2.0},
    {"step": 10, "eval_loss": 1.5, "eval_cider": 2.5},
    {"step": 20, "eval_loss": 1.25, "eval_cider": 2.0},
    {"step": 20, "train_loss": 1.75},
]
BEST = {"load_best_model_at_end": True, "eval_strategy": "steps", "save_strategy": "steps"}


def about(folder, model=None, history=SCORES, test=None, **options):
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
    expected |= {"trainable_parameters": {"vit": 8, "total": 8}, "embed": None, "bf16": False}
    assert expected.items() <= facts.items()


def test_nothing_of_lora_where_there_is_none(tmp_path):
    for model, base in (({"tuning": "full"}, "modeling_blip2idc/mini"), ({"scratch": {"width": 32}}, None)):
        facts = about(tmp_path, model)
        assert not {"rank", "towers", "targets", "lora_alpha"} & set(facts) and facts["base"] == base
        assert facts["test_data"] is None and facts["split"] is None


@pytest.mark.parametrize(
    ("options", "evaluation", "step"),
    [
        ({}, 2.0, None),  # the last one: that is kept
        ({"metric_for_best_model": "loss"}, 1.25, None),
        ({"metric_for_best_model": "eval_loss"}, 1.25, None),
        (BEST, 2.5, 10),
        ({"history": SCORES[:1]}, None, None),
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
