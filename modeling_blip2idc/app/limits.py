"""What the page takes from strangers, and how long it keeps it: images, requests, files."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from ..image_files_blip2idc import ImageLoadError, decoding, open_image
from ..image_utils_blip2idc import load_image

MAX_BYTES, MAX_PIXELS = 20_000_000, 50_000_000  # of each image
MAX_JSON = 1_000_000  # bytes; a request of the page has less than a thousandth
SHOWN = 1024  # longest side in pixels of what is drawn, and of what the model sees
NAMES = ("before", "after", "model")
# An image takes up to 1 GiB while it is read, and each thread keeps some of that.
_READERS = ThreadPoolExecutor(2, thread_name_prefix="read_image")


def read_image(path: str | os.PathLike | None, side: str) -> Image.Image:
    """
    Read an image that somebody sent. Its size is checked before its pixels are decoded.

    Args:
        path (`str` or `os.PathLike`, *optional*): the file.
        side (`str`): what messages call it, `"before"` or `"after"`.

    Returns:
        `PIL.Image.Image`: upright, RGB, at most `SHOWN` pixels on either side.

    Raises:
        `ImageLoadError`: if it is missing, larger than the limits or not an image; without the path.
    """
    if not path:
        raise ImageLoadError(f"The {side} image is missing: choose two images.")
    return _READERS.submit(_read, path, f"The {side} image {Path(path).name}").result()


def _read(path: str | os.PathLike, name: str) -> Image.Image:
    if not os.path.isfile(path):
        raise ImageLoadError(f"{name} is not there any more: choose it again.")
    with open_image(path, name, max_bytes=MAX_BYTES) as opened, decoding(name):
        if opened.width * opened.height > MAX_PIXELS:
            millions, most = opened.width * opened.height / 1e6, MAX_PIXELS // 10**6
            raise ImageLoadError(
                f"{name} has {opened.width} x {opened.height} = {millions:.2f} megapixels; the limit is {most}."
            )
        opened.draft(None, (SHOWN, SHOWN))  # of a JPEG, decode no more than is needed
        image = load_image(opened, name)
        image.thumbnail((SHOWN, SHOWN), reducing_gap=2.0)
    return image


class RequestError(ValueError):
    """A request that makes no sense. The message is for the person who wrote the program that sent it."""


def check_request(values: Sequence, models: Sequence[str], folder: str | os.PathLike) -> list:
    """
    Check what came as the page's two images and its model, before gradio looks at it: gradio fetches what has a URL
    for its path, and answers with a stack trace, or nothing, to what it cannot use. `folder` is where uploads are.

    Returns:
        `list`: two uploads, or `None`, and one of the models, or `None`, without anything that is not needed.

    Raises:
        `RequestError`: if they are something else.
    """
    if len(values) < len(NAMES):
        raise RequestError(f"{len(values)} values instead of 3: {', '.join(NAMES)} (null: the first model).")
    files = [_upload(value, name, folder) for value, name in zip(values[:2], NAMES, strict=False)]
    model = values[2]
    if model is not None and model not in models:
        raise RequestError(f"There is no model {str(model)[:100]} here, only {', '.join(models)}.")
    return [*files, model]


def _upload(value: Any, name: str, folder: str | os.PathLike) -> dict[str, Any] | None:
    if value is None:
        return None
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str):
        raise RequestError(f'The {name} image must be {{"path": what /gradio_api/upload answered}}.')
    if "://" in path:
        raise RequestError(f"The {name} image is a URL; nothing is fetched here: upload the file itself.")
    # as the upload answers it: folder/hash/name
    inside = os.path.dirname(os.path.dirname(path)) == os.fspath(folder) and os.path.normpath(path) == path
    if not inside or not os.path.isfile(path):
        raise RequestError(f"The {name} image is not an upload that is still here: choose it again.")
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


class RequestLimits:
    """
    ASGI middleware for what every request must keep to: a body is not larger than what the page needs, no URL goes
    through this server, and nothing is recorded, which would give anybody's video to ffmpeg.
    """

    def __init__(self, app: Callable):
        self._app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"].rstrip("/")
        if "://" in path or path.endswith("/process_recording"):
            return await _say(send, 404, "There is nothing here.")
        limit = 2 * MAX_BYTES + MAX_JSON if path.endswith("/upload") else MAX_JSON
        size, answered, gone = 0, False, False

        async def limited() -> dict:
            nonlocal size, gone
            message = await receive()
            gone |= message["type"] == "http.disconnect"
            size += len(message.get("body", b""))
            return message if size <= limit else {"type": "http.request", "body": b"", "more_body": False}

        async def answer(message: dict) -> None:
            nonlocal answered
            if size <= limit:
                await send(message)
            elif not answered:
                answered = True
                await _say(send, 413, f"The request is larger than {limit} bytes.")

        try:
            await self._app(scope, limited, answer)
        except Exception:
            if not gone:  # an upload that broke off fails, and the log would say so in fifty lines
                raise


async def _say(send: Callable, status: int, text: str) -> None:
    length = (b"content-length", b"%d" % len(text))
    headers = [(b"content-type", b"text/plain"), length, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def delete_old_files(folder: str | os.PathLike, age: float, known: Iterable[set[str]] = ()) -> None:
    """
    Delete the files of a folder some time after they were made, in a thread of its own, until the folder is gone.

    gradio's own way (`delete_cache`) ends for good where a file arrives while it looks for old ones, and does not know
    of uploads that broke off.

    Args:
        folder (`str` or `os.PathLike`): the folder.
        age (`float`): seconds that a file stays; a quarter more at most.
        known (`Iterable[set[str]]`, *optional*): gradio's own lists of files, from which the deleted ones are taken.
    """

    def work() -> None:
        while os.path.isdir(folder):
            for path in sorted(Path(folder).rglob("*"), reverse=True):  # files before their folders
                try:
                    if path.stat().st_ctime < time.time() - age:
                        path.rmdir() if path.is_dir() else path.unlink()
                        for paths in known:
                            paths.discard(str(path))
                except OSError:  # gone, or a folder that is not empty
                    pass
            time.sleep(age / 4)

    threading.Thread(target=work, daemon=True).start()
