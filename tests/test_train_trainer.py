"""`train_trainer.py` from a recipe to a folder that loads: from nothing, LoRA, all weights; killed and continued."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from datasets import load_dataset
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import Blip2ForConditionalGeneration, pipeline

import train_trainer
from modeling_blip2idc import load_idc
from modeling_blip2idc.trainer_blip2idc import IDCTrainer, last_checkpoint
from tests.source_tree import ROOT

SIZE = {"width": 48, "height": 32}
STEPS = {
    "max_steps": 6,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 5,
    "learning_rate": 1e-3,
    "eval_strategy": "steps",
    "eval_steps": 3,
    "save_strategy": "steps",
    "save_steps": 2,
    "logging_steps": 1,
    "use_cpu": True,
    "disable_tqdm": True,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums of floats depend on how many threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A spec of rows of one split, in a cache of this run."""
    cache = str(tmp_path_factory.mktemp("datasets"))

    def spec(split, rows, **options):
        sizes = {"train": 0, "validation": 0, "test": 0, split: rows}
        return {"path": "syned", "name": "scenes", "split": split, "cache_dir": cache, **sizes, **SIZE, **options}

    return spec


@pytest.fixture(scope="module")
def recipes(scenes, tmp_path_factory):
    """A toy of recipes/mini.yaml, and one of LoRA."""
    folder = tmp_path_factory.mktemp("recipes")
    masks = {"masks": True, "references": 6}
    toy = {
        **STEPS,
        "scratch": {"canvas_size": 32, "patch_size": 8, "width": 32, "heads": 2, "vision_layers": 1,
                    "qformer_layers": 1, "text_layers": 1, "num_query_tokens": 4},
        "train_data": [scenes("train", 18, **masks), scenes("train", 12, seed=1, jitter=0.0, **masks)],
        "eval_data": scenes("validation", 6),
        "test_data": scenes("test", 12, masks=True),
        "lessons": True,
        "curriculum": [[0.3, [1]], [1.0, [0, 1]]],
        "muon_lr": 3e-3,
        "weight_decay": 0.05,
        "adam_beta2": 0.98,
        "warmup_steps": 2,
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": {"num_decay_steps": 2, "decay_type": "linear"},
        "save_total_limit": 2,
    }  # fmt: skip
    lora = {
        **STEPS,
        "train_data": [scenes("train", 10)],
        "eval_data": scenes("validation", 6),
        "test_data": scenes("test", 6),
        "per_device_train_batch_size": 2,  # five steps per epoch
        "max_steps": 8,
        "save_steps": 3,
        "eval_steps": 4,
        "learning_rate": 1e-2,
        "augment": True,
        "load_best_model_at_end": False,
    }
    for name, recipe in (("toy", toy), ("lora", lora)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def train(*words):
    return train_trainer.main(*train_trainer.parse([str(word) for word in words]))


@pytest.fixture(scope="module")
def toy(recipes, tmp_path_factory):
    """A run from nothing, not interrupted: its folder and its results."""
    folder = tmp_path_factory.mktemp("toy")
    return folder, train(recipes / "toy.yaml", "--output_dir", folder)


@pytest.fixture(scope="module")
def lora(recipes, tiny_model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    return folder, train(recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", folder)


def predictions(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def captions_everywhere(folder, scenes, rows):
    """Captions of the test split: as evaluated, by the pipeline, and by `load_idc` and `generate`."""
    data = load_dataset(**scenes("test", rows))
    pipe = pipeline("image-difference-captioning", model=str(folder))
    model, processor = load_idc(folder)
    inputs = processor(images=[(row["before"], row["after"]) for row in data])
    ids = model.generate(**inputs)
    if not processor.is_encoder_decoder:
        ids = ids[:, inputs["input_ids"].shape[1] :]
    evaluated = predictions(folder)
    assert [line["id"] for line in evaluated] == list(data["id"])
    assert [line["references"] for line in evaluated] == list(data["captions"])
    return (
        [line["caption"] for line in evaluated],
        [result[0]["generated_text"] for result in pipe(data, batch_size=4)],
        processor.post_process_captions(ids),
    )


def assert_nothing_of_this_machine(folder):
    for path in [*folder.glob("*.json"), *folder.glob("*.md")]:
        found = re.findall(r"(?<![\w.~:/])/(?:tmp|home|root|work|private|Users)/\S+", path.read_text(encoding="utf-8"))
        assert found == [], path.name
    assert not list(folder.glob("*.bin")) + list(folder.glob("*.pt")) + list(folder.glob("*.pth"))


class TestFromNothing:
    def test_what_it_leaves(self, toy):
        folder, results = toy
        final = folder / "final"
        expected = {"config.json", "generation_config.json", "model.safetensors", "processor_config.json"}
        expected |= {"tokenizer.json", "tokenizer_config.json", "README.md", "results.json", "predictions.jsonl"}
        expected |= {"curve.png"}
        assert {path.name for path in final.iterdir()} == expected
        assert {tensor.dtype for tensor in load_file(final / "model.safetensors").values()} == {torch.float16}
        assert json.loads((final / "results.json").read_text()) == results
        assert_nothing_of_this_machine(final)
        assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-4", "checkpoint-6", "final"]

    def test_results(self, toy):
        _, results = toy
        assert results["steps"] == 6
        assert [entry["step"] for entry in results["history"]] == [3, 6]
        assert {"eval_cider", "eval_loss", "eval_category_accuracy", "eval_no_change_f1"} <= set(results["history"][0])
        assert results["test"]["count"] == 12 and results["test"]["oracle_cider"] > 1
        assert results["test"]["scenes"]["by_category"]["move"]["count"] == 2

    def test_the_card_says_what_the_results_say(self, toy):
        folder, results = toy
        card = ModelCard.load(folder / "final" / "README.md")
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in card.text.splitlines() if "|" in line
        ]
        for name, *cells in rows[2:]:
            scores = results["test"] if name == "all" else results["test"]["by_category"][name]
            read = results["test"]["scenes"] if name == "all" else results["test"]["scenes"]["by_category"][name]
            words = "" if read["attributes_accuracy"] is None else f"{read['attributes_accuracy']:.1%}"
            assert cells == [
                str(scores["count"]), f"{100 * scores['cider']:.1f}", f"{scores['bleu_4']:.3f}",
                f"{scores['rouge_l']:.3f}", f"{read['category_accuracy']:.1%}", words, f"{read['exact']:.1%}",
            ]  # fmt: skip
        assert len(rows) == 2 + 1 + 6
        assert {r.metric_type: r.metric_value for r in card.data.eval_results} == {
            "cider": round(100 * results["test"]["cider"], 4),
            "bleu": round(results["test"]["bleu_4"], 4),
            "rouge": round(results["test"]["rouge_l"], 4),
        }

    def test_plain_blip2_loads_it(self, toy):
        folder, _ = toy
        _, info = Blip2ForConditionalGeneration.from_pretrained(folder / "final", output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]

    def test_the_same_captions_everywhere(self, toy, scenes):
        evaluated, piped, generated = captions_everywhere(toy[0] / "final", scenes, 12)
        assert evaluated == piped == generated

    def test_a_finished_run_is_not_trained_again(self, toy, recipes, tmp_path, monkeypatch):
        folder = shutil.copytree(toy[0], tmp_path / "toy")
        shutil.rmtree(folder / "final")

        def forbidden(*args, **kwargs):
            raise AssertionError("it trains")

        monkeypatch.setattr(IDCTrainer, "training_step", forbidden)
        assert train(recipes / "toy.yaml", "--output_dir", folder) == toy[1]
        for name in ("model.safetensors", "predictions.jsonl"):
            assert (folder / "final" / name).read_bytes() == (toy[0] / "final" / name).read_bytes()

    def test_killed_and_continued(self, toy, recipes, tmp_path):
        """A real process, killed when its first checkpoint appears; then the same command again."""
        command = ["train_trainer.py", recipes / "toy.yaml", "--output_dir", tmp_path / "run"]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env, stderr=subprocess.PIPE) as process:
            try:
                while process.poll() is None and not list((tmp_path / "run").glob("checkpoint-*")):
                    time.sleep(0.002)
            finally:
                process.kill()
            errors = process.stderr.read().decode()
        assert process.returncode == -signal.SIGKILL, errors
        assert not (tmp_path / "run" / "final").exists()
        before = last_checkpoint(tmp_path / "run")
        train(*command[1:])
        assert before is None or before.endswith(("checkpoint-2", "checkpoint-4"))
        for name in ("model.safetensors", "predictions.jsonl", "config.json"):
            assert (tmp_path / "run" / "final" / name).read_bytes() == (toy[0] / "final" / name).read_bytes(), name

    def test_embed(self, toy, recipes, tmp_path, monkeypatch):
        monkeypatch.setattr(train_trainer, "EMBEDDED", tmp_path / "mini")
        folder = shutil.copytree(toy[0], tmp_path / "toy")
        train(recipes / "toy.yaml", "--output_dir", folder, "--embed", "true")
        names = {path.name for path in (folder / "final").iterdir()} - {"predictions.jsonl"}
        assert {path.name for path in (tmp_path / "mini").iterdir()} == names
        assert "make mini" in (tmp_path / "mini" / "README.md").read_text()


class TestLoRA:
    def test_the_adapter_alone_is_saved(self, lora, tiny_model_dir):
        folder, results = lora
        final = folder / "final"
        weights = load_file(final / "adapter_model.safetensors")
        assert all(re.search(r"\.lora_[AB]\.weight$", name) for name in weights)
        assert sum(tensor.numel() for tensor in weights.values()) == results["trainable_parameters"]["total"]
        towers = {"vision_model", "qformer", "language_model"}
        assert {tower for tower in towers if any(tower in name for name in weights)} == towers
        assert not (final / "model.safetensors").exists()
        assert {"processor_config.json", "tokenizer.json", "README.md", "results.json"} <= {
            p.name for p in final.iterdir()
        }
        config = json.loads((final / "adapter_config.json").read_text())
        assert config["r"] == 8 and (final / config["base_model_name_or_path"]).samefile(tiny_model_dir)
        assert_nothing_of_this_machine(final)

    def test_it_learned_and_the_base_did_not_change(self, lora, tiny_model_dir):
        weights = load_file(lora[0] / "final" / "adapter_model.safetensors")
        assert all(tensor.any() for name, tensor in weights.items() if "lora_B" in name)
        base = load_idc(tiny_model_dir)[0].state_dict()
        inner = load_idc(lora[0] / "final")[0].unload().state_dict()
        assert all(torch.equal(base[name], tensor) for name, tensor in inner.items())

    def test_the_same_captions_everywhere(self, lora, scenes, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)  # the base is found from anywhere
        evaluated, piped, generated = captions_everywhere(lora[0] / "final", scenes, 6)
        assert evaluated == piped == generated
        assert len(set(evaluated)) > 1

    def test_interrupted_and_continued(self, lora, recipes, tiny_model_dir, tmp_path, monkeypatch):
        step = IDCTrainer.training_step

        def interrupted(self, *args, **kwargs):
            if self.state.global_step == 7:  # in the second epoch, after checkpoint-6
                raise KeyboardInterrupt
            return step(self, *args, **kwargs)

        command = [recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", tmp_path]
        with monkeypatch.context() as patch:
            patch.setattr(IDCTrainer, "training_step", interrupted)
            with pytest.raises(KeyboardInterrupt):
                train(*command)
        assert last_checkpoint(tmp_path).endswith("checkpoint-6")
        assert train(*command)["test"] == lora[1]["test"]
        name = "adapter_model.safetensors"
        assert (tmp_path / "final" / name).read_bytes() == (lora[0] / "final" / name).read_bytes()

    def test_towers_and_t5(self, recipes, tiny_t5_dir, tmp_path, scenes):
        results = train(
            recipes / "lora.yaml", "--model", tiny_t5_dir, "--output_dir", tmp_path, "--max_steps", 2,
            "--towers", "vit", "llm", "--rank", 2, "--eval_strategy", "no", "--muon_lr", 1e-3,
        )  # fmt: skip
        assert set(results["trainable_parameters"]) == {"vit", "llm", "total"}
        evaluated, piped, generated = captions_everywhere(tmp_path / "final", scenes, 6)
        assert evaluated == piped == generated

    def test_an_adapter_is_no_base(self, lora, recipes, tmp_path):
        with pytest.raises(ValueError, match="is an adapter already"):
            train(recipes / "lora.yaml", "--model", lora[0] / "final", "--output_dir", tmp_path)


@pytest.fixture(scope="module")
def full(recipes, lora, tmp_path_factory):
    """All weights, starting from an adapter that is merged first."""
    folder = tmp_path_factory.mktemp("full")
    words = ["--tuning", "full", "--max_steps", 3, "--load_best_model_at_end", "true", "--save_steps", 4]
    return folder, train(recipes / "lora.yaml", "--model", lora[0] / "final", "--output_dir", folder, *words)


class TestFull:
    def test_everything_is_trained(self, full, lora):
        folder, results = full
        model = load_idc(folder / "final")[0]
        assert results["trainable_parameters"]["total"] == sum(p.numel() for p in model.parameters())
        start = load_idc(lora[0] / "final")[0].merge_and_unload().state_dict()
        for part in ("vision_model", "qformer", "language_model", "language_projection", "query_tokens"):
            changed = [n for n, p in model.named_parameters() if n.startswith(part) and not torch.equal(p, start[n])]
            assert changed, part
        assert_nothing_of_this_machine(folder / "final")
        assert "All weights of" in (folder / "final" / "README.md").read_text()

    def test_the_same_captions_everywhere(self, full, scenes):
        evaluated, piped, generated = captions_everywhere(full[0] / "final", scenes, 6)
        assert evaluated == piped == generated


def write(folder, recipe):
    (folder / "recipe.yaml").write_text(recipe if isinstance(recipe, str) else yaml.safe_dump(recipe))
    return folder / "recipe.yaml"


DATA = {"path": "syned", "split": "train", "masks": True}
LESSONS = {"train_data": [DATA], "lessons": True, "scratch": {}, "max_steps": 1}


class TestParse:
    @pytest.mark.parametrize(
        ("recipe", "words", "message"),
        [
            (None, [], "train_data is empty: name a recipe, such as recipes/mini.yaml"),
            (None, ["nowhere.yaml"], "recipe 'nowhere.yaml': [Errno 2] No such file or directory"),
            (None, ["--rank", "4", "{}"], "the recipe comes first: "),
            ("a: [", [], "while parsing a flow node"),
            ("- a\n- b", [], "must hold lines of the form `argument: value`"),
            ("", [], "must hold lines of the form `argument: value`"),
            ({"max_step": 3, "lr": 1}, [], "unknown argument lr, max_step"),
            ({"help": 3}, [], "unknown argument help"),
            ({"recipe": 3}, [], "unknown argument recipe"),
            ({"max_steps": 10.5}, [], "max_steps: 10.5 is no valid value"),
            ({"max_steps": "many"}, [], "max_steps: 'many' is no valid value"),
            ({"embed": "perhaps"}, [], "embed: 'perhaps' is no valid value"),
            ({"max_steps": [3]}, ["--max_steps", "x"], "argument --max_steps"),
            ({"tuning": "lara"}, [], "tuning: 'lara' is no valid value: choose from lora, full"),
            ({"towers": ["vit", "lm"]}, [], "choose from vit, qformer, llm"),
            ({"targets": "all"}, [], "choose from paper, authors"),
            ({}, ["--tuning", "lara"], "argument --tuning: invalid choice: 'lara'"),
            ({}, ["--no_such_argument", "1"], "--no_such_argument"),
            ({"train_data": [{"path": "syned"}]}, [], "train_data[0]: {'path': 'syned'} has no 'split'"),
            ({"train_data": [DATA], "test_data": {"split": "test"}}, [], "test_data: {'split': 'test'} has no 'path'"),
            ({"train_data": [DATA], "lessons": True}, [], "lessons need scratch"),
            ({"train_data": [DATA], "lessons": True, "scratch": {}}, [], "and max_steps"),
            (
                {**LESSONS, "train_data": [{**DATA, "masks": False}]}, [],
                "lessons are made from object masks; give the data set `masks: true`",
            ),
            ({"train_data": [DATA], "curriculum": [[1, [0]]]}, [], "curriculum orders lessons"),
            ({**LESSONS, "curriculum": [0.5, [0]]}, [], "must be a list of [until, [numbers of parts]]"),
            ({**LESSONS, "curriculum": [[1.0, 0]]}, [], "curriculum, phase until 1.0: 0 must name parts from 0 to 0"),
            ({**LESSONS, "curriculum": [[0.5, [0]]]}, [], "phases end in rising order, the last one at 1.0"),
            ({"train_data": [DATA], "scratch": {}, "model": "x"}, [], "give scratch or model, not both"),
            ({"train_data": [DATA], "eval_strategy": "epoch"}, [], "is 'epoch', and there is no eval_data"),
            ({"train_data": [DATA], "load_best_model_at_end": True}, [], "load_best_model_at_end requires"),
        ],
    )  # fmt: skip
    def test_one_clear_error(self, recipe, words, message, tmp_path, capsys):
        path = write(tmp_path, recipe if recipe is not None else {"train_data": [DATA]})
        if recipe is not None and "{}" not in words:
            words = ["{}", *words]
        with pytest.raises(SystemExit) as exit:
            train_trainer.parse([word.replace("{}", str(path)) for word in words])
        assert exit.value.code == 2
        usage, error = capsys.readouterr().err.strip().split("\n", 1)
        assert usage.startswith("usage: ") and message in error
        assert "Traceback" not in error and error.count("\n") < 3

    def test_scratch_geometry(self, recipes, tmp_path):
        with pytest.raises(ValueError, match="unknown geometry depth"):
            train(recipes / "toy.yaml", "--scratch", '{"depth": 3}', "--output_dir", tmp_path)

    def test_numbers_that_yaml_takes_for_text(self, tmp_path):
        text = (
            "learning_rate: 1e-3\nmuon_lr: 3e-3\nauxiliary_weights: [5e-1, 0.3]\nweight_decay: 0\nmax_steps: 1_000\n"
        )
        path = write(tmp_path, text + yaml.safe_dump({"train_data": [DATA]}))
        _, _, args = train_trainer.parse([str(path)])
        assert (args.learning_rate, args.muon_lr, args.auxiliary_weights) == (1e-3, 3e-3, [0.5, 0.3])
        assert args.weight_decay == 0 and args.max_steps == 1000

    def test_the_command_line_wins(self, tmp_path):
        path = write(tmp_path, {"train_data": [DATA], "rank": 4, "towers": ["vit"], "embed": True, "model": "a/b"})
        words = ["--rank", "16", "--towers", "llm", "qformer", "--embed", "false", "--test_data", json.dumps(DATA)]
        model, data, args = train_trainer.parse([str(path), *words])
        assert (model.rank, model.towers, model.model) == (16, ["llm", "qformer"], "a/b")
        assert data.test_data == DATA and args.embed is False

    def test_without_a_recipe(self):
        model, data, args = train_trainer.parse(["--train_data", json.dumps([DATA]), "--output_dir", "x"])
        assert data.train_data == [DATA] and model.towers == ["vit", "qformer", "llm"]
        assert args.predict_with_generate and not args.remove_unused_columns

    @pytest.mark.parametrize("recipe", sorted(path.name for path in (ROOT / "recipes").glob("*.yaml")))
    def test_the_recipes(self, recipe):
        model, data, args = train_trainer.parse([str(ROOT / "recipes" / recipe)])
        assert data.train_data and data.test_data and args.max_steps > 0
        assert args.output_dir == f"runs/{recipe.removesuffix('.yaml')}"

    def test_what_the_embedded_model_is_made_with(self):
        model, data, args = train_trainer.parse([str(ROOT / "recipes" / "mini.yaml")])
        assert model.scratch["num_query_tokens"] == 8 and model.model is None
        assert (args.learning_rate, args.muon_lr, args.warmup_steps, args.seed) == (1e-3, 3e-3, 200, 0)
        assert data.lessons and data.curriculum[0] == [0.15, [1]] and args.auxiliary_weights == [0.5, 0.3]
        assert args.lr_scheduler_kwargs == {"num_decay_steps": 9500, "decay_type": "linear"}

    def test_help_names_the_arguments(self, capsys):
        with pytest.raises(SystemExit) as exit:
            train_trainer.parse(["--help"])
        assert exit.value.code == 0
        shown = capsys.readouterr().out
        assert all(f"--{name}" in shown for name in ("towers", "train_data", "muon_lr", "learning_rate"))


def test_the_docstring_names_recipes_that_are_there():
    for recipe in re.findall(r"recipes/\w+\.yaml", train_trainer.__doc__):
        assert Path(ROOT, recipe).is_file()
