"""`blip2idc serve` as a process of its own."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.source_tree import ROOT


class Server:
    """The running command: `url`, and what it wrote to `log`."""

    def __init__(self, process: subprocess.Popen, url: str, log: Path):
        self.process, self.url, self.log = process, url, log

    def end(self, number: int) -> int:
        """Send a signal; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def outside(self) -> list[str]:
        """Other machines that it asked for anything, or for whose address it asked."""
        return [line for line in self.log.read_text().splitlines() if line.startswith("OUTSIDE")]


WATCH = """
import sys

def watch(event, args):
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if host not in ("127.0.0.1", "localhost", "::1", b"127.0.0.1", b"localhost"):
        print("OUTSIDE", event, host, file=sys.stderr, flush=True)

sys.addaudithook(watch)
"""


def _start(folder: Path, *options: str) -> subprocess.Popen:
    """Offline, with its temporary files in `folder`."""
    unset = ("NO_PROXY", "no_proxy")
    environment = {
        name: os.environ[name] for name in os.environ if not name.startswith("GRADIO_") and name not in unset
    }
    environment |= {"GRADIO_TEMP_DIR": str(folder / "gradio"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(WATCH)
    environment |= {"PYTHONPATH": os.pathsep.join([str(folder / "watch"), str(ROOT)])}
    # as in an office; it is no reason to ask a proxy for the page itself
    environment |= {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}
    with (folder / "log.txt").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "blip2idc_cli", "serve", *options],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # a background job of a shell ignores Ctrl-C, and hands that on
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """The page, on a free port."""
    process = _start(folder, "--port", "0", *options)
    lines: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    try:
        try:
            line = lines.get(timeout=120)
        except queue.Empty:
            pytest.fail("the page did not start within 120 s")
        log = folder / "log.txt"
        assert line.startswith("The page is at http://127.0.0.1:"), line + log.read_text()[-3000:]
        yield Server(process, line.split()[4].rstrip("/"), log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
