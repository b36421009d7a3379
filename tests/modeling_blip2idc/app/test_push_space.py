"""The page as a Space: composed, pushed to a real Hub on localhost, downloaded, and started from there alone."""

import importlib.metadata
import json
import re
import subprocess
import sys
import threading

import pytest
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement

from tests.support.hub_client import Client
from tests.support.hub_server import ROOT, HubServer, run

PACKAGE = ROOT / "modeling_blip2idc"
MAKE = """
from huggingface_hub import HfApi
api = HfApi()
for name, private in (("ann/one", False), ("ann/two", False), ("ann/secret", True)):
    api.create_repo(name, private=private)
"""
PUSH_SPACE = """
import contextlib, io, os, tempfile
from blip2idc_cli import main
tempfile.tempdir = os.getcwd()
def function(arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        return main(["push-space", *arguments]), out.getvalue(), err.getvalue()
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubServer() as server:
        run(MAKE, server.env(tmp_path_factory.mktemp("home"), "ann-write"))
        yield server


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def push_space(hub, here):
    """`blip2idc push-space`, in the folder `here`: status, output, errors."""
    client = Client(hub, here, PUSH_SPACE)
    yield lambda *arguments: tuple(client(arguments=arguments)["done"])
    client.close()


def files(repo):
    return {path: file.content for path, file in repo.at().files.items() if path != ".gitattributes"}


def package_files():
    paths = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    paths += [ROOT / "blip2idc_cli.py", ROOT / "blip2idc_scripts.py"]
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}


def test_one_command(hub, here, push_space):
    said = push_space("page", "--model", "ann/one", "--model", "ann/two", "--private")
    assert said == (0, f"{hub.url}/spaces/ann/page\n", "")
    repo = hub.repo("space", "ann/page")
    there = files(repo)
    assert repo.private and repo.sdk == "gradio"
    assert there == package_files() | {name: there[name] for name in ("app.py", "README.md", "requirements.txt")}
    assert [commit.title for commit in repo.history()] == ["The page", "initial commit"]
    for path, content in there.items():
        assert str(here).encode() not in content and str(ROOT).encode() not in content, path

    card = SpaceCard(there["README.md"].decode())
    data = card.data
    assert (data.sdk, data.app_file, data.license, data.pinned) == ("gradio", "app.py", "apache-2.0", False)
    assert data.sdk_version == importlib.metadata.version("gradio") and data.python_version == "3.11"
    assert data.models == ["ann/one", "ann/two"] and "image-difference-captioning" in data.tags
    assert len(data.short_description) <= 60 and "`ann/one`, `ann/two`" in card.text
    lines = there["requirements.txt"].decode().splitlines()
    needed = {requirement.name: requirement.specifier for requirement in map(Requirement, lines)}
    assert {"torch", "transformers", "peft", "pillow", "numpy", "safetensors"} <= needed.keys()
    assert {"gradio", "datasets", "pytest", "ray"}.isdisjoint(needed) and "13.0.0" not in needed["pillow"]
    for name, specifier in needed.items():  # a least version, and what runs here is among them
        assert ">=" in str(specifier) and importlib.metadata.version(name) in specifier

    # files of an older version go, others stay; what is there is not uploaded again
    code = """
from huggingface_hub import HfApi
for path in ("modeling_blip2idc/gone_blip2idc.py", "notes.md"):
    HfApi().upload_file(path_or_fileobj=b"old", path_in_repo=path, repo_id="ann/page", repo_type="space")
