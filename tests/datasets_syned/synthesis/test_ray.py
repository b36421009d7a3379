"""A real Ray cluster on this machine, of which a worker is killed on the way."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from datasets_syned.synthesis import synthesize
from datasets_syned.synthesis.editors.procedural import ProceduralEditor
from tests.datasets_syned.interruption import needs_proc
from tests.datasets_syned.synthesis.runs import content, settings
from tests.tiny_pipelines import save_instruct_pix2pix

ROOT = Path(__file__).resolve().parents[3]
WANTED = ["--source", "scenes", "--editor", "procedural", "--variants", "8", "--limit", "40", "--rows_per_part", "8"]
WANTED += ["--filter", "changed_area", "--filter", "near_duplicates"]
COMMAND = [sys.executable, "-m", "datasets_syned", "synthesize", *WANTED]


def workers(folder: str) -> list[int]:
    """Ids of the worker processes of the cluster that has its files in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            name, environment = ((process / file).read_bytes() for file in ("cmdline", "environ"))
        except (OSError, NotADirectoryError):
            continue
        if b"ray::MapWorker" in name and f"RAY_TMPDIR={folder}".encode() in environment.split(b"\0"):
            found.append(int(process.name))
    return found


@needs_proc
def test_a_worker_that_is_killed(tmp_path):
    pytest.importorskip("ray")
    out, folder = tmp_path / "run", tempfile.mkdtemp(prefix="ray-")  # its sockets need a short path
    env = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_TMPDIR": folder, "HOME": str(tmp_path)}
    command = [*COMMAND, "--engine", "ray", "--workers", "2", "--out", str(out)]
    run = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end, before = time.monotonic() + 200, []
        while not before or len(list((out / "parts").glob("[!.]*"))) < 3:
            assert run.poll() is None and time.monotonic() < end, run.stderr.read()
            before = workers(folder)
            time.sleep(0.02)
        os.kill(before[0], signal.SIGKILL)
        said, errors = run.communicate(timeout=200)
    finally:
        run.kill()
        run.wait()
        shutil.rmtree(folder, ignore_errors=True)
    assert run.returncode == 0, errors
    assert len(before) == 2 and "of 320 rows kept" in said
    alone = subprocess.run([*COMMAND, "--out", str(tmp_path / "alone")], cwd=ROOT, capture_output=True, timeout=200)
    assert alone.returncode == 0
    assert content(out) == content(tmp_path / "alone")


def test_takes_no_objects(tmp_path):
    with pytest.raises(ValueError, match="engine 'ray' opens the models that the settings name"):
        synthesize(settings(), tmp_path / "run", engine="ray", editor=ProceduralEditor())


def test_the_editor_s_dtype_is_named(tmp_path):
    save_instruct_pix2pix(tmp_path / "ip2p")
    with pytest.raises(ValueError, match="dtype is missing: the workers may have other devices than this process"):
        synthesize(settings(editor=str(tmp_path / "ip2p")), tmp_path / "run", engine="ray", gpus=1)


def test_an_unknown_engine(tmp_path):
    with pytest.raises(ValueError, match="engine='dask' must be one of local, ray"):
        synthesize(settings(), tmp_path / "run", engine="dask")
