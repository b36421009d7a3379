"""`train_trainer.py` from a recipe to a folder that loads: from nothing, LoRA, all weights; killed and continued."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import Blip2ForConditionalGeneration

import train_trainer
from modeling_blip2idc import load_idc
from modeling_blip2idc.training.checkpoints import last_checkpoint
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support.source_tree import ROOT
from tests.support.training_runs import assert_nothing_of_this_machine, captions_everywhere, lines_of, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def toy(one_thread, recipes, tmp_path_factory):
    """A run from nothing, not interrupted: its folder and its report."""
    folder = tmp_path_factory.mktemp("toy")
    return folder, train(recipes / "toy.yaml", "--output_dir", folder)


@pytest.fixture(scope="module")
def lora(one_thread, recipes, tiny_model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    return folder, train(recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", folder)


class TestFromNothing:
    def test_what_it_leaves(self, toy):
        folder, report = toy
        final = folder / "final"
        expected = {"config.json", "generation_config.json", "model.safetensors", "processor_config.json"}
        expected |= {"tokenizer.json", "tokenizer_config.json", "README.md", "report.json", "curves.png"}
        expected |= {"examples.png", "chat_template.jinja"}
        assert {path.name for path in final.iterdir()} == expected
        assert {tensor.dtype for tensor in load_file(final / "model.safetensors").values()} == {torch.float16}
        for path in (folder / "report.json", final / "report.json"):
            assert json.loads(path.read_text()) == {key: value for key, value in report.items() if key != "pairs"}
        assert_nothing_of_this_machine(final)
        assert {path.name for path in folder.iterdir()} == {
            "checkpoint-4", "checkpoint-6", "final", "settings.json", "metrics.jsonl", "curves.png", "report.json",
            "report.md", "gallery.html", "predictions.jsonl", "config.json",
        }  # fmt: skip

    def test_the_report(self, toy):
        folder, report = toy
        about = report["about"]
        assert (about["steps"], about["batch_size"], about["learning_rate"], about["muon_lr"]) == (6, 4, 1e-3, 3e-3)
        assert about["train_data"][1]["seed"] == 1 and "cache_dir" not in about["train_data"][1]
        assert report["count"] == 12 and report["oracle_cider"] > 1 and report["no_change"]["unchanged"] == 2
        assert report["scenes"]["by_category"]["move"]["count"] == 2
        assert lines_of(folder / "predictions.jsonl") == report["pairs"]

    def test_the_log(self, toy):
        history = lines_of(toy[0] / "metrics.jsonl")
        assert history == json.loads((toy[0] / "checkpoint-6" / "trainer_state.json").read_text())["log_history"] + [
            history[-1]
        ]
        evaluations = [entry for entry in history if "eval_cider" in entry]
        assert [entry["step"] for entry in evaluations] == [3, 6]
        assert {"eval_loss", "eval_category_accuracy", "eval_no_change_f1"} <= set(evaluations[0])
        assert [entry["step"] for entry in history if "loss" in entry] == [1, 2, 3, 4, 5, 6]
        assert "train_runtime" in history[-1]

    def test_the_card(self, toy):
        card = ModelCard.load(toy[0] / "final" / "README.md")
        results = {result.metric_name: result.metric_value for result in card.data.eval_results}
        assert results["CIDEr-D (x100)"] == round(100 * toy[1]["scores"]["cider"], 4)
        assert "A small BLIP2IDC, trained from nothing" in card.text and "(curves.png)" in card.text
        assert "(examples.png)" in card.text

    def test_when_it_is_not_sure(self, toy):
        """By the evaluation split; the report has how often it is right on the test split."""
        least = json.loads((toy[0] / "final" / "config.json").read_text())["not_sure_below"]
        if least is None:
            assert "sureness" not in toy[1]
        else:
            said = toy[1]["sureness"]
            assert said["not_sure_below"] == least and 0 <= said["pairs_below"] <= toy[1]["count"]
            assert (
                f"Below a score of {least:.3f} it says that it is not sure"
                in (toy[0] / "final" / "README.md").read_text()
            )

    def test_plain_blip2_loads_it(self, toy):
        folder, _ = toy
        _, info = Blip2ForConditionalGeneration.from_pretrained(folder / "final", output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]

    def test_a_finished_run_is_not_trained_again(self, toy, recipes, tmp_path, monkeypatch):
        folder = shutil.copytree(toy[0], tmp_path / toy[0].name)
        shutil.rmtree(folder / "final")

        def forbidden(*args, **kwargs):
            raise AssertionError("it trains")

        monkeypatch.setattr(IDCTrainer, "training_step", forbidden)
        assert train(recipes / "toy.yaml", "--output_dir", folder) == toy[1]
        for name in ("final/model.safetensors", "predictions.jsonl"):
            assert (folder / name).read_bytes() == (toy[0] / name).read_bytes()

    def test_embed(self, toy, recipes, tmp_path, monkeypatch):
        monkeypatch.setitem(train_trainer.EMBEDDED, "mini_photos", tmp_path / "mini_photos")
        folder = shutil.copytree(toy[0], tmp_path / "toy")
        train(recipes / "toy.yaml", "--output_dir", folder, "--embed", "mini_photos")
        names = {path.name for path in (folder / "final").iterdir()}
        assert {path.name for path in (tmp_path / "mini_photos").iterdir()} == names
        assert "make mini-photos" in (tmp_path / "mini_photos" / "README.md").read_text()


class TestLoRA:
    def test_the_adapter_alone_is_saved(self, lora, tiny_model_dir):
        folder, report = lora
        final = folder / "final"
        weights = load_file(final / "adapter_model.safetensors")
        assert all(re.search(r"\.lora_[AB]\.weight$", name) for name in weights)
        assert sum(tensor.numel() for tensor in weights.values()) == report["about"]["trainable_parameters"]["total"]
        towers = {"vision_model", "qformer", "language_model"}
        assert {tower for tower in towers if any(tower in name for name in weights)} == towers
        assert not (final / "model.safetensors").exists()
        assert {"processor_config.json", "tokenizer.json", "README.md", "report.json"} <= {
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

    def test_a_finished_run_is_extended(self, lora, recipes, tiny_model_dir, tmp_path):
        """By more steps, and by nothing else; the schedule is that of the new length, from the second step on."""
        folder = shutil.copytree(lora[0], tmp_path / "run")
        command = [recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", folder, "--max_steps"]
        with pytest.raises(ValueError, match="learning_rate 0.01 there, 0.1 now; max_steps 8 there, 10 now"):
            train(*command, 10, "--learning_rate", 0.1)
        with pytest.raises(ValueError, match="max_steps 8 there, 7 now"):
            train(*command, 7)
        assert train(*command, 10)["about"]["steps"] == 10
        log = [line for line in lines_of(folder / "metrics.jsonl") if "loss" in line]
        assert [line["step"] for line in log] == list(range(1, 11))
        assert [line["learning_rate"] for line in log[7:]] == pytest.approx([0.01 / 8, 0, 0.01 / 10])
        a, b = (load_file(path / "final" / "adapter_model.safetensors") for path in (folder, lora[0]))
        assert any(not torch.equal(a[name], b[name]) for name in a)
        with pytest.raises(ValueError, match="max_steps 10 there, 8 now"):
            train(*command, 8)

    def test_scored_in_the_precision_of_training(self, recipes, tiny_model_dir, tmp_path, monkeypatch):
        """Not in that of the base's files. What is trained with is recorded; `draft` stays with the processor."""
        for part in load_idc(tiny_model_dir, dtype="bfloat16"):
            part.save_pretrained(tmp_path / "base")
        loaded = []
        monkeypatch.setattr(train_trainer, "load_idc", lambda *a, **k: loaded.append(load_idc(*a, **k)) or loaded[-1])
        words = ["--bf16", "true", "--draft", "true", "--max_steps", 1, "--eval_strategy", "no"]
        report = train(recipes / "lora.yaml", "--model", tmp_path / "base", "--output_dir", tmp_path / "run", *words)
        assert (report["about"]["dtype"], report["about"]["autocast"]) == ("float32", "bfloat16")
        assert [model.dtype for model, _ in loaded] == [torch.float32]
        assert load_idc(tmp_path / "base")[0].dtype == torch.bfloat16
        text = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
        assert "- dtype: `float32`\n- autocast: `bfloat16`" in text
        assert load_idc(tmp_path / "run" / "final")[1].draft

    def test_towers_and_t5(self, recipes, tiny_t5_dir, tmp_path, scenes):
        report = train(
            recipes / "lora.yaml", "--model", tiny_t5_dir, "--output_dir", tmp_path, "--max_steps", 2,
            "--towers", "vit", "language", "--rank", 2, "--eval_strategy", "no", "--muon_lr", 1e-3,
        )  # fmt: skip
        assert set(report["about"]["trainable_parameters"]) == {"vit", "language", "total"}
        evaluated, piped, generated = captions_everywhere(tmp_path, scenes, 6)
        assert evaluated == piped == generated

    def test_how_captions_are_searched_is_saved(self, lora, recipes, tiny_model_dir, tmp_path, scenes):
        words = ["--max_new_tokens", 3, "--num_beams", 2, "--max_steps", 1, "--eval_strategy", "no"]
        report = train(recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", tmp_path, *words)
        assert report["about"]["decoding"] == {"max_new_tokens": 3, "num_beams": 2}
        evaluated, piped, generated = captions_everywhere(tmp_path, scenes, 6)
        assert evaluated == piped == generated
        settings = load_idc(tmp_path / "final")[0].generation_config
        assert (settings.max_new_tokens, settings.num_beams) == (3, 2)
        assert len(max(evaluated, key=len)) < len(
            max((line["caption"] for line in lines_of(lora[0] / "predictions.jsonl")), key=len)
        )


@pytest.fixture(scope="module")
def full(one_thread, recipes, lora, tmp_path_factory):
    """All weights, starting from an adapter that is merged first."""
    folder = tmp_path_factory.mktemp("full")
    words = ["--tuning", "full", "--max_steps", 3, "--load_best_model_at_end", "true", "--save_steps", 4]
    return folder, train(recipes / "lora.yaml", "--model", lora[0] / "final", "--output_dir", folder, *words)


class TestFull:
    def test_everything_is_trained(self, full, lora):
        folder, report = full
        model = load_idc(folder / "final")[0]
        assert report["about"]["trainable_parameters"]["total"] == sum(p.numel() for p in model.parameters())
        start = load_idc(lora[0] / "final")[0].merge_and_unload().state_dict()
        for part in ("vision_model", "qformer", "language_model", "language_projection", "query_tokens"):
            changed = [n for n, p in model.named_parameters() if n.startswith(part) and not torch.equal(p, start[n])]
            assert changed, part
        assert_nothing_of_this_machine(folder / "final")
        assert "All weights of" in (folder / "final" / "README.md").read_text()


def test_the_docstring_names_recipes_that_are_there():
    for recipe in re.findall(r"recipes/\w+\.yaml", train_trainer.__doc__):
        assert Path(ROOT, recipe).is_file()


@pytest.mark.parametrize(("run", "rows"), [("toy", 12), ("lora", 6), ("full", 6)])
def test_the_same_captions_everywhere(run, rows, scenes, monkeypatch, tmp_path, request):
    folder, _ = request.getfixturevalue(run)
    monkeypatch.chdir(tmp_path)  # the base of an adapter is found from anywhere
    evaluated, piped, generated = captions_everywhere(folder, scenes, rows)
    assert evaluated == piped == generated
    assert run != "lora" or len(set(evaluated)) > 1


@pytest.mark.parametrize(("run", "step", "checkpoint"), [("toy", 5, 4), ("lora", 7, 6)])
def test_interrupted_and_continued(run, step, checkpoint, recipes, tiny_model_dir, tmp_path, monkeypatch, request):
    """Weights, captions and log are those of an uninterrupted run: dense supervision under Muon, and LoRA."""
    whole, _ = request.getfixturevalue(run)
    model = ["--model", tiny_model_dir] if run == "lora" else []
    command = [recipes / f"{run}.yaml", *model, "--output_dir", tmp_path]
    training_step = IDCTrainer.training_step

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == step:
            raise KeyboardInterrupt
        return training_step(self, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(IDCTrainer, "training_step", interrupted)
        train(*command)
    assert last_checkpoint(tmp_path).endswith(f"checkpoint-{checkpoint}") and not (tmp_path / "final").exists()
    train(*command)
    weights = "adapter_model.safetensors" if run == "lora" else "model.safetensors"
    for name in (f"final/{weights}", "predictions.jsonl"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name
    logs = ([line["step"] for line in lines_of(folder / "metrics.jsonl")] for folder in (tmp_path, whole))
    assert next(logs) == next(logs)
