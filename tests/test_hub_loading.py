"""Loading while the Hub fails: all of a model or a data set, or an error; a second try has it."""

import json
import subprocess
import sys
from dataclasses import replace

import pyarrow
import pyarrow.parquet
import pytest

from modeling_blip2idc.loading.examples import EXAMPLES
from tests.support.hub_client import FAULTS, PUBLISH, Client
from tests.support.hub_server import run
from tests.support.tiny_blip2 import tiny_pair


@pytest.fixture(scope="module")
def publish(hub, tmp_path_factory):
    client = Client(hub, tmp_path_factory.mktemp("home"), PUBLISH)
    yield client
    client.close()


LOST = """
import sys, time
time.sleep = lambda seconds: None
from modeling_blip2idc.__main__ import main
sys.exit(main([*sys.argv[1:], "--model", "ann/lost"]))
"""


def test_a_command_whose_connection_is_lost(hub, publish, tmp_path):
    """One line, and the next time it goes on."""
    for part in tiny_pair():
        part.save_pretrained(tmp_path / "model")
    publish(folder=tmp_path / "model", repo="ann/lost")
    images = sorted(path for path in EXAMPLES.glob("color_*.png"))
    hub.fail("^GET /ann/lost/resolve/.*/model.safetensors", cut="body", times=99)
    lost = run(LOST, hub.env(tmp_path), *images, check=False)
    hub.faults.clear()
    assert lost.returncode == 1 and "Traceback" not in lost.stderr
    said = lost.stderr.splitlines()[-1]  # above it, the client tells of its attempts
    assert said.startswith(f"blip2idc: error: the connection to {hub.url} failed (RemoteProtocolError) at /ann/lost/")
    assert said.endswith("/model.safetensors; try again: files that are whole are kept")
    assert run(LOST, hub.env(tmp_path), *images).stdout.splitlines()[1].startswith("confidence")


# Loads what each line of its input names, as whoever has only transformers and datasets would.
STOCK = """
import json, sys, time
sys.modules["modeling_blip2idc"] = sys.modules["datasets_syned"] = None
from datasets import load_dataset
from transformers import AutoModelForImageTextToText, AutoProcessor
time.sleep = lambda seconds: None
for line in sys.stdin:
    kind, name = json.loads(line)
    try:
        if kind == "model":
            AutoProcessor.from_pretrained(name, trust_remote_code=True)
            model = AutoModelForImageTextToText.from_pretrained(name, trust_remote_code=True)
            out = {"done": float(sum(weight.double().abs().sum() for weight in model.parameters()))}
        elif kind == "streamed":
            out = {"done": sum(row["number"] for row in load_dataset(name, split="train", streaming=True))}
        else:
            out = {"done": sum(load_dataset(name, split="train")["number"])}
    except Exception as error:
        out = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(out), flush=True)
"""


@pytest.mark.slow
def test_loading_by_name(hub, publish, tmp_path):
    """A model and a data set, with the stock libraries: all of it, or an error; a second try has it."""
    for part in tiny_pair():
        part.save_pretrained(tmp_path / "model")
    (tmp_path / "data").mkdir()
    table = pyarrow.table({"number": list(range(20_000))})
    pyarrow.parquet.write_table(table, tmp_path / "data" / "train.parquet", compression="none")
    publish(folder=tmp_path / "model", repo="ann/stock")
    publish(folder=tmp_path / "data", repo="ann/stock", repo_type="dataset")
    env = hub.env(tmp_path / "home", OMP_NUM_THREADS="1")
    (tmp_path / "home").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", STOCK], env=env, cwd=tmp_path / "home", stdin=-1, stdout=-1, stderr=-3, text=True
    )

    def load(*what):
        print(json.dumps(what), file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    faults = {**FAULTS, "cut each time": {"cut": "body", "times": 99}}
    ends = {}
    for kind, wanted in (("model", "model.safetensors"), ("dataset", "train.parquet"), ("streamed", "train.parquet")):
        stored = "model" if kind == "model" else "dataset"
        whole = load(kind, "ann/stock")["done"]
        for number, (fault, how) in enumerate(faults.items()):
            # under a name of its own, of which nothing is in a cache
            name = f"ann/{kind}-{number}"
            hub.store.repos[stored, name] = replace(hub.repo(stored, "ann/stock"), id=name)
            hub.fail(f"^GET .*/resolve/.*/{wanted}", **how)
            ends[kind, fault] = out = load(kind, name)
            hub.faults.clear()
            assert out == {"done": whole} or out["error"], (kind, fault)
            assert load(kind, name) == {"done": whole}, (kind, fault)
        for fault in ("429 once", "cut in the request", "cut before the answer", "cut in the answer", "slow"):
            assert "done" in ends[kind, fault], (kind, fault, ends)
        assert "error" in ends[kind, "500"], kind
    process.stdin.close()
    process.stdout.close()
    process.wait(30)
