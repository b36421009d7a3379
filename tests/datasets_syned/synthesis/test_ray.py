"""A real Ray cluster on this machine, of which a worker is killed on the way."""

import json
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
from tests.support import layouts
from tests.support.interruption import needs_proc
from tests.support.synthesis_runs import content, settings
from tests.support.tiny_pipelines import save_instruct_pix2pix

ROOT = Path(__file__).resolve().parents[3]
WANTED = ["--source", "scenes", "--editor", "procedural", "--variants", "8", "--limit", "40"]
WANTED += ["--sources_per_part", "1", "--filter", "changed_area", "--filter", "near_duplicates"]
COMMAND = [sys.executable, "-m", "datasets_syned", "synthesize", *WANTED]


def workers(folder: str) -> list[int]:
    """Ids of the worker processes of the cluster that has its files in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            name, environment = ((process / file).read_bytes() for file in ("cmdline", "environ"))
        except (OSError, NotADirectoryError):
            continue
        if b"ray::run_stages_in_worker" in name and f"RAY_TMPDIR={folder}".encode() in environment.split(b"\0"):
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
        while not before or len(list((out / "edit").glob("[!.]*"))) < 3:
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


@pytest.mark.slow
@pytest.mark.parametrize(("editor", "gpus"), [("procedural", 0), ("broken", 0), ("procedural", 1)])
def test_workers_that_cannot(tmp_path, editor, gpus):
    """With one clear line, and without trying all parts."""
    pytest.importorskip("ray")
    lines = [{"file_name": f"{k}.png", "instruction": "x"} for k in range(40)]
    for line in lines:
        layouts.write(tmp_path / "pics" / line["file_name"], layouts.png(9, (16, 12)))
    layouts.write(tmp_path / "pics" / "metadata.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    if editor == "broken":
        editor = str(save_instruct_pix2pix(tmp_path / "ip2p"))
        os.truncate(tmp_path / "ip2p" / "unet" / "diffusion_pytorch_model.safetensors", 200)
    folder, out = tempfile.mkdtemp(prefix="ray-"), tmp_path / "run"
    command = [*COMMAND[:4], "--source", str(tmp_path / "pics"), "--editor", editor, "--variants", "1"]
    command += ["--sources_per_part", "1", "--engine", "ray", "--workers", "2", "--gpus", str(gpus), "--out", str(out)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_TMPDIR": folder, "HOME": str(tmp_path)}
    env["CUDA_VISIBLE_DEVICES"] = ""
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=200)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said = done.stderr.strip().splitlines()[-1]
    if gpus:
        assert said.startswith("syned: error: gpus=1: Ray finds 0 GPUs here")
    elif editor == "procedural":
        begin = (
            "syned: error: a worker failed (the editor failed with all rows of 3 parts, so this stops here (the image "
        )
        assert said.startswith(begin)
        assert 3 <= len(list((out / "edit").glob("[!.]*"))) < 40
    else:
        assert said.startswith("syned: error: a worker failed ('ip2p' cannot be loaded: ")


def test_takes_no_objects(tmp_path):
    with pytest.raises(ValueError, match="engine 'ray' opens the models that the settings name"):
        synthesize(settings(), tmp_path / "run", engine="ray", editor=ProceduralEditor())


def test_the_editor_s_dtype_is_named(tmp_path):
    save_instruct_pix2pix(tmp_path / "ip2p")
    with pytest.raises(ValueError, match="dtype is missing: workers may have other devices than this process"):
        synthesize(settings(editor=str(tmp_path / "ip2p")), tmp_path / "run", engine="ray", gpus=1)
