"""
Where a token must not appear: each command that publishes, with everything logged that can be and a Hub that fails now
and then. Searched are its output, its files, what it uploads and asks for, and the titles of all processes meanwhile.
"""

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support import layouts
from tests.support.hub_server import HubServer
from tests.support.tiny_blip2 import tiny_pair

TOKEN = "hf_" + "SecretThatNobodyElseMaySee"
# The command, with the log of every library.
COMMAND = """
import logging, runpy, sys, time
time.sleep = lambda seconds: None  # the clients wait for seconds between attempts
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
LOUD = {"HF_DEBUG": "1", "HF_HUB_VERBOSITY": "debug", "TRANSFORMERS_VERBOSITY": "debug", "DATASETS_VERBOSITY": "debug"}


def model(tmp_path):
    folder = tmp_path / "final"
    for part in tiny_pair():
        part.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    return "modeling_blip2idc", "push", folder, "ann/model"


def data_set(tmp_path):
    splits = enumerate(("train", "val", "test"))
    records = {split: [{"img_id": str(number), "sentences": [f"person {number} left"]}] for number, split in splits}
    root = layouts.spot_the_diff(tmp_path / "std", records)
    return "datasets_syned", "push", "spot_the_diff", "ann/data", "--data_dir", root


def space(tmp_path):
    return "modeling_blip2idc", "push-space", "ann/page"


def metric(tmp_path):
    return "metrics.cider", "push", "ann/cider"


@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="titles of processes are read from /proc")
@pytest.mark.parametrize(
    "command", [metric, *(pytest.param(slow, marks=pytest.mark.slow) for slow in (model, data_set, space))]
)
def test_a_token_is_seen_nowhere(tmp_path, command):
    here, secret = tmp_path / "here", TOKEN.encode()
    here.mkdir()
    words = list(map(str, command(tmp_path)))
    with HubServer(accounts={"ann": {TOKEN: "write"}}) as hub:
        env = hub.env(here, TOKEN, TMPDIR=str(here), HOME=str(here), OMP_NUM_THREADS="1", **LOUD)
        hub.fail("/preupload/", status=500)
        hub.fail("/preupload/", nth=2, cut="answer")
        hub.fail("^POST .*/commit/", status=429, retry_after=0)
        hub.fail("^POST .*/commit/", nth=2, cut="body")
        statuses = []
        for _ in range(8):
            done = _run([sys.executable, "-c", COMMAND, *words], env, here, secret)
            assert secret not in done.stdout + done.stderr
            assert b"/commit/" in done.stderr or b"No files have been modified" in done.stderr  # it does log
            statuses.append(done.returncode)
            if not statuses[-1]:
                break
        assert statuses[0] != 0 and statuses[-1] == 0, statuses
        assert {request.token for request in hub.seen("/commit/")} == {TOKEN}
        assert not any(TOKEN in str(request) for request in hub.requests)
        for repo in hub.store.repos.values():
            commits = repo.commits.values()
            sent = [*repo.objects.values(), *(file.content for commit in commits for file in commit.files.values())]
            assert sent and not any(secret in content for content in sent)
            assert not any(TOKEN in f"{commit.title} {commit.message} {list(commit.files)}" for commit in commits)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert secret not in path.read_bytes(), path


def _run(command, env, folder, secret):
    """A finished process; fails where any process bore the secret in its title meanwhile."""
    seen, ended = [], threading.Event()

    def watch():
        for _ in itertools.takewhile(lambda _: not ended.wait(0.02), itertools.count()):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    title = path.read_bytes()
                except OSError:
                    continue  # it has ended
                seen.extend([title] if secret in title else [])

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, timeout=200)
    finally:
        ended.set()
        watcher.join()
    assert not seen
    return done


def test_a_title_would_be_seen(tmp_path):
    with pytest.raises(AssertionError):
        _run([sys.executable, "-c", "import time; time.sleep(0.5)", TOKEN], dict(os.environ), tmp_path, TOKEN.encode())
