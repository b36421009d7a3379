"""The server that the page and programs call, as a process of its own: what it answers, and how it ends."""

import io
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from PIL import Image

from blip2idc_cli import main
from modeling_blip2idc.app.captions import Captioners
from modeling_blip2idc.app.page import build, serve
from modeling_blip2idc.loading.examples import load_examples
from tests.support.page_server import serving

gradio = pytest.importorskip("gradio", reason="the extra `app` is not installed")
gradio_client, httpx = (pytest.importorskip(name) for name in ("gradio_client", "httpx"))  # which gradio needs

EXAMPLES = load_examples()
PAIRS = [(example["before"], example["after"]) for example in EXAMPLES]
META = {"_type": "gradio.FileData"}
FILES = "gradio/blip2idc-*/**/*"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("space")


@pytest.fixture(scope="module")
def server(folder):
    """One process for nearly all of this: starting one takes seconds. The last test ends it."""
    with serving(folder) as server:
        yield server


def upload(server, name="a.png", content=None):
    content = Path(PAIRS[0][0]).read_bytes() if content is None else content
    return httpx.post(f"{server.url}/gradio_api/upload", files={"files": (name, content)}, timeout=60).json()[0]


def post_json(server, path, body):
    """As any program may send it: httpx itself refuses halves of characters and infinity."""
    headers = {"content-type": "application/json"}
    return httpx.post(f"{server.url}/gradio_api/{path}", content=json.dumps(body), headers=headers, timeout=60)


def call(server, data):
    """What the API answers to a program: the kind of event, and its data."""
    reply = post_json(server, "call/caption", {"data": data})
    assert reply.status_code == 200, reply.text
    event = httpx.get(f"{server.url}/gradio_api/call/caption/{reply.json()['event_id']}", timeout=60).text
    kind, said = event.strip().split("\n")
    return kind, json.loads(said.removeprefix("data: "))


def join(server, data):
    """What the page is told."""
    dependencies = httpx.get(f"{server.url}/config").json()["dependencies"]
    number = next(one["id"] for one in dependencies if one["inputs"] and one["api_name"] != "caption")
    session = {"session_hash": str(time.monotonic_ns())}
    assert post_json(server, "queue/join", {"data": data, "fn_index": number, **session}).status_code == 200
    with httpx.stream("GET", f"{server.url}/gradio_api/queue/data", params=session, timeout=60) as reply:
        for line in reply.iter_lines():
            if "process_completed" in line:
                return json.loads(line.removeprefix("data: "))["output"]


def test_programs_call_it(server, folder, tmp_path):
    client = gradio_client.Client(server.url, verbose=False, download_files=str(tmp_path))
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(endpoints) == ["/caption"]
    parameters = endpoints["/caption"]["parameters"]
    assert [parameter["parameter_name"] for parameter in parameters] == ["before", "after", "model"]
    # which the page shows to whoever asks how to call it
    assert [one["example_input"]["path"] for one in parameters[:2]] == ["before.png", "after.png"]

    def ask(before, after, model="mini (embedded)"):
        files = gradio_client.handle_file(before), gradio_client.handle_file(after)
        return client.submit(*files, model, api_name="/caption")

    (tmp_path / "broken.png").write_bytes(b"no image")
    jobs = [ask(*pair) for pair in PAIRS]
    refused = {
        "The before image broken.png: starts with": ask(str(tmp_path / "broken.png"), PAIRS[0][1]),
        "The after image is a URL; nothing is fetched here": ask(PAIRS[0][0], "http://example.com/a.png"),
    }
    captioners = Captioners()
    for job, example in zip(jobs, EXAMPLES, strict=True):
        answer, *heat = job.result(timeout=60)
        said = captioners(example["before"], example["after"]).as_json()
        assert answer == said | {"confidence": pytest.approx(said["confidence"], abs=2e-4)}
        sizes = [Image.open(path).size for path in heat] if example["changed"] else heat
        assert sizes == ([(144, 96)] * 2 if example["changed"] else [None, None])
    for said, job in refused.items():
        with pytest.raises(gradio_client.exceptions.AppError, match=said):
            job.result(timeout=60)
    assert server.outside() == []


