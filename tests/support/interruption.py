"""Runs a command in a process of its own and interrupts it."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def interrupt(
    command: list[str], files: Callable[[], list], enough: int, how: signal.Signals
) -> tuple[subprocess.Popen, list[int]]:
    """Runs a command, interrupts it once `files()` lists `enough` of them; returns it and the ids of its children."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 300
    while len(files()) < enough:
        assert process.poll() is None and time.monotonic() < end, process.stderr.read()
        time.sleep(0.02)
    workers = children(process)
    process.send_signal(how)
    process.wait(60)
    while any(map(alive, workers)):
        assert time.monotonic() < end, "rendering processes outlive the run"
        time.sleep(0.05)
    return process, workers


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks processes up in /proc")
