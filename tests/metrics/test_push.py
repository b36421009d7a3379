"""The metric as a Space: pushed to a real Hub on localhost, loaded back by name without this project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from metrics.cider import score
from tests.support.hub_server import run

MODULE = Path(__file__).resolve().parents[2] / "metrics" / "cider"
PREDICTIONS = ["the red ball is gone", "a cube was added", "nothing changed"]
VALUE = 3.671167760991  # as pycocoevalcap 1.2 gives it
REFERENCES = [["the ball is gone", "the red ball disappeared"], ["someone added a blue cube"], ["nothing changed"]]
LOAD = """
import json, sys
for name in ("metrics", "modeling_blip2idc", "datasets_syned"):
    sys.modules[name] = None  # no code of this project can be imported
sys.modules["transformers"] = None  # evaluate imports it, and torch, where it is installed
import evaluate
del sys.modules["transformers"]
name, predictions, references = json.loads(sys.argv[1])
metric = evaluate.load(name)
print(json.dumps(metric.compute(predictions=predictions, references=references, scorers=["cider", "rouge_l"])))
print(metric.tokenize("It's gone."))
"""


def push(hub, home, *arguments, token="ann-write"):
    command = [sys.executable, "-m", "metrics.cider", "push", *arguments]
    return subprocess.run(command, env=hub.env(home, token), cwd=home, capture_output=True, text=True, timeout=60)


def files(repo):
    return {path: file.content for path, file in repo.at().files.items() if path != ".gitattributes"}


def test_one_command_and_it_loads_by_name(hub, tmp_path):
    done = push(hub, tmp_path, "cider")
    assert (done.returncode, done.stdout, done.stderr) == (0, 'evaluate.load("ann/cider")\n', "")
    repo = hub.repo("space", "ann/cider")
    own = {path.name: path.read_bytes() for path in MODULE.iterdir() if path.suffix in (".py", ".md", ".txt")}
    card = files(repo)["README.md"]
    assert files(repo) == own | {"README.md": card} and repo.sdk == "gradio" and not repo.private
    assert b'cider = evaluate.load("ann/cider")' in card and b"sdk: gradio" in card
    assert card.replace(b"ann/cider", b"metrics/cider") == own["README.md"]

    again = push(hub, tmp_path, "ann/cider")
    assert again.returncode == 0 and [one.title for one in repo.history()] == [
        "CIDEr and its companions",
        "initial commit",
    ]

    env = hub.env(tmp_path / "fresh", HF_UPDATE_DOWNLOAD_COUNTS="0")  # they are kept by another server
    del env["PYTHONPATH"]
    arguments = json.dumps(["ann/cider", PREDICTIONS, REFERENCES])
    command = [sys.executable, "-I", "-c", LOAD, arguments]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    numbers, beside = done.stdout.splitlines()
    assert json.loads(numbers) == score(PREDICTIONS, REFERENCES, scorers=["cider", "rouge_l"])
    assert json.loads(numbers)["cider"] == pytest.approx(VALUE, abs=1e-9)
    assert beside == "['it', \"'s\", 'gone']"


def test_an_older_version_gives_way(hub, tmp_path):
    code = """
from huggingface_hub import HfApi
for path in ("old_helper.py", "notes.csv"):
    HfApi().upload_file(path_or_fileobj=b"x = 1", path_in_repo=path, repo_id="bob/cider", repo_type="space")
"""
    assert push(hub, tmp_path, "bob/cider", "--private", token="bob-write").returncode == 0
    before = files(hub.repo("space", "bob/cider"))
    run(code, hub.env(tmp_path, "bob-write"))
    assert push(hub, tmp_path, "cider", token="bob-write").returncode == 0
    assert files(hub.repo("space", "bob/cider")) == before | {"notes.csv": b"x = 1"}
    assert hub.repo("space", "bob/cider").private


def test_what_cannot_be(hub, tmp_path):
    code = """
import json, sys
from metrics.cider.__main__ import push
push("cider", token="ann-write")
for arguments in json.loads(sys.argv[1]):
    try:
        print(push(*arguments))
    except RuntimeError as error:
        print(error)
"""
    no_name = "evaluate finds this metric only in a Space that is called cider: someone/cider, not ann/cide-r"
    public = "ann/cider is there and is public, nothing was uploaded: make it private, or choose another"
    refuses = f"{hub.url} refuses ann/cider with HTTP status"
    cases = {
        no_name: ("ann/cide-r",),
        "'a/b/cider' is no name of a Space: Repo id must be in the form": ("a/b/cider", False, "ann-write"),
        public: ("ann/cider", True, "ann-write"),
        f"{refuses} 403: the token may not write there; it needs": ("ann/cider", False, "bob-write"),
        f"{refuses} 401: the token is not accepted": ("ann/cider", False, "hf_secret"),
        f"{refuses} 401: the token is not accepted, or there is none": ("ann/cider",),
    }
    said = run(code, hub.env(tmp_path), json.dumps(list(cases.values()))).stdout.splitlines()
    assert len(said) == len(cases)
    for text, start in zip(said, cases, strict=True):
        assert text.startswith(start) and "hf_secret" not in text
    assert len(hub.repo("space", "ann/cider").history()) == 2
    done = push(hub, tmp_path, "ann/cide-r")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"metrics.cider: error: {no_name}\n")
