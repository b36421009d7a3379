"""One process, killed again and again at any moment, arrives at what an uninterrupted run arrives at."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modeling_blip2idc.training.checkpoints import last_checkpoint
from tests.support.source_tree import ROOT

SCRIPT = "from tests.support.distributed_run import run; import json, sys; run(json.loads(sys.argv[1]))"


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_killed_at_random(tuning, tiny_model_dir, tmp_path):
    spec = {"model": str(tiny_model_dir), "tuning": tuning, "max_steps": 60, "save_strategy": "steps", "save_steps": 2}
    spec |= {"save_total_limit": 2, "learning_rate": 1e-3, "rows": 14}
    if tuning == "lora":
        spec["lora_dropout"] = 0.3
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def begin(name):
        words = [sys.executable, "-c", SCRIPT, json.dumps({**spec, "folder": str(tmp_path / name)})]
        return subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    whole = begin("whole")
    assert whole.wait(240) == 0, whole.stderr.read()
    rng, broken, reached = random.Random(0), 0, []
    for kill in range(8):
        process, known = begin("killed"), last_checkpoint(tmp_path / "killed")
        if kill % 2:  # while the next checkpoint but some is written
            number = int(Path(known).name.split("-")[1]) + rng.choice([2, 4, 6]) if known else 2
            while process.poll() is None and not Path(tmp_path, "killed", f"checkpoint-{number}").exists():
                time.sleep(0.001)
            time.sleep(rng.choice([0, 0.005, 0.01, 0.02]))
        else:
            while process.poll() is None and last_checkpoint(tmp_path / "killed") == known:
                time.sleep(0.005)
            time.sleep(rng.random() * 0.3)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it is to be killed before it ends"
        newest = max(int(path.name.split("-")[1]) for path in Path(tmp_path, "killed").glob("checkpoint-*"))
        reached.append(int(Path(last_checkpoint(tmp_path / "killed")).name.split("-")[1]))
        broken += newest != reached[-1]
        if reached[-1] > 40:
            break
    assert broken, "none was killed while it wrote a checkpoint"
    last = begin("killed")
    assert last.wait(240) == 0, last.stderr.read()
    name = "adapter_model.safetensors" if tuning == "lora" else "model.safetensors"
    files = [tmp_path / folder / "model" / name for folder in ("killed", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    results = [json.loads((tmp_path / folder / "result.json").read_text()) for folder in ("killed", "whole")]
    assert results[0]["losses"] == results[1]["losses"] and len(results[0]["losses"]) == 60
