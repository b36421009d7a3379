"""A server on localhost that speaks OpenAI's protocol of chats, with the faults of real ones."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What the server sends: `body` as it is, or a chat completion with `text`."""

    text: str | None = ""
    status: int = 200
    body: str | None = None
    headers: dict[str, str] = {}
    finish_reason: str = "stop"
    seconds: float = 0.0


class ChatServer:
    """
    Attributes:
        url (`str`): where it listens.
        requests (`list[dict]`): the body of each request, with its headers under "headers" and its path under "path".
    """

    def __init__(self, answer: Callable[[dict[str, Any], int], Reply]):
        self.requests: list[dict[str, Any]] = []
        lock, requests = threading.Lock(), self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body |= {"headers": dict(self.headers), "path": self.path}
                with lock:
                    requests.append(body)
                    reply = answer(body, len(requests))
                time.sleep(reply.seconds)
                choice = {
                    "index": 0,
                    "finish_reason": reply.finish_reason,
                    "message": {"role": "assistant", "content": reply.text},
                }
                completion = {"id": "1", "created": 1, "model": body["model"], "choices": [choice], "usage": {}}
                data = (json.dumps(completion) if reply.body is None else reply.body).encode()
                try:
                    self.send_response(reply.status)
                    for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except BrokenPipeError:  # the client waited no longer
                    pass

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@contextmanager
def chat_server(answer: Callable[[dict[str, Any], int], Reply]) -> Iterator[ChatServer]:
    """
    Args:
        answer (`Callable`): gets the body of a request and its number from 1, and says what to reply.
    """
    it = ChatServer(answer)
    thread = threading.Thread(target=it.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield it
    finally:
        it.server.shutdown()
        thread.join()
        it.server.server_close()
