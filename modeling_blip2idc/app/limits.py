"""Which requests the page takes: nothing in them is trusted, and what is wrong with one is said in a sentence."""

import os
from collections.abc import Callable, Sequence
from typing import Any

MAX_JSON = 1_000_000  # bytes; a request of the page has less than a thousandth
RECORDING = "/process_recording"  # would give anybody's video to ffmpeg
NAMES = ("before", "after", "model")


class RequestError(ValueError):
    """A request that is none. The message is for the person who wrote the program that sent it."""


def check_request(values: Sequence, models: Sequence[str], folder: str | os.PathLike) -> list:
    """
    Check what came as the page's two images and its model, before gradio looks at it: gradio fetches what has a URL
    for its path, and says nothing of what it cannot use.

    Args:
        values (`Sequence`): as they were sent.
        models (`Sequence[str]`): names of those that are here.
        folder (`str` or `os.PathLike`): where uploads are.

    Returns:
        `list`: the values without anything that is not needed.

    Raises:
        `RequestError`: if they are not two uploads, or `None`, and one of the models, or `None`.
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
    What every request must keep to, around the application of a server (ASGI): a body is not larger than what the
    page needs, no URL goes through this server, and nothing is recorded.

    Args:
        app (`Callable`): the application.
        max_upload (`int`): bytes of an upload.
    """

    def __init__(self, app: Callable, max_upload: int):
        self._app, self._max_upload = app, max_upload

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"].rstrip("/")
        if "://" in path or path.endswith(RECORDING):
            return await _say(send, 404, "There is nothing here.")
        limit = self._max_upload if path.endswith("/upload") else MAX_JSON
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
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


__all__ = ["RequestError", "RequestLimits", "check_request"]
