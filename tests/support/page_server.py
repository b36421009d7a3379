"""`blip2idc serve` as a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
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


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """The page on a free port, offline, with its temporary files in `folder` and two models to choose from."""
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(WATCH)
    unset = ("NO_PROXY", "no_proxy")
    env = {name: os.environ[name] for name in os.environ if not name.startswith("GRADIO_") and name not in unset}
    env |= {"GRADIO_TEMP_DIR": str(folder / "gradio"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    # as in an office; it is no reason to ask a proxy for the page itself
    env |= {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}
    env |= {"PYTHONPATH": os.pathsep.join([str(folder / "watch"), str(ROOT)])}
    own = shutil.copytree(EMBEDDED["mini"], folder / "mini")
    command = [sys.executable, "-m", "blip2idc_cli", "serve", "--port", "0", "--model", str(own)]
    log = folder / "log.txt"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # a background job of a shell ignores Ctrl-C, and hands that on
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    late = threading.Timer(120, process.kill)
    late.start()
    try:
        line = process.stdout.readline()
        late.cancel()
        assert line.startswith("The page is at http://127.0.0.1:"), line + log.read_text()[-3000:]
        yield Server(process, line.split()[4].rstrip("/"), log)
    finally:
        late.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
