"""
When the Hub fails while something is pushed or a model is loaded: it ends complete or not at all, with one line that
says what went wrong, and a second try finishes it. The real clients, in processes of their own, over HTTP.
"""

import hashlib
import itertools
import json
import random

import pytest

from modeling_blip2idc.loading.examples import EXAMPLES
from tests.support.hub_client import FAULTS, LASTING, PASSING, PUBLISH, Client
from tests.support.hub_server import run
from tests.support.tiny_blip2 import tiny_pair

METRIC = "from metrics.cider.__main__ import push as function"
ROUTES = {
    "create": "^POST /api/repos/create",
    "branch": "^POST .*/branch/",
    "card": "^POST /api/validate-yaml",
    "preupload": "^POST .*/preupload/",
    "batch": "^POST .*/objects/batch",
    "put": "^PUT /lfs/",
    "verify": "^POST /lfs/.*/verify",
    "commit": "^POST .*/commit/",
}
RETRIED = {"preupload", "batch", "put", "verify"}  # by the client


@pytest.fixture(scope="module")
def client(hub, tmp_path_factory):
    """One for each function, started when it is first asked for."""
    started = {}

    def of(function):
        if function not in started:
            started[function] = Client(hub, tmp_path_factory.mktemp("home"), function)
        return started[function]

    yield of
    for one in started.values():
        one.close()


@pytest.fixture
def version(tmp_path):
    """Makes folders to publish, each different from the one before."""
    numbers = itertools.count()

    def make():
        number = next(numbers)
        folder = tmp_path / f"version-{number}"
        folder.mkdir()
        (folder / "README.md").write_text(f"---\nsdk: gradio\nlicense: mit\n---\n# {number}\n")
        (folder / "config.json").write_text(json.dumps({"version": number}))
        (folder / "model.safetensors").write_bytes(random.Random(number).randbytes(20_000))
        return folder

    return make


def state(repo):
    return {path: file.content for path, file in repo.at().files.items() if path != ".gitattributes"}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_error(hub, text):
    assert hub.url in text and "\n" not in text and "ann-write" not in text
    assert "ame command continues" in text or "HTTP status 4" in text


@pytest.mark.parametrize(("kind", "route"), [("space", "card"), *(("model", route) for route in ROUTES)])
def test_complete_or_not_at_all(hub, client, version, kind, route):
    publish, name = client(PUBLISH), f"ann/fails-at-{route}"
    there = {"repo": name, "repo_type": kind}
    first = version()
    assert publish(folder=first, **there)["done"] == name
    repo, old = hub.repo(kind, name), content(first)
    for fault, how in FAULTS.items():
        folder, commits = version(), len(repo.history())
        hub.fail(ROUTES[route], **how)
        out, new = publish(folder=folder, **there), content(folder)
        hub.faults.clear()
        assert state(repo) in (old, new), fault
        if "done" in out:
            assert state(repo) == new and not (fault in LASTING and "status" in how), fault
        else:
            check_error(hub, out["error"])
            assert not (fault in PASSING and route in RETRIED) and fault != "slow", (fault, out)
        if fault == "429 once" and "done" in out:
            assert 7 <= out["waits"][0] <= 9, fault
        # again: it finishes, what is there is not uploaded once more, and there is one commit in all
        missing = {hashlib.sha256(new["model.safetensors"]).hexdigest()} - repo.objects.keys()
        since = len(hub.requests)
        assert publish(folder=folder, **there)["done"] == name
        assert state(repo) == new and len(repo.history()) == commits + 1, fault
        assert hub.uploaded(since) == 20_000 * len(missing), fault
        old = new


def test_a_first_push(hub, client, version):
    """There is no repository yet, or an empty one."""
    publish, folder = client(PUBLISH), version()
    for number, (route, fault) in enumerate(itertools.product(("create", "branch", "commit"), FAULTS)):
        there = {"repo": f"ann/first-{number}", "repo_type": "space", "private": True}
        hub.fail(ROUTES[route], **FAULTS[fault])
        out = publish(folder=folder, **there)
        hub.faults.clear()
        if "error" in out:
            check_error(hub, out["error"])
            repo = hub.store.repos.get(("space", there["repo"]))
            assert repo is None or state(repo) in ({}, content(folder))
            out = publish(folder=folder, **there)
        repo = hub.repo("space", out["done"])
        assert state(repo) == content(folder) and repo.private and len(repo.history()) == 2, (route, fault)


@pytest.mark.parametrize("route", ["create", "card", "preupload", "commit"])
def test_the_metric(hub, client, route):
    push, key = client(METRIC), ("space", "ann/cider")
    hub.store.repos.pop(key, None)
    assert push(repo="cider") == {"done": "ann/cider", "waits": []}
    whole = state(hub.store.repos.pop(key))
    for fault, how in FAULTS.items():
        hub.fail(ROUTES[route], **how)
        out = push(repo="cider")
        hub.faults.clear()
        if "done" not in out:
            check_error(hub, out["error"])
            assert key not in hub.store.repos or state(hub.repo(*key)) in ({}, whole), fault
            assert not (fault in PASSING and route in RETRIED) and fault != "slow", (fault, out)
            assert push(repo="cider")["done"] == "ann/cider"
        repo = hub.store.repos.pop(key)
        assert state(repo) == whole and len(repo.history()) == 2, fault


LOST = """
import sys, time
time.sleep = lambda seconds: None
from modeling_blip2idc.__main__ import main
sys.exit(main([*sys.argv[1:], "--model", "ann/lost"]))
"""


def test_a_command_whose_connection_is_lost(hub, client, tmp_path):
    """One line, and the next time it goes on."""
    for part in tiny_pair():
        part.save_pretrained(tmp_path / "model")
    client(PUBLISH)(folder=tmp_path / "model", repo="ann/lost")
    images = sorted(path for path in EXAMPLES.glob("color_*.png"))
    hub.fail("^GET /ann/lost/resolve/.*/model.safetensors", cut="body", times=99)
    lost = run(LOST, hub.env(tmp_path), *images, check=False)
    hub.faults.clear()
    assert lost.returncode == 1 and "Traceback" not in lost.stderr
    said = lost.stderr.splitlines()[-1]  # above it, the client tells of its attempts
    assert said.startswith(f"blip2idc: error: the connection to {hub.url} failed (RemoteProtocolError) at /ann/lost/")
    assert said.endswith("/model.safetensors; try again: files that are whole are kept")
    assert run(LOST, hub.env(tmp_path), *images).stdout.splitlines()[1].startswith("confidence")
