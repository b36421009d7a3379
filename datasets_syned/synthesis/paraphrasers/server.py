"""Texts by a model that a server runs: an inference provider of the Hub, or anything that speaks OpenAI's protocol."""

import base64
import io
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from time import sleep
from typing import Any

from PIL import Image

from ...common.ranges import check_whole
from ..pretrained.weights import one_line
from .asking import AskedModel
from .prompts import Request

URL = re.compile(r"https?://[^@?]+")
BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)  # what a server says that may answer the same request later
RETRIES = 4  # after 1, 2, 4, ... seconds, or as long as the server says, if it is busy or answers with something else
LONGEST_WAIT = 60.0  # seconds
LARGEST = (1024, 1024)  # pixels of an image that is sent


@dataclass(kw_only=True, eq=False, repr=False)
class ServerModel(AskedModel):
    """
    A chat model behind `huggingface_hub.InferenceClient`. The key is read from the environment when the first request
    is sent, and is part of no setting, record or message.

    Args:
        model (`str`): by the name that the server gives it.
        base_url (`str`, *optional*): of a server such as vLLM, llama.cpp, Ollama or OpenAI's: "http://host:8000/v1".
            Without one, the inference providers of the Hub are asked.
        provider (`str`, *optional*): which of them; the Hub chooses by default.
        api_key_env (`str`, *optional*): the environment variable that holds the key. By default `OPENAI_API_KEY`
            with a `base_url`; without, the token of `hf auth login` is sent.
        timeout (`float`, *optional*, defaults to 120): seconds for an answer.
        batch_size (`int`, *optional*, defaults to 8): requests at the same time.
        extra_body (`dict`, *optional*): what else the server understands, such as `{"reasoning_effort": "low"}`; in
            place of what is sent otherwise, if the name is the same, and `None` to leave that out.
        asking: what [`AskedModel`] takes.

    Example:
        >>> writer = ServerModel("Qwen/Qwen2.5-VL-7B-Instruct", base_url="http://localhost:8000/v1", from_images=True)
        >>> writer.describe([(before, after)], ["Add a dog to the lawn"], count=2, seeds=[0])[0].kept
    """

    model: str = field(kw_only=False)
    base_url: str | None = None
    provider: str | None = None
    api_key_env: str | None = None
    timeout: float = 120.0
    batch_size: int = 8
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    revision = "unknown"  # servers do not say

    def __post_init__(self):
        super().__post_init__()
        check_whole("batch_size", self.batch_size, 1)
        if self.base_url and not URL.fullmatch(self.base_url):  # which is not shown: it may hold a password
            raise ValueError(
                "base_url must be like http://localhost:8000/v1, without a password or a key: api_key_env names the "
                "variable that holds the key"
            )
        self.id, self.versions = self.model, {"huggingface_hub": version("huggingface_hub")}

    @property
    def parameters(self) -> dict[str, Any]:
        """See [`AskedModel`]. The server's address is nobody's business."""
        where = "base_url" if self.base_url else self.provider or "auto"
        return {**super().parameters, "provider": where, "extra_body": dict(self.extra_body)}

    def load(self) -> None:
        """Raises a `ValueError` if there is no key: without one, the client would send the token of the Hub."""
        if not self._key:
            where = f"in the variable {self.api_key_env}" if self.api_key_env else "for the Hub; `hf auth login`"
            raise ValueError(f"paraphraser {self.id!r}: there is no key {where}")

    @property
    def _key(self) -> str | None:
        from huggingface_hub import get_token

        if self.api_key_env:
            return os.environ.get(self.api_key_env)
        if self.base_url:
            return os.environ.get("OPENAI_API_KEY") or "EMPTY"  # as vLLM documents it
        return get_token()

    @cached_property
    def _client(self) -> Any:
        from huggingface_hub import InferenceClient

        return InferenceClient(base_url=self.base_url, provider=self.provider, api_key=self._key, timeout=self.timeout)

    def _ask(self, rows: Sequence[tuple[Request, int]], max_new_tokens: int) -> list[tuple[str, bool] | Exception]:
        self.load()
        with ThreadPoolExecutor(self.batch_size) as pool:
            return list(pool.map(lambda row: self._answer(*row, max_new_tokens), rows))

    def _answer(self, request: Request, seed: int, max_new_tokens: int) -> tuple[str, bool] | Exception:
        from huggingface_hub.errors import OfflineModeIsEnabled

        body = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": max_new_tokens}
        body |= {"seed": seed % 2**31, **self.extra_body}  # of some servers it has 32 bits
        for attempt in range(RETRIES + 1):
            try:
                reply = self._client.chat_completion(request.messages(_data_url), model=self.id, extra_body=body)
                return (reply.choices[0].message.content or "").strip(), reply.choices[0].finish_reason != "length"
            except Exception as error:  # what a server sends may be anything
                why = f"{one_line(error)} {getattr(error, 'server_message', None) or ''}".strip()
                response = getattr(error, "response", None)
                status, told = getattr(response, "status_code", BUSY[0]), getattr(response, "headers", {})
                final = isinstance(error, OfflineModeIsEnabled) or status not in BUSY
            if final or attempt == RETRIES:
                break
            wait = told.get("retry-after", "")
            sleep(min(float(wait) if wait.isdecimal() else 2.0**attempt, LONGEST_WAIT))
        # Not from the error, which may repeat the key.
        return RuntimeError(f"paraphraser {self.id!r}, asked {attempt + 1} times: {why.replace(self._key, '<key>')}")


def _data_url(image: Image.Image) -> dict[str, Any]:
    small, file = image.convert("RGB"), io.BytesIO()
    small.thumbnail(LARGEST)
    small.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
