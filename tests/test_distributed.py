"""
Two processes, started by torchrun on CPUs, do what one does: the same losses at the same batch of a step, the same
captions, each row once; killed, they go on as if they had not been; and neither hangs when the other fails.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modeling_blip2idc import load_idc
from modeling_blip2idc.training.checkpoints import last_checkpoint
from tests.support.distributed_run import run
from tests.support.source_tree import ROOT

# Float noise: sums of 4 rows are taken in another order; seen below 1e-6 of losses, 3e-6 of norms after 4 steps.
CLOSE = {"rel": 2e-5}
FSDP = {"fsdp": True}
SHARDS = {"fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT"}}
STOP = 77  # of the tiny OPT's vocabulary: the captions of one process begin with it, the other's do not have it
SAVED = {"save_strategy": "steps", "save_steps": 2}
BEST = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "metric_for_best_model": "loss"}
# Runs of two processes, and the rows of a batch that one process takes instead.
RUNS = {
    "lora": {},
    "accumulated": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2,
                    "activation_checkpointing": True},
    "t5": {"model": "t5", "learning_rate": 1e-3},
    "auxiliary": {"tuning": "auxiliary", "learning_rate": 1e-3},
    "fsdp": {**FSDP, **SAVED, **BEST, "stop": STOP, "per_device_eval_batch_size": 1},
    "fsdp-accumulated": {**FSDP, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 2},
    "fsdp-full": {**FSDP, "tuning": "full", "learning_rate": 1e-3},
    "fsdp-t5": {**FSDP, "model": "t5", "tuning": "full", "learning_rate": 1e-3},
    "stream": {"stream": 2, "max_steps": 6},
}  # fmt: skip
KILLED = {"lora_dropout": 0.3, "max_steps": 8, **SAVED}
# Runs of which another one's first part has fewer steps, and is continued by the same command with all of them.
PARTS = {
    "fsdp": {**FSDP, **SHARDS, **KILLED, "train_sampling_strategy": "group_by_length"},
    "stream": {"stream": 2, **KILLED},
}


def start(file, runs):
    """The processes of `torchrun`, working at a list of runs."""
    file.write_text(json.dumps(runs))
    words = "-m torch.distributed.run --standalone --nproc_per_node 2 tests/support/distributed_run.py".split()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    options = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, *words, str(file)], cwd=ROOT, env=env, **options)


def finish(process, seconds=240):
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, said


def spec(folder, models, options):
    return {"folder": str(folder), **options, "model": str(models[options.get("model", "opt")])}


def result(folder):
    return json.loads((folder / "result.json").read_text())


def seen(folder, process=0):
    return (folder / f"rows-{process}").read_text().split()


def weights(folder):
    return load_file(next((folder / "model").glob("*.safetensors")))


@pytest.fixture(scope="module")
def models(tiny_model_dir, tiny_t5_dir):
    return {"opt": tiny_model_dir, "t5": tiny_t5_dir}


@pytest.fixture(scope="module")
def two(models, tmp_path_factory):
    """The folders of all runs of two processes."""
    base = tmp_path_factory.mktemp("two")
    runs = [spec(base / name, models, options) for name, options in RUNS.items()]
    runs.append(spec(base / "whole", models, KILLED))
    for name, options in PARTS.items():
        whole, parts = (spec(base / f"{name}-{kind}", models, options) for kind in ("whole", "parts"))
        runs += [whole, {**parts, "max_steps": 5}, parts]
    status, said = finish(start(base / "runs.json", runs))
    assert status == 0, said
    return base


@pytest.fixture(scope="module")
def one(models, tmp_path_factory):
    """Makes the folder of a run of one process with the same batch of a step."""
    base, threads = tmp_path_factory.mktemp("one"), torch.get_num_threads()
    torch.set_num_threads(1)

    def folder_of(name):
        options = {key: value for key, value in RUNS[name].items() if not key.startswith("fsdp")}
        options |= {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
        if not (base / name).exists():
            run(spec(base / name, models, options))
        return base / name

    yield folder_of
    torch.set_num_threads(threads)


class TestAsOneProcess:
    @pytest.mark.parametrize("name", RUNS)
    def test_losses_and_captions(self, two, one, name):
        double, single = result(two / name), result(one(name))
        assert double["model"].startswith("FSDP" if "fsdp" in name else "DistributedDataParallel"), "what it says"
        for key in ("losses", "norms", "evaluations"):
            assert double[key] == pytest.approx(single[key], **CLOSE), key
        assert double["losses"][-1] < double["losses"][0] - 0.05, "it learns"
        assert double["test_loss"] == pytest.approx(single["test_loss"], **CLOSE)
        assert len(double["predictions"]) == 7, "not a multiple of what the processes take at a time"
        assert double["labels"] == single["labels"], "in order"
        assert double["predictions"] == single["predictions"]
        assert len({tuple(ids) for ids in double["predictions"]}) > 1

    def test_a_process_whose_captions_end_first_waits(self, two):
        lengths = [sum(token != -100 for token in ids) for ids in result(two / "fsdp")["predictions"]]
        assert set(lengths[::2]) > {12} and set(lengths[1::2]) == {1}

    def test_what_is_saved_is_that_of_one_process(self, two, one):
        for name in ("lora", "fsdp", "fsdp-full", "fsdp-t5"):
            folder, expected = two / name / "model", one(name) / "model"
            assert {file.name for file in folder.iterdir()} == {file.name for file in expected.iterdir()}, name
            double, single = weights(two / name), weights(one(name))
            assert double.keys() == single.keys()
            # a key's bias has no gradient but noise, of which AdamW makes whole steps
            double, single = ({k: v for k, v in part.items() if "k_proj.bias" not in k} for part in (double, single))
            for key in double:
                assert torch.allclose(double[key], single[key], atol=1e-3), (name, key)
            if "full" in name:
                assert (folder / "config.json").read_text() == (expected / "config.json").read_text()
                assert type(load_idc(folder)[0]).__name__ == "Blip2IDCForConditionalGeneration"

    def test_the_best_one_is_loaded(self, two):
        done = result(two / "fsdp")
        best = min(range(2), key=lambda i: done["evaluations"][i])
        assert done["best"].endswith(f"checkpoint-{2 * best + 2}")
        assert done["test_loss"] == pytest.approx(done["evaluations"][best], rel=1e-6)
        saved = load_file(Path(done["best"], "adapter_model.safetensors"))
        assert all(torch.equal(tensor, saved[key]) for key, tensor in weights(two / "fsdp").items())

    def test_each_row_of_a_stream_once_in_each_pass(self, two, one):
        shares = [seen(two / "stream", process) for process in range(2)]
        steps = [[*shares[0][i : i + 2], *shares[1][i : i + 2]] for i in range(0, 12, 2)]
        passes = sum(steps[:3], []), sum(steps[3:], [])
        rows = {f"row-{i}" for i in range(12)}
        assert set(passes[0]) == set(passes[1]) == rows and passes[0] != passes[1]
        assert sum(steps, []) == seen(one("stream"))[:24], "in the order of one process"


class TestContinued:
    @pytest.mark.parametrize("name", PARTS)
    def test_bit_for_bit(self, two, name):
        """From a checkpoint within the second pass over the rows, with dropout and references drawn."""
        parts, whole = two / f"{name}-parts", two / f"{name}-whole"
        assert last_checkpoint(parts).endswith("checkpoint-8")
        assert weights(parts).keys() == weights(whole).keys()
        assert all(torch.equal(tensor, weights(whole)[key]) for key, tensor in weights(parts).items())
        for key in ("losses", "predictions"):
            assert result(parts)[key] == result(whole)[key]

    def test_rows_of_a_stream_that_were_learned_are_not_decoded_again(self, two):
        """The first part took five batches and had read the sixth; the second began with that one."""
        rows, whole = seen(two / "stream-parts"), seen(two / "stream-whole")
        assert rows[:12] == whole[:12] and rows[12:] == whole[10:]

    @pytest.mark.slow
    def test_killed_while_it_writes_a_checkpoint(self, two, models, tmp_path):
        """All processes, by SIGKILL; then the same command again."""
        killed = spec(tmp_path / "run", models, KILLED)
        process = start(tmp_path / "runs.json", [killed])
        while process.poll() is None and not Path(killed["folder"], "checkpoint-4").exists():
            time.sleep(0.001)
        pids = [int(file.read_text()) for file in Path(killed["folder"]).glob("pid-*")]
        for pid in (process.pid, *pids):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL and len(pids) == 2
        assert not Path(killed["folder"], "model").exists()
        assert last_checkpoint(killed["folder"]).endswith(("checkpoint-2", "checkpoint-4"))
        status, said = finish(start(tmp_path / "runs.json", [killed]))
        assert status == 0, said
        continued, whole = weights(tmp_path / "run"), weights(two / "whole")
        assert all(torch.equal(continued[key], whole[key]) for key in whole)


def test_a_loss_that_is_not_finite_in_one_process_ends_both(models, tmp_path):
    options = {"broken": "row-6", "train_sampling_strategy": "sequential", "save_strategy": "steps", "save_steps": 1}
    run_of_two = spec(tmp_path / "run", models, options)
    process, began = start(tmp_path / "runs.json", [run_of_two]), time.monotonic()
    status, said = finish(process)
    assert status == 1 and time.monotonic() - began < 60
    message = "FloatingPointError: step 2: the loss is nan on process 1, rows row-6, row-7; "
    assert {f"[rank{i}]: {message}" in said for i in range(2)} == {True}, said
    checkpoint = Path(last_checkpoint(tmp_path / "run"))
    assert checkpoint.name == "checkpoint-1"
    assert all(tensor.isfinite().all() for tensor in load_file(checkpoint / "adapter_model.safetensors").values())
