"""`train_trainer.py`: several seeds, early stopping, dry runs, streams, publishing, and what it refuses."""

import json
import subprocess
import sys

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from modeling_blip2idc import load_idc
from modeling_blip2idc.loading.examples import load_examples
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support import layouts
from tests.support.hub_server import HubServer
from tests.support.source_tree import ROOT
from tests.support.training_runs import lines_of, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def seeds(one_thread, recipes, tiny_model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    words = ["--seeds", 1, 2, "--max_steps", 4, "--eval_steps", 2]
    return folder, train(recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", folder, *words)


class TestSeeds:
    def test_mean_and_spread(self, seeds):
        folder, report = seeds
        each = [json.loads((folder / f"seed-{seed}" / "report.json").read_text()) for seed in (1, 2)]
        cider = [one["scores"]["cider"] for one in each]
        assert report["seeds"]["seeds"] == [1, 2] and report["seeds"]["scores"]["cider"]["values"] == cider
        assert report["seeds"]["scores"]["cider"]["mean"] == pytest.approx(sum(cider) / 2)
        assert [one["about"]["seed"] for one in each] == [1, 2]
        assert "## 2 seeds" in (folder / "report.md").read_text(encoding="utf-8")

    def test_seeds_differ(self, seeds):
        a, b = (load_file(seeds[0] / f"seed-{seed}" / "final" / "adapter_model.safetensors") for seed in (1, 2))
        assert any((a[name] != b[name]).any() for name in a)

    def test_the_best_by_its_evaluation_is_kept(self, seeds):
        folder, report = seeds
        logs = {seed: lines_of(folder / f"seed-{seed}" / "metrics.jsonl") for seed in (1, 2)}
        reached = {
            seed: [line["eval_cider"] for line in log if "eval_cider" in line][-1] for seed, log in logs.items()
        }
        best = max(reached, key=reached.get)
        assert report["about"]["seed"] == best and report["about"]["evaluation"] == reached[best]
        for name in ("adapter_model.safetensors", "curves.png"):
            kept = (folder / "final" / name).read_bytes()
            assert kept == (folder / f"seed-{best}" / "final" / name).read_bytes()
        load_idc(folder / "final")  # its base is found from there as well
        card = ModelCard.load(folder / "final" / "README.md")
        assert card.data.model_name == folder.name and "Over the seeds 1, 2 CIDEr is" in card.text


class TestEarlyStopping:
    @pytest.mark.parametrize("metric", ["cider", pytest.param("loss", marks=pytest.mark.slow)])
    def test_no_better_checkpoint(self, metric, recipes, tiny_model_dir, tmp_path, monkeypatch):
        """Nothing is learned at a learning rate of 0: the first evaluation stays the best, also when interrupted."""
        command = [
            recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", tmp_path, "--learning_rate", 0,
            "--eval_steps", 1, "--save_steps", 1, "--load_best_model_at_end", "true", "--early_stopping_patience", 2,
            "--metric_for_best_model", metric,
        ]  # fmt: skip
        step = IDCTrainer.training_step

        def interrupted(self, *args, **kwargs):
            if self.state.global_step == 2:
                raise KeyboardInterrupt
            return step(self, *args, **kwargs)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(IDCTrainer, "training_step", interrupted)
            train(*command)
        report = train(*command)
        assert (report["about"]["steps"], report["about"]["best_step"]) == (3, 1)
        evaluations = [line for line in lines_of(tmp_path / "metrics.jsonl") if "eval_loss" in line]
        assert len(evaluations) == 3 and report["about"]["evaluation"] == evaluations[0][f"eval_{metric}"]


class TestData:
    def test_a_stream(self, recipes, scenes, tiny_model_dir, tmp_path):
        data = json.dumps([scenes("train", 10, streaming=True)])
        report = train(
            recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", tmp_path, "--train_data", data,
            "--shuffle_buffer", 4, "--eval_strategy", "no",
        )  # fmt: skip
        assert report["about"]["steps"] == 8 and report["about"]["train_data"][0]["streaming"]

    def test_rows_of_like_length_together(self, recipes, tiny_model_dir, tmp_path):
        words = ["--train_sampling_strategy", "group_by_length", "--max_steps", 3, "--eval_strategy", "no"]
        report = train(recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", tmp_path, *words)
        assert report["about"]["steps"] == 3


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--tuning", "qlora"], "tuning qlora needs a CUDA GPU and bitsandbytes"),
            (["--dtype", "float16"], "dtype float16: weights of 16 bits overflow"),
            (["--dtype", "int9"], "dtype 'int9' cannot be trained"),
            (["--fp16", "true"], "fp16 needs a GPU"),
            (["--model", "/no/such/folder"], "No such folder: '/no/such/folder'"),
        ],
    )
    def test_before_anything_is_read(self, words, message, recipes, tiny_model_dir, tmp_path):
        with pytest.raises((ValueError, OSError), match=message):
            train(recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", tmp_path / "run", *words)
        assert not (tmp_path / "run").exists()

    def test_publishing_an_adapter_whose_base_is_here(self, recipes, tiny_model_dir, tmp_path):
        words = ["--model", tiny_model_dir, "--output_dir", tmp_path, "--push_to_hub", "true"]
        with pytest.raises(ValueError, match="the adapter's base is not on the Hub"):
            train(recipes / "lora.yaml", *words)

    def test_a_token_where_others_see_it(self, recipes, tiny_model_dir, tmp_path, capsys):
        words = ["--model", tiny_model_dir, "--output_dir", tmp_path / "run", "--hub_token", "hf_secret"]
        with pytest.raises(SystemExit):
            train(recipes / "lora.yaml", *words)
        said = capsys.readouterr().err
        assert "set HF_TOKEN instead" in said and "hf_secret" not in said and not (tmp_path / "run").exists()

    def test_an_adapter_as_base(self, seeds, recipes, tmp_path):
        with pytest.raises(ValueError, match="is an adapter already"):
            train(recipes / "lora.yaml", "--model", seeds[0] / "final", "--output_dir", tmp_path)

    def test_a_benchmark_that_is_incomplete(self, recipes, tiny_model_dir, tmp_path):
        record = {"img_id": "1", "sentences": ["a car left"]}
        root = layouts.spot_the_diff(tmp_path / "std", {split: [record] for split in ("train", "val", "test")})
        (root / "1_2.png").unlink()
        data = json.dumps([{"path": "syned", "name": "spot_the_diff", "split": "train"}])
        words = ["--model", tiny_model_dir, "--output_dir", tmp_path / "run", "--train_data", data]
        with pytest.raises(ValueError, match="1_2.png is missing"):
            train(recipes / "lora.yaml", *words, "--data_dir", root)
        with pytest.raises(ValueError, match="give data_dir=<the folder that holds them>"):
            train(recipes / "lora.yaml", *words)


class TestPublishing:
    def test_push_to_hub(self, recipes, tiny_model_dir, tmp_path):
        code = (  # a token that a program gives, not the environment
            "import sys, train_arguments, train_trainer\n"
            "args = train_arguments.parse(sys.argv[2:]); args[2].hub_token = sys.argv[1]\n"
            "try: train_trainer.main(*args)\nexcept (OSError, ValueError) as error: sys.exit(f'error: {error}')"
        )
        command = [recipes / "lora.yaml", "--model", tiny_model_dir, "--save_steps", 1]
        command += ["--output_dir", tmp_path / "run", "--max_steps", 1, "--eval_strategy", "no"]
        command += ["--push_to_hub", "--hub_model_id", "ann/idc", "--tuning", "full"]
        with HubServer() as hub:
            done, refused = (
                subprocess.run(
                    [sys.executable, "-c", code, token, *(str(word) for word in command)],
                    cwd=ROOT,
                    env={**hub.env(tmp_path / token[:3]), "OMP_NUM_THREADS": "1"},
                    capture_output=True,
                    text=True,
                    timeout=300,
                )
                for token in ("ann-write", "bob-write")
            )
            assert done.returncode == 0, done.stderr
            assert "published as ann/idc" in done.stdout and "ann-write" not in done.stdout + done.stderr
            files = hub.repo("model", "ann/idc").at().files
        local = {path.name for path in (tmp_path / "run" / "final").iterdir()}
        assert local <= set(files)
        others = set(files) - local - {".gitattributes", "preprocessor_config.json"}
        assert [name for name in others if not name.endswith("_blip2idc.py")] == []  # our code
        assert json.loads(files["config.json"].content)["custom_pipelines"]
        # the token is nowhere, neither here nor there
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert any(path.name == "training_args.bin" for path in written)
        assert not [path for path in written if b"ann-write" in path.read_bytes()]
        assert not [name for name, file in files.items() if b"ann-write" in file.content]
        # who may not publish is told before anything is trained
        assert refused.returncode == 1 and "trainable parameters" not in refused.stdout
        assert refused.stderr.strip().splitlines()[-1].startswith("error: ")

    @pytest.mark.slow
    def test_an_adapter_stays_on_the_commit_that_it_was_trained_on(self, recipes, tiny_model_dir, tmp_path):
        upload = "import sys, huggingface_hub as h; h.create_repo(sys.argv[2], exist_ok=True)\n"
        upload += "print(h.upload_folder(folder_path=sys.argv[1], repo_id=sys.argv[2]).oid)"
        with HubServer() as hub:

            def run(*words):
                env = {**hub.env(tmp_path / "home", "ann-write"), "OMP_NUM_THREADS": "1"}
                command = [sys.executable, *map(str, words)]
                done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
                assert done.returncode == 0, done.stderr
                return done.stdout.strip().splitlines()[-1]

            commit = run("-c", upload, tiny_model_dir, "ann/base")
            words = "--model ann/base --max_steps 1 --eval_strategy no --output_dir".split()
            run("train_trainer.py", recipes / "lora.yaml", *words, tmp_path / "run")
            adapter = tmp_path / "run" / "final"
            assert json.loads((adapter / "adapter_config.json").read_text())["revision"] == commit

            pair = load_examples()[0]
            caption = ["-m", "modeling_blip2idc", pair["before"], pair["after"], "--device", "cpu", "--model"]
            said = run(*caption, adapter)
            (changed := tmp_path / "changed").mkdir()
            weights = load_file(tiny_model_dir / "model.safetensors")
            other = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
            save_file(other, changed / "model.safetensors", metadata={"format": "pt"})
            assert run("-c", upload, changed, "ann/base") != commit
            assert run(*caption, adapter) == said
            file = adapter / "adapter_config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), "revision": None}))
            assert run(*caption, adapter) != said
