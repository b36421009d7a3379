"""The arguments of `train_trainer.py`: recipes, the command line, and what is refused before anything is read."""

import json

import pytest
import yaml
from transformers import Seq2SeqTrainingArguments

import train_arguments
from tests.support.source_tree import ROOT


def write(folder, recipe):
    (folder / "recipe.yaml").write_text(recipe if isinstance(recipe, str) else yaml.safe_dump(recipe))
    return folder / "recipe.yaml"


DATA = {"path": "syned", "split": "train", "masks": True}
DENSE = {"train_data": [DATA], "dense_supervision": True, "scratch": {}, "max_steps": 1}


class TestParse:
    @pytest.mark.parametrize(
        ("recipe", "words", "message"),
        [
            (None, [], "train_data is empty: name a recipe, such as recipes/mini.yaml"),
            (None, ["nowhere.yaml"], "recipe 'nowhere.yaml': there is no such file, and no bundled recipe of"),
            (None, ["recipes/my_pair.yaml"], "no bundled recipe of this name; did you mean my_pairs?"),
            (None, ["/"], "recipe '/': Is a directory"),
            (None, [str(ROOT / "docs" / "cider.png")], "is not text; it must hold lines of the form `argument:"),
            (None, [str(ROOT / "Makefile")], "mapping values are not allowed here"),
            ("[" * 2000, [], "is nested too deeply"),
            ("rank: " + 400 * "59:" + "1.5", [], "int too large to convert to float"),
            ("scratch: &a {b: *a}", [], "Circular reference detected"),
            ({"save_steps": float("inf")}, [], "save_steps: inf is not a valid value: 'inf' is not a number"),
            ({"learning_rate": float("nan")}, [], "learning_rate: nan is not a valid value: 'nan' is not a number"),
            (None, ["--rank", "4", "{}"], "the recipe comes first: "),
            ("a: [", [], "while parsing a flow node"),
            ("- a\n- b", [], "must hold lines of the form `argument: value`"),
            ("", [], "must hold lines of the form `argument: value`"),
            ({"max_step": 3, "zzzz": 1}, [], "unknown argument max_step, zzzz; did you mean max_steps?"),
            ({"max_steps": 3}, ["--max_steps", "x"], "max-steps: 'x' is not a whole number, such as 16"),
            ({"max_steps": 3}, ["--learning_rate", "x"], "learning-rate: 'x' is not a number, such as 0.05 or 1e-4"),
            ({"max_steps": "x"}, [], "'x' is not a whole number, such as 16"),
            ({}, ["--scratch", "{a}"], "is not JSON (Expecting property name enclosed in double quotes"),
            ({}, ["--scratch", "3"], "'3' is not right (it must be a dict), such as '{\"canvas_size\": 128"),
            ({"tuning": "lara"}, [], "tuning: 'lara' is not a valid value: choose from lora, full, qlora"),
            ({"towers": ["vit", "lm"]}, [], "choose from vit, qformer, language"),
            ({"targets": "all"}, [], "choose from full, authors"),
            ({"embed": True}, [], "embed: True is not a valid value: choose from mini, mini_photos"),
            ({}, ["--tuning", "lara"], "argument --tuning: invalid choice: 'lara'"),
            ({}, ["--ranks", "1"], "unknown argument --ranks; did you mean --rank?"),
            ({}, ["--max_step=1"], "unknown argument --max_step; did you mean --max_steps?"),
            ({"train_data": [{"path": "syned"}]}, [], "train_data[0]: {'path': 'syned'} has no 'split'"),
            ({"train_data": [DATA], "test_data": {"split": "test"}}, [], "test_data: {'split': 'test'} has no 'path'"),
            ({"train_data": [DATA], "dense_supervision": True}, [], "dense_supervision needs scratch"),
            ({"train_data": [DATA], "dense_supervision": True, "scratch": {}}, [], "and max_steps"),
            (
                {**DENSE, "train_data": [{**DATA, "masks": False}]}, [],
                "dense supervision needs object masks; give the data set `masks: true`",
            ),
            ({"train_data": [DATA], "curriculum": [[1, [0]]]}, [], "curriculum needs `dense_supervision: true`"),
            ({**DENSE, "curriculum": [0.5, [0]]}, [], "must be a list of [until, [numbers of parts]]"),
            ({**DENSE, "curriculum": [[1.0, 0]]}, [], "curriculum, phase until 1.0: 0 must name parts from 0 to 0"),
            ({**DENSE, "curriculum": [[0.5, [0]]]}, [], "phases end in rising order, the last one at 1.0"),
            ({**DENSE, "augment": True}, [], "dense_supervision prepares its rows by itself: leave out augment"),
            ({**DENSE, "train_sampling_strategy": "group_by_length"}, [], "leave out train_sampling_strategy"),
            ({"train_data": [DATA], "scratch": {}, "dtype": "bfloat16"}, [], "dtype is that of a checkpoint"),
            ({"train_data": [DATA], "revision": "v1"}, [], "revision is that of model, which is not given"),
            ({"train_data": [DATA], "muon_lr": 1e-3, "optim": "sgd"}, [], "muon_lr replaces the optimizer"),
            ({"train_data": [DATA], "hub_model_id": "a/b"}, [], "hub_model_id needs push_to_hub: true"),
            ({"do_train": True}, [], "do_train: leave it out: the run trains, evaluates by eval_strategy"),
            ({"defaults": "recipe.yaml"}, [], "names itself as its defaults"),
            ({"defaults": "other.yaml"}, [], "other.yaml': No such file or directory"),
            ({"train_data": [DATA], "scratch": {}, "model": "x"}, [], "give scratch or model, not both"),
            ({"train_data": [DATA], "eval_strategy": "epoch"}, [], "is 'epoch', and there is no eval_data"),
            ({"train_data": [DATA], "load_best_model_at_end": True}, [], "load_best_model_at_end requires"),
            ({"train_data": [DATA], "early_stopping_patience": 3}, [], "needs load_best_model_at_end: true"),
            ({"train_data": [DATA], "seeds": [1, 2, 1]}, [], "seeds [1, 2, 1]: one of them is there twice"),
            ({"train_data": [{**DATA, "streaming": True}]}, [], "train_data is a stream, whose end nobody knows"),
            (
                {"train_data": [{**DATA, "streaming": True}], "max_steps": 2, "extend_vocabulary": True}, [],
                "extend_vocabulary reads all captions first: leave out `streaming: true`",
            ),
            ({"train_data": [DATA]}, ["--data_dir", "nosuch/"], "data_dir 'nosuch/': there is no folder 'nosuch/'"),
            ({"train_data": [DATA]}, ["--data_dir", "."], "data_dir '.' is read by no data set of this run"),
            (
                {"train_data": [DATA], "test_data": {**DATA, "streaming": True}}, [],
                "test_data: rows to be scored cannot be a stream",
            ),
        ],
    )  # fmt: skip
    def test_one_clear_error(self, recipe, words, message, tmp_path, capsys):
        path = write(tmp_path, recipe if recipe is not None else {"train_data": [DATA]})
        if recipe is not None and "{}" not in words:
            words = ["{}", *words]
        with pytest.raises(SystemExit) as exit:
            train_arguments.parse([word.replace("{}", str(path)) for word in words])
        assert exit.value.code == 2
        usage, error = capsys.readouterr().err.strip().split("\n", 1)
        assert usage.startswith("usage: ") and message in error
        assert "Traceback" not in error and error.count("\n") < 3

    @pytest.mark.parametrize("name", train_arguments.REFUSED)
    def test_an_argument_that_would_do_nothing(self, name, tmp_path, capsys):
        """On the command line and in a recipe, also with its default."""
        for recipe, words in (({}, [f"--{name}", "false"]), ({name: False}, [])):
            with pytest.raises(SystemExit):
                train_arguments.parse([str(write(tmp_path, {"train_data": [DATA], **recipe})), *words])
            assert f"{name}: {train_arguments.REFUSED[name]}" in capsys.readouterr().err.splitlines()[-1]

    def test_their_defaults_are_those_of_transformers(self, tmp_path):
        *_, args = train_arguments.parse([str(write(tmp_path, {"train_data": [DATA]}))])
        usual = Seq2SeqTrainingArguments(str(tmp_path))
        assert all(getattr(args, name) == getattr(usual, name) for name in train_arguments.REFUSED)
        for word in (
            "--do_train",
            "--do-train=x",
            "--no_logging_nan_inf_filter",
        ):  # a switch alone, and other spellings
            with pytest.raises(SystemExit):
                train_arguments.parse([str(tmp_path / "recipe.yaml"), word])

    def test_values_of_another_recipe(self, tmp_path):
        (tmp_path / "base.yaml").write_text(yaml.safe_dump({"rank": 4, "lora_alpha": 8, "train_data": [DATA, DATA]}))
        (tmp_path / "lower").mkdir()
        path = write(tmp_path / "lower", {"defaults": "../base.yaml", "rank": 16, "train_data": DATA})
        model, data, _ = train_arguments.parse([str(path), "--lora_dropout", "0"])
        assert (model.rank, model.lora_alpha, model.lora_dropout, data.train_data) == (16, 8, 0.0, [DATA])

    def test_numbers_that_yaml_takes_for_text(self, tmp_path):
        text = (
            "learning_rate: 1e-3\nmuon_lr: 3e-3\nauxiliary_weights: [5e-1, 0.3]\nweight_decay: 0\nmax_steps: 1_000\n"
        )
        path = write(tmp_path, text + yaml.safe_dump({"train_data": [DATA]}))
        _, _, args = train_arguments.parse([str(path)])
        assert (args.learning_rate, args.muon_lr, args.auxiliary_weights) == (1e-3, 3e-3, [0.5, 0.3])
        assert args.weight_decay == 0 and args.max_steps == 1000

    def test_the_command_line_wins(self, tmp_path):
        path = write(tmp_path, {"train_data": [DATA], "rank": 4, "towers": ["vit"], "embed": "mini", "model": "a/b"})
        words = "--rank 16 --towers language qformer --embed mini_photos --test_data".split()
        model, data, args = train_arguments.parse([str(path), *words, json.dumps(DATA)])
        assert (model.rank, model.towers, model.model) == (16, ["language", "qformer"], "a/b")
        assert data.test_data == DATA and args.embed == "mini_photos"

    def test_without_a_recipe(self):
        model, data, args = train_arguments.parse(["--train_data", json.dumps(DATA), "--output_dir", "x"])
        assert data.train_data == [DATA] and model.towers == ["vit", "qformer", "language"]
        assert args.predict_with_generate and not args.remove_unused_columns

    def test_what_the_embedded_model_is_made_with(self):
        model, data, args = train_arguments.parse([str(ROOT / "recipes" / "embedded.yaml")])
        assert model.scratch["num_query_tokens"] == 8 and model.model is None
        assert (args.learning_rate, args.muon_lr, args.warmup_steps, args.seed) == (1e-3, 3e-3, 200, 0)
        assert data.dense_supervision and data.curriculum[0] == [0.15, [1]] and args.auxiliary_weights == [0.5, 0.3]
        assert args.lr_scheduler_kwargs == {"num_decay_steps": 9500, "decay_type": "linear"}