NOT_HERE = "The before image is not an upload that is still here: choose it again."
NO_FILE = 'The before image must be {"path": what /gradio_api/upload answered}.'
URL = "The before image is a URL; nothing is fetched here: upload the file itself."
MODELS = "only mini, mini (embedded)."


def file(path, **more):
    return {"path": path, "meta": META, **more}


def first(make):
    """A request whose first image is made of the path of an upload."""
    return lambda up: [make(up), file(up), None]


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda up: [file(up)] * 2, "2 values instead of 3: before, after, model (null: the first model)."),
        (first(lambda up: "a.png"), NO_FILE),
        (first(lambda up: [file("http://example.com/a.png")]), NO_FILE),
        (first(lambda up: {"url": "http://example.com/a.png", "meta": META}), NO_FILE),
        (first(lambda up: file(7)), NO_FILE),
        (first(lambda up: None), "The before image is missing: choose two images."),
        (first(lambda up: file("/etc/passwd")), NOT_HERE),
        (first(lambda up: file(f"{up}/../../../../log.txt")), NOT_HERE),
        (first(lambda up: file(os.path.dirname(os.path.dirname(up)) + "/../log.txt")), NOT_HERE),
        (first(lambda up: file(os.path.dirname(up))), NOT_HERE),
        (first(lambda up: file(f"{up}\0")), NOT_HERE),
        (first(lambda up: file(up + 100_000 * "x")), NOT_HERE),
        (first(lambda up: file("\ud800")), NOT_HERE),
        (first(lambda up: file("https://example.com/a.png", is_stream=True)), URL),
        (lambda up: [file(up), file(up), file("http://example.com/a.png")], MODELS),
        (lambda up: [file(up), file(up), "<b>" + 300_000 * "x"], f"model &lt;b&gt;{97 * 'x'} here, {MODELS}"),
    ],
)
def test_what_is_no_request(server, folder, make, said):
    data, log = make(upload(server)), server.log.read_text()
    kind, answer = call(server, data)
    assert kind == "event: error"
    assert answer["error"].endswith(said) and (said.endswith(MODELS) or answer["error"] == said)
    if "missing" not in said:  # of which the page has a card
        assert join(server, data)["error"] == answer["error"]
    assert str(folder) not in answer["error"].replace(str(data), "") and len(answer["error"]) < 300
    assert server.log.read_text() == log and server.outside() == []


def test_only_the_path_of_an_upload_matters(server):
    up = {"path": upload(server), "url": "http://example.com/a.png", "size": "x", "meta": 7, "is_stream": True}
    kind, (answer, *heat) = call(server, [up, up, "mini (embedded)", file("http://example.com/a.png")])
    assert kind == "event: complete" and answer["changed"] is False and heat == [None, None]
    assert server.outside() == []


@pytest.mark.parametrize("example", [None, [], {"example": 99}, {"example": 1e999}])
def test_an_example_that_is_none(server, example):
    log = server.log.read_text()
    reply = post_json(server, "run/choose", {"data": [], "event_data": example})
    assert reply.json()["error"] == "There is no such example." and server.log.read_text() == log


