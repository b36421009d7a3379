"""`blip2idc-train` and `blip2idc-evaluate` as processes: help, statuses, one line for what goes wrong."""

import json
import os
import re
import resource
import subprocess
import sys

import pytest
from transformers import TrainerState

import blip2idc_scripts
import train_arguments
from blip2idc_scripts import RECIPES, TRAIN_HELP
from datasets_syned.loading.builder import DEFAULT, Syned
from evaluate_arguments import BENCHMARKS
from modeling_blip2idc.training.checkpoints import last_checkpoint
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support.source_tree import ROOT


def run(script, *words, before="", **environment):
    """A process of a script of the root, after some lines of Python."""
    code = f"{before}\nimport runpy, sys; sys.argv[:] = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment}
    command = [sys.executable, "-c", code, str(ROOT / script), *map(str, words)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def said(done, status):
    """The one line that a process left on stderr."""
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("script", ["train_trainer.py", "evaluate_idc.py"])
class TestBoth:
    def test_help_is_there_at_once(self, script):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run(script, "--help", before="import sys; sys.modules |= dict.fromkeys(('torch', 'datasets'))")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
        assert done.returncode == 0 and f"usage: {script} " in done.stdout and "examples:\n" in done.stdout
        assert "Exit status: 0 done, 1 something failed, 2 wrong use, 130 interrupted" in done.stdout
        assert max(map(len, done.stdout.replace(str(RECIPES), "recipes").splitlines())) <= 120

    def test_a_library_that_is_missing(self, script):
        before = "import importlib.util as util; find = util.find_spec\n"
        done = run(script, before=before + "util.find_spec = lambda name: find(name) if name != 'datasets' else None")
        assert said(done, 1) == f"{script}: error: datasets not installed: pip install 'blip2idc[train]'"


def test_the_help_of_training(capsys):
    """Its options are options, with their defaults; `--help_all` has the others, too."""
    with pytest.raises(SystemExit) as exit:
        train_arguments.parse(["--help_all"])
    everything = capsys.readouterr().out
    assert exit.value.code == 0 and "--optim_target_modules" in everything
    named = re.findall(r"^  --(\w+)", TRAIN_HELP, re.M)
    assert 20 <= len(named) <= 25 and all(re.search(rf"^  --{name}\b", everything, re.M) for name in named)
    groups = train_arguments.ModelArguments, train_arguments.DataArguments, train_arguments.IDCTrainingArguments
    usual = {name: value for group in groups for name, value in vars(group()).items()}
    for name, default in re.findall(r"^  --(\w+).*default: (?=[\dr])(\S+)$", TRAIN_HELP, re.M):
        assert name == "num_proc" or str(usual[name]).removesuffix(".0") == default, name


def test_the_benchmarks_of_evaluation():
    assert (BENCHMARKS, BENCHMARKS[0]) == (tuple(Syned.builder_configs), DEFAULT)


def test_a_damaged_file_of_captions(tmp_path):
    (tmp_path / "p").write_text("{oops")
    done = run("evaluate_idc.py", "--predictions", tmp_path / "p", "--out", tmp_path / "out")
    expected = f"evaluate_idc.py: error: {tmp_path}/p, line 1: is no JSON: Expecting property name"
    assert said(done, 1).startswith(expected)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


class TestATerminalOfASCII:
    ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}

    def test_evaluation(self, tmp_path):
        row = {"id": "ä", "caption": "ein Stück fehlt ☃", "references": ["ein Stück fehlt"]}
        (tmp_path / "p.jsonl").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
        words = ["--predictions", tmp_path / "p.jsonl", "--out", tmp_path / "ö"]
        done = run("evaluate_idc.py", *words, PATH="", **self.ASCII)  # no Java, which METEOR would wait for
        assert done.returncode == 0, done.stderr
        assert "\\xd7100" in done.stdout and (tmp_path / "ö" / "report.md").is_file()

    def test_training(self, recipes, tiny_model_dir, tmp_path):
        words = [recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", tmp_path / "ö", "--max_steps", 1]
        done = run("train_trainer.py", *words, "--eval_strategy", "no", "--disable_tqdm", "false", **self.ASCII)
        assert done.returncode == 0, done.stderr
        assert f"see {tmp_path}/\\xf6/report.md" in done.stdout


def test_a_disk_that_is_full(one_thread, recipes, tiny_model_dir, tmp_path, monkeypatch, capsys):
    """Files that grow too large, which libraries tell as they tell a full disk; then there is room again."""
    words = [str(word) for word in (recipes / "lora.yaml", "--model", tiny_model_dir, "--output_dir", tmp_path)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for owner, name in ((IDCTrainer, "save_model"), (IDCTrainer, "_save_rng_state"), (TrainerState, "save_to_json")):
        original = getattr(owner, name)

        def limited(self, *args, original=original, **kwargs):
            if "checkpoint-6" in str(args):
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
            return original(self, *args, **kwargs)

        try:
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, limited)
                status = blip2idc_scripts.train(words)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert status == 1 and ": error: disk full (" in capsys.readouterr().err.splitlines()[-1]
        assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-3")
    assert blip2idc_scripts.train(words) == 0
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-8")