"""
    run(code, hub.env(here, "ann-write"))
    since = len(hub.requests)
    assert push_space("ann/page")[0] == 0
    assert hub.uploaded(since) == 0 and files(repo).keys() == {*there, "notes.md"}
    assert b"models:" not in files(repo)["README.md"]
    assert list(here.glob("blip2idc-*")) == []


def test_a_dry_run(hub, here, push_space):
    since = len(hub.requests)
    status, said, _ = push_space("page", "--model", "ann/one", "--dry_run")
    assert status == 0 and len(hub.requests) == since and list(here.glob("blip2idc-*")) == []
    listed, card = said.split("\n\n", 1)
    assert re.search(r"^ +[\d,]+  modeling_blip2idc/mini/model\.safetensors$", listed, re.M)
    assert listed.splitlines()[-1].endswith(f" bytes in {len(package_files()) + 3} files")
    assert card.startswith("---\ntitle: ") and "- ann/one\n" in card


def test_what_cannot_be(hub, here, push_space):
    (here / "final").mkdir()
    cases = {
        "final is on this machine only; `blip2idc push` it": ["p", "--model", "final"],
        "'gpt' is not the name of a model on the Hub, which has the form owner/name": ["p", "--model", "gpt"],
        "'a/b/c' cannot be a name on the Hub, which is like account/name": ["p", "--model", "a/b/c"],
        "ann/one is there twice": ["p", "--model", "ann/one", "--model", "ann/one"],
        f"{hub.url} has no model ann/nothing, or the token may not see it": ["p", "--model", "ann/nothing"],
        "ann/secret is private: the Space could not load it": ["p", "--model", "ann/secret"],
        f"{hub.url} refuses bob/page with HTTP status 403: the token may not write there": ["bob/page"],
    }
    repos = set(hub.store.repos)
    for text, arguments in cases.items():
        status, said, complaint = push_space(*arguments)
        assert (status, said) == (1, "") and complaint.startswith(f"blip2idc: error: {text}"), complaint
        assert complaint.count("\n") == 1 and "ann-write" not in complaint
    assert set(hub.store.repos) == repos


START = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download("ann/started", repo_type="space", local_dir=sys.argv[1]))
"""
ASK = """
import json, sys
from gradio_client import Client, handle_file
pair = [handle_file(f"{sys.argv[2]}/modeling_blip2idc/examples/color_{side}.png") for side in ("before", "after")]
print(json.dumps(Client(sys.argv[1], verbose=False).predict(*pair, api_name="/caption")))
"""
# Where this project is installed from its folder, that would answer in the place of what is beside app.py.
HIDE = f"import sys\nsys.path.remove({str(ROOT)!r}) if {str(ROOT)!r} in sys.path else None\n"


@pytest.mark.slow
def test_a_downloaded_space_starts(hub, tmp_path, push_space):
    assert push_space("started") == (0, f"{hub.url}/spaces/ann/started\n", "")
    folder, hidden = tmp_path / "elsewhere" / "started", tmp_path / "hidden"
    run(START, hub.env(tmp_path, "ann-read"), folder)
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDE)
    env = hub.env(tmp_path / "fresh", PYTHONPATH=str(hidden), TMPDIR=str(tmp_path), PYTHONUNBUFFERED="1")
    env |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "GRADIO_SERVER_PORT": "0"}
    names = ["modeling_blip2idc", "blip2idc_cli", "blip2idc_scripts"]
    # without a loader is a folder that has only our recipes: the editable installation puts it there
    found = f"import importlib.util as i; print([getattr(i.find_spec(name), 'loader', None) for name in {names}])"
    seen = subprocess.run([sys.executable, "-c", found], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert seen.stdout == "[None, None, None]\n"
    with (tmp_path / "log.txt").open("w") as log:
        command = [sys.executable, "app.py"]
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    late = threading.Timer(120, server.kill)
    late.start()
    try:
        line = server.stdout.readline()
        assert line.startswith("The page is at http://127.0.0.1:"), line + (tmp_path / "log.txt").read_text()
        asked = run(ASK, hub.env(tmp_path, TMPDIR=str(tmp_path)), line.split()[4], folder)
        answer, *drawn = json.loads(asked.stdout)
        assert answer["changed"] is True and "blue" in answer["caption"] and drawn, answer
        assert str(ROOT) not in (tmp_path / "log.txt").read_text()
    finally:
        late.cancel()
        server.terminate()
        server.wait(30)
        server.stdout.close()