def test_requests_have_limits(server, folder):
    def post(path, **body):
        return httpx.post(f"{server.url}/gradio_api/{path}", timeout=60, **body)

    assert post("upload", files={"files": ("large.png", io.BytesIO(bytes(20_000_001)))}).status_code == 413
    huge = post("call/caption", json={"data": [None, None, 1_000_000 * "x"]})
    assert (huge.status_code, huge.text) == (413, "The request is larger than 1000000 bytes.")
    many = post("upload", files=[("files", (f"{i}.png", io.BytesIO(bytes(19_000_000)))) for i in range(3)])
    assert (many.status_code, many.text) == (413, "The request is larger than 41000000 bytes.")
    deep = post("call/caption", content=400_000 * "[", headers={"content-type": "application/json"})
    assert deep.status_code == 400
    # nothing gets past the queue
    assert post("api/caption", json={"data": [None] * 3}).status_code == 404
    assert post("process_recording", files={"video": ("a.mp4", b"x")}).status_code == 404
    for path in ("file=http://example.com/a", "file/https://example.com/a", "proxy=http://example.com/a"):
        assert httpx.get(f"{server.url}/gradio_api/{path}").status_code == 404
    assert server.outside() == []
    # and no list of who asked what is kept
    assert httpx.get(f"{server.url}/monitoring/summary").status_code == 403


def test_a_port_that_is_taken(server, capsys):
    port = server.url.rsplit(":", 1)[1]
    assert main(["serve", "--port", port]) == 1
    assert capsys.readouterr().err == (
        f"blip2idc: error: cannot listen on port {port} of 127.0.0.1 (Address already in use); if another server does "
        "so, --port 0 takes any free one\n"
    )


def half_an_upload(server):
    """A connection in the middle of sending a file."""
    connection = socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    connection.sendall(
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b'Content-Length: 90000\r\n\r\n--b\r\nContent-Disposition: form-data; name="files"; filename="b.png"\r\n\r\n'
        + bytes(50_000)
    )
    return connection


def test_sigterm_ends_it_cleanly(server, folder):
    other = folder / "gradio" / "hash" / "another server's.png"
    other.parent.mkdir()
    other.write_bytes(Path(PAIRS[0][0]).read_bytes())
    assert call(server, [file(str(other)), file(upload(server)), None])[1]["error"] == NOT_HERE
    kind, (_, *heat) = call(
        server, [file(upload(server, "x.png", Path(path).read_bytes())) for path in PAIRS[0]] + ["mini (embedded)"]
    )
    assert kind == "event: complete" and all(os.path.isfile(one["path"]) for one in heat)
    log, count = server.log.read_text(), len(list(folder.glob(FILES)))
    connections = [half_an_upload(server) for _ in range(2)]
    end = time.monotonic() + 20
    while len(list(folder.glob(FILES))) < count + 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    connections[0].close()  # this upload breaks off, the other one is still there when the server ends
    time.sleep(0.3)
    assert server.log.read_text() == log
    assert server.end(signal.SIGTERM) == 0
    assert [path for path in (folder / "gradio").rglob("*") if path.is_file()] == [other]
    assert list(folder.glob("gradio/blip2idc-*")) == [] and server.log.read_text() == log
    connections[1].close()


@pytest.mark.slow  # a process more, for another signal
def test_ctrl_c_ends_it_cleanly(tmp_path):
    with serving(tmp_path) as server:
        assert os.path.isfile(upload(server))
        assert server.end(signal.SIGINT) == 0
        assert [path for path in (tmp_path / "gradio").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_ipv6(host):
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with gradio.Blocks() as page:
        gradio.HTML("words")
    address = serve(page.queue(), host, 0, block=False)
    assert address.startswith(f"http://[{host.strip('[]')}]:")
    assert "words" in httpx.get(f"{address}/config").text
    if host == "::":  # and IPv4
        assert httpx.get(f"http://127.0.0.1:{address.rsplit(':', 1)[1]}/config").status_code == 200


def test_behind_a_reverse_proxy(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/idc")
    address = serve(build(), "127.0.0.1", 0, block=False)
    headers = {"X-Forwarded-Host": "example.org", "X-Forwarded-Proto": "https"}
    assert httpx.get(f"{address}/config", headers=headers).json()["root"] == "https://example.org/idc"
    assert httpx.get(f"{address}/theme.css").status_code == 200
