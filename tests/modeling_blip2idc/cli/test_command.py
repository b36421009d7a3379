"""How the command starts and ends: nothing is loaded before it must be, errors are a line, and the status is known."""

import json
import os
import subprocess
import sys

import pytest
import torch

import blip2idc_cli
from blip2idc_cli import main
from modeling_blip2idc.loading.examples import load_examples
from tests.support.source_tree import ROOT
from tests.support.tiny_blip2 import tiny_pair

PAIR = [load_examples()[0][side] for side in ("before", "after")]
# What has been imported when the command returns, and what it set.
WATCHED = """
import json, os, sys
from blip2idc_cli import main
HEAVY = {"torch", "transformers", "peft", "datasets", "scipy", "sklearn", "gradio", "rich"}
status = main(sys.argv[1:])
print(json.dumps([status, sorted(HEAVY & set(sys.modules)), dict(os.environ)]))
"""


def watched(*arguments, **environment):
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | environment
    command = [sys.executable, "-c", WATCHED, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=True)
    *said, last = done.stdout.splitlines()
    return said, done.stderr, *json.loads(last)


def test_help_loads_nothing():
    commands = ["caption", "demo", "serve", "push", "push-space", "merge", "import-adapter", "canvas"]
    said, errors, status, loaded, environment = watched("--help")
    assert (errors, status, loaded) == ("", 0, [])
    listed = [line.split()[0] for line in said[said.index("Commands:") + 1 :] if line.strip()]
    assert listed[: len(commands)] == commands
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert watched("--help", OMP_WAIT_POLICY="ACTIVE")[-1]["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.parametrize(("arguments", "ends"), [(["caption", "--no"], 2), (["merge"], 2), (["--version"], 0)])
def test_wrong_use_loads_nothing(arguments, ends):
    said, errors, status, loaded, _ = watched(*arguments)
    assert (len(said), errors.count("\n"), status, loaded) == (not ends, bool(ends), ends, [])


def test_a_caption_loads_what_it_needs():
    said, errors, status, loaded, _ = watched(*PAIR)
    assert (len(said), errors, status, loaded) == (2, "", 0, ["torch", "transformers"])


def test_completion_of_options():
    env = os.environ | {"_BLIP2IDC_COMPLETE": "complete_bash", "COMP_WORDS": "blip2idc push --rep", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-m", "blip2idc_cli"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["--replace_card"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (BrokenPipeError, 1)])
def test_interrupted(monkeypatch, capfd, error, status):
    def interrupted(*args, **kwargs):
        raise error

    monkeypatch.setattr("modeling_blip2idc.cli.caption.load_pipeline", interrupted)
    monkeypatch.setattr(blip2idc_cli.os, "dup2", lambda *args: None)
    assert main(PAIR) == status
    assert capfd.readouterr() == ("", "")


def test_logits_that_are_not_finite(tmp_path, capsys):
    """An error that names the dtype, and JSON that can be read."""
    model, processor = tiny_pair(t5=True)
    with torch.no_grad():
        model.language_projection.weight.mul_(3e4)
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    command = [*PAIR, "--json", "--model", str(tmp_path), "--device", "cpu"]
    assert main(command) == 0 and main([*command, "--dtype", "float16"]) == 1
    said, errors = capsys.readouterr()
    assert "float16" in json.loads(said.splitlines()[1])["error"] and errors.count("\n") == 1
