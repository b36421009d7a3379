"""Runs that are killed, share a folder, or have no place on the disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datasets_syned.synthesis import synthesize
from tests.support.interruption import interrupt
from tests.support.synthesis_runs import FILTERS, content, rows, settings

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "datasets_syned", "synthesize", "--source", "scenes", "--editor", "procedural"]


MOUNT, UMOUNT = shutil.which("mount"), shutil.which("umount")  # found now: some tests leave processes no PATH


def run(*command: object, **environment: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)


def test_killed_at_twenty_moments(tmp_path):
    """Whatever a run is doing when it is killed, in the end every file is as if it had not been."""
    done = run(sys.executable, "-m", "tests.support.kill_often", tmp_path / "run", 7, 20)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said["moments"]) == 20 and len(set(said["moments"])) >= 5, said["moments"]
    synthesize(settings(sources=10, variants=4, filters=FILTERS), tmp_path / "whole")
    for folder in said["finished"]:
        assert content(Path(folder)) == content(tmp_path / "whole")


def test_interrupted_from_the_keyboard(tmp_path):
    out = tmp_path / "run"
    command = [*COMMAND, "--variants", "2", "--limit", "60", "--sources_per_part", "2", "--out", str(out)]
    process, _ = interrupt(command, lambda: list((out / "edit").glob("[!.]*")), 3, signal.SIGINT)
    assert process.returncode == 130
    said = process.stderr.read()
    assert "the same command continues where it was" in said and "Traceback" not in said
    there = len(list((out / "edit").glob("[!.]*")))
    again = run(*command)
    assert again.returncode == 0 and "train: 120 of 120 rows kept" in again.stdout
    assert f"{there}/30" in again.stderr, "the bar begins where it was"


def test_two_processes_through_accelerate(tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m"]
    command = [*COMMAND[2:], "--variants", "4", "--limit", "5", "--sources_per_part", "1"]
    done = run(*launch, *command, "--out", tmp_path / "two", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    alone = run(sys.executable, "-m", *command, "--out", tmp_path / "one")
    assert alone.returncode == 0, alone.stderr
    assert "20 of 20 rows kept" in done.stdout and "edit (1 of 2 processes)" in done.stderr
    assert content(tmp_path / "two") == content(tmp_path / "one")


def test_a_folder_that_another_process_writes_into(tmp_path):
    out = tmp_path / "run"
    command = [*COMMAND, "--variants", "8", "--limit", "100", "--sources_per_part", "1", "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not list((out / "edit").glob("[!.]*")):
            assert process.poll() is None
        second = run(*command)
        assert second.returncode == 1
        assert second.stderr.strip().splitlines()[-1] == f"syned: error: another process is writing into {out}"
    finally:
        process.kill()
        process.wait()


def test_a_full_disk(tmp_path):
    """The run stops with one line, and continues once there is room."""
    if MOUNT is None:
        pytest.skip("a small disk needs the program mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = run(MOUNT, "-t", "tmpfs", "-o", "size=800k", "tmpfs", disk)
    if mounted.returncode:
        pytest.skip(f"a small disk can only be made by root: {mounted.stderr.strip()}")
    out, wanted = disk / "run", ["--variants", "8", "--limit", "20", "--sources_per_part", "2"]
    try:
        done = run(*COMMAND, *wanted, "--out", out)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        said = "No space left on device. Make room; the same command continues"
        assert done.stderr.strip().splitlines()[-1] == f"syned: error: {out}: {said}"
        assert 0 < len(list((out / "edit").glob("[!.]*.parquet"))) < 10 and not list((out / "edit").glob(".*"))
        assert run(MOUNT, "-o", "remount,size=64m", disk).returncode == 0
        again = run(*COMMAND, *wanted, "--out", out)
        assert again.returncode == 0 and "160 of 160 rows kept" in again.stdout
        shutil.copytree(out, tmp_path / "copy")
    finally:
        run(UMOUNT, disk)
    assert len(rows(tmp_path / "copy")) == 160
