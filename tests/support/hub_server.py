"""
A Hub on localhost for tests: real HTTP, so that the real clients can be used as they are, in a process of their own
whose environment says where the Hub is. It fails when it is told to, and records every request.

Example:
    >>> with HubServer() as hub:
    ...     hub.fail("PUT /lfs/", status=500)
    ...     run("from huggingface_hub import create_repo; create_repo('ann/x')", hub.env(tmp_path, "ann-write"))
    ...     assert hub.repo("model", "ann/x").at().files
"""

import os
import re
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.hub_routes import Answer, answer
from tests.support.hub_store import HubError, Repo, Store

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS = {"ann": {"ann-write": "write", "ann-read": "read"}, "bob": {"bob-write": "write"}}


@dataclass
class Request:
    """What the server noted of a request: bytes of both bodies, no `status` where the connection was cut."""

    method: str
    path: str
    token: str | None = None
    received: int = 0
    sent: int = 0
    status: int | None = None

    def __str__(self):
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    """
    What goes wrong with requests. `cut` ends the connection: in the "request", half of whose body is read; before the
    "answer", when all is done; or in the "body" of the answer, half of which is sent.
    """

    pattern: str
    nth: int = 1  # the first of the matching requests, from now on, that fails
    times: int = 1  # how many fail, from there
    status: int | None = None  # of an error, the answer; nothing is done
    retry_after: int | None = None  # seconds, a header of that answer
    cut: str | None = None
    pause: float = 0  # seconds to wait in the middle of each body
    matches: int = 0

    def applies(self, request: Request) -> bool:
        if not re.search(self.pattern, str(request)):
            return False
        self.matches += 1
        return self.nth <= self.matches < self.nth + self.times


class Cut(Exception):
    """The connection ends here."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # a client that was killed is nothing to report
            super().handle_error(request, client_address)


class HubServer:
    """A Hub with these accounts (by name, the tokens and what each allows); a context manager."""

    def __init__(self, accounts: dict[str, dict[str, str]] = ACCOUNTS):
        self.store = Store(accounts)
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def repo(self, kind: str, name: str) -> Repo:
        return self.store.repos[kind, name]

    def fail(self, pattern: str, **how) -> None:
        """Makes requests go wrong whose "METHOD /path?query" has the pattern in it, as a [`Fault`] says."""
        self.faults.append(Fault(pattern, **how))

    def seen(self, pattern: str, since: int = 0) -> list[Request]:
        """The recorded requests whose "METHOD /path?query" has the pattern in it, from number `since` on."""
        return [request for request in self.requests[since:] if re.search(pattern, str(request))]

    def uploaded(self, since: int = 0) -> int:
        """Bytes of large files that came in, from request number `since` on."""
        return sum(request.received for request in self.seen("^PUT /lfs/", since))

    def env(self, home: str | Path, token: str | None = None, **more: str) -> dict[str, str]:
        """Environment of a process whose clients know this Hub only; `home` takes their caches."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env |= {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
        env |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT)}
        return env | ({"HF_TOKEN": token} if token else {}) | more


def run(code: str, env: dict[str, str], *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs Python code in a new process; fails with what it printed, unless `check` is false."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=env, cwd=env["HF_HOME"], capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


class Handler(BaseHTTPRequestHandler):
    """Reads a request, has it answered, sends the answer; or does what a fault says instead."""

    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer takes 40 ms: headers and body are two writes

    def serve(self):
        authorization = self.headers.get("Authorization", "")
        token = authorization.removeprefix("Bearer ") or None
        request = Request(self.command, self.path, token)
        with self.hub.lock:
            self.hub.requests.append(request)
            fault = next(iter([fault for fault in self.hub.faults if fault.applies(request)]), None)  # all count it
        try:
            body = b"".join(self._read(request, fault))
            reply = self._answer(request, body, fault)
            if fault and fault.cut == "answer":
                raise Cut
            self._send(request, reply, fault)
        except (Cut, ConnectionError):
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was faster

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def _read(self, request: Request, fault: Fault | None):
        """The body, in pieces; short of the whole only by an exception."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield self._take(size, request, fault)
                self.rfile.readline()
            self.rfile.readline()
        elif size := int(self.headers.get("Content-Length", 0)):
            yield self._take(size, request, fault)
        if fault and fault.cut == "request":
            raise Cut

    def _take(self, size: int, request: Request, fault: Fault | None) -> bytes:
        taken = []
        for part in (size // 2, size - size // 2) if fault else (size,):
            taken.append(self.rfile.read(part))
            request.received += len(taken[-1])
            if len(taken[-1]) < part or fault and fault.cut == "request":
                raise Cut
            if fault:
                self.hub.closing.wait(fault.pause)
        return b"".join(taken)

    def _answer(self, request: Request, body: bytes, fault: Fault | None) -> Answer:
        try:
            if fault and fault.status:
                raise HubError(fault.status, f"told to fail with {fault.status}")
            with self.hub.lock:
                url, token = urlsplit(request.path), request.token
                return answer(self.hub, request.method, url.path, parse_qs(url.query), self.headers, body, token)
        except HubError as error:
            headers = {"X-Error-Message": error.message} | ({"X-Error-Code": error.code} if error.code else {})
            if fault and fault.retry_after is not None:
                headers["Retry-After"] = str(fault.retry_after)
            return Answer.json({"error": error.message}, error.status, headers)

    def _send(self, request: Request, reply: Answer, fault: Fault | None) -> None:
        request.status = reply.status
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if request.method == "HEAD" or not reply.body:
            return
        half = len(reply.body) // 2 if fault else len(reply.body)
        for part in (reply.body[:half], reply.body[half:]):
            self.wfile.write(part)
            request.sent += len(part)
            if fault:
                self.hub.closing.wait(fault.pause)
                if fault.cut == "body":
                    raise Cut

    def log_message(self, *arguments):
        pass
