"""Images from servers that never end, send a byte now and then, or send the reader elsewhere."""

import itertools
import socket
import threading
import time

import pytest

from modeling_blip2idc.image_files_blip2idc import ImageLoadError, open_image
from modeling_blip2idc.image_utils_blip2idc import load_image
from tests.support.pictures import encode, noise, same

PICTURE = encode(noise())
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"


def slowly(content: bytes):
    for byte in content:
        yield bytes([byte])
        time.sleep(0.02)


def answers(url: str) -> dict:
    """What the server sends, piece by piece, by the path that is asked for."""
    elsewhere = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    moved = {f"/moved{n}": [elsewhere % f"{url}/moved{n - 1}".encode()] for n in range(1, 9)}
    return moved | {
        "/moved0": [HEAD, b"Content-Length: %d\r\n\r\n" % len(PICTURE), PICTURE],
        "/endless": itertools.chain([HEAD, b"\r\n"], itertools.repeat(bytes(2**16))),
        "/endless_chunks": itertools.chain([HEAD, b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(chunk)),
        "/large": [HEAD, b"Content-Length: 99999999999\r\n\r\n"],
        "/slow": itertools.chain([HEAD, b"Content-Length: 5000\r\n\r\n"], slowly(bytes(5000))),
        "/slow_header": itertools.chain([HEAD], slowly(b"X-Header: 1\r\n" * 500)),
        "/silent": slowly(b""),
        "/loop": [elsewhere % f"{url}/loop".encode()],
        "/file": [elsewhere % b"file:///etc/hostname"],
        "/ftp": [elsewhere % b"ftp://127.0.0.1/a.png"],
        "/data": [elsewhere % b"data:image/png;base64,AAAA"],
        "/nowhere": [elsewhere % b"http://"],  # the same place again
        "/500": [b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"],
        "/html": [HEAD, b"Content-Length: 15\r\n\r\n<!doctype html>"],
        "/cut": [HEAD, b"Content-Length: %d\r\n\r\n" % (len(PICTURE) + 9), PICTURE],
        "/cut_chunks": [HEAD, b"Transfer-Encoding: chunked\r\n\r\n10000\r\nabc"],
        "/headers": [HEAD, b"X: 1\r\n" * 200, b"\r\n"],
        "/not_http": [b"SSH-2.0-\x1b[31mOpenSSH_9\r\n"],
        "/nothing": [],
        "/postscript": [HEAD, b"\r\n%!PS-Adobe-3.0 EPSF-3.0\n"],
    }


@pytest.fixture
def url(monkeypatch):
    """A server on 127.0.0.1 that sends what `answers` says, as long as somebody listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    over = threading.Event()

    def serve(connection):
        with connection:
            path = connection.recv(2**16).split(b" ")[1].decode()
            try:
                for piece in answers(url)[path]:
                    if over.is_set():
                        return
                    connection.sendall(piece)
                if path == "/silent":
                    over.wait(20)
            except OSError:  # it is enough for the reader
                pass

    def accept():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=accept, daemon=True).start()
        yield url
        over.set()
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/slow", r"cannot be downloaded \(it is not complete after 0.5 s\). Download it yourself"),
        ("/slow_header", r"cannot be downloaded \(it is not complete after 0.5 s\)"),
        ("/silent", "cannot be downloaded"),
        ("/large", "is larger than 1 MB, which is the limit for an image file"),
        ("/endless", "is larger than 1 MB, which is the limit for an image file"),
        ("/endless_chunks", "is larger than 1 MB, which is the limit for an image file"),
        ("/loop", "the server answered 302 .*infinite loop"),
        ("/moved8", "the server answered 302 .*infinite loop"),
        ("/file", "the server answered 302 .*'file:///etc/hostname' is not allowed"),
        ("/ftp", "cannot be downloaded .*unknown url type: ftp"),
        ("/data", "the server answered 302 .*is not allowed"),
        ("/nowhere", "the server answered 302 "),
        ("/500", "the server answered 500 Internal Server Error. Check the URL."),
        ("/html", "starts with b'<!doctype html>', and is damaged or not an image"),
        ("/cut", "cannot be downloaded"),
        ("/cut_chunks", "cannot be downloaded"),
        ("/headers", "cannot be downloaded .*100 headers"),
        ("/not_http", "cannot be downloaded"),
        ("/nothing", "cannot be downloaded"),
        ("/postscript", "starts with b'%!PS-Adobe-3.0 E'"),
    ],
)
def test_what_a_server_may_send(url, path, message):
    start = time.monotonic()
    with pytest.raises(ImageLoadError, match=message) as caught:
        open_image(url + path, f"before {url + path!r}", max_bytes=2**20, timeout=0.5 if "s" in path[1:3] else 5)
    assert url + path in str(caught.value) and str(caught.value).isprintable() and time.monotonic() - start < 5
    if "larger" not in message:
        assert caught.value.__cause__ is not None


def test_a_few_redirects_are_followed(url):
    assert same(load_image(url + "/moved4"), noise())


@pytest.mark.parametrize("wrong", ["http://", "http://[::1", "http://a b/c.png", "https://x:y/", "http://" + "a" * 70])
def test_a_wrong_url_is_named(wrong):
    with pytest.raises(ImageLoadError, match=r"cannot be downloaded \(.*\). Check the URL.") as caught:
        load_image(wrong, "images[0] after", timeout=2)
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["data:image/png;base64,AAA", "data:image/png", "data:image/png;base64,%%%"])
def test_a_wrong_data_uri_is_named(wrong):
    with pytest.raises(ImageLoadError, match=f"after '{wrong}'"):
        load_image(wrong, "after")
