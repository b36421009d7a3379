"""The page: two images in; what changed in a sentence, how sure the model is, and where it looked."""

import html
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from ..image_utils_blip2idc import ImageLoadError
from ..loading.examples import EXAMPLES, load_examples
from .captions import MAX_BYTES, MAX_PIXELS, CaptionError, Captioners, same_frame, write_images
from .files import Kept
from .limits import MAX_JSON, RequestError, RequestLimits, check_request
from .style import (
    ABOUT,
    ACCESS,
    API_DESCRIPTION,
    CLICKED,
    CSS,
    HEAD,
    SWIPE,
    WAITING,
    WHERE,
    answer_html,
    error_html,
    examples_html,
    theme,
)

KEPT = 3600  # seconds that uploads and drawn images stay on disk
THREADS = 128  # requests at work wait in one each
SESSIONS = 256  # whose components gradio remembers
SWITCH = 0.0005  # seconds: at Python's 5 ms, the models' threads wait longer for the server's than they compute
# After each request gradio makes a table of the last 10,000, for a page that is not shown here: 2 to 8 ms of each.
UNCOUNTED = {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(sys.maxsize)}
BOX = 300  # height of an image in pixels
TITLE = "What changed? Image difference captioning"


def build(
    models: Iterable[str] = (), device: str | None = None, max_batch_size: int = 32, queue_size: int = 64
) -> Any:
    """
    The page, and its interface for programs, `/caption`.

    Args:
        models (`Iterable[str]`, *optional*, defaults to `()`):
            Hub ids or folders of models or adapters to choose from, besides the embedded one.
        device (`str`, *optional*):
            Where they run; by default a GPU if there is one.
        max_batch_size (`int`, *optional*, defaults to 32):
            Waiting pairs that go through a model together.
        queue_size (`int`, *optional*, defaults to 64):
            Pairs that may wait; whoever comes then is told to come back.

    Returns:
        `gradio.Blocks`: to be given to [`serve`].
    """
    import gradio as gr

    captioners = Captioners(models, device, max_batch_size)
    names, examples = captioners.names, load_examples()

    def drawn(images: Sequence) -> list[str]:
        return write_images(images, Path(boxes[0].GRADIO_CACHE, "drawn"))

    def say(before: str | None, after: str | None, model: str | None) -> tuple:
        try:
            answer = captioners(before, after, model)
        except (ImageLoadError, CaptionError) as error:
            hidden = gr.Column(visible=False)
            return error_html(str(error)), hidden, None, None, hidden, None
        heat = drawn(answer.heat()) or [None, None]
        where, beside = gr.Column(visible=answer.changed), gr.Column(visible=True)
        return answer_html(answer.as_json()), where, *heat, beside, tuple(drawn(same_frame(*answer.images)))

    def caption(before: str, after: str, model: str | None = None) -> tuple:
        try:
            answer = captioners(before, after, model)
        except (ImageLoadError, CaptionError) as error:
            raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from error
        return answer.as_json(), *(drawn(answer.heat()) or [None, None])

    def choose(event: gr.EventData) -> list[str]:
        try:
            example = examples[int(event.example)]
        except Exception as error:  # anything may have been sent
            raise gr.Error("There is no such example.", print_exception=False) from error
        return [example["before"], example["after"]]

    def check(asked: Any, values: list) -> None:
        if not asked.inputs:
            return
        try:
            values[:] = check_request(values, names, boxes[0].GRADIO_CACHE)
        except RequestError as error:
            raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from error

    caption.__doc__ = API_DESCRIPTION

    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(HEAD, elem_id="head")
        with gr.Row(elem_id="pair", equal_height=True):
            boxes = [_image_box(gr, side) for side in ("Before", "After")]
        with gr.Row(elem_id="choice", equal_height=True):
            model = gr.Dropdown(names, value=names[0], label="Model", scale=1, visible=len(names) > 1)
            button = gr.Button("Say what changed", variant="primary", size="lg", scale=2, elem_id="say")
        result = gr.HTML(WAITING, elem_id="result")
        with gr.Column(visible=False, elem_id="where-part") as where:
            gr.HTML(WHERE, elem_classes="part")
            with gr.Row(elem_id="where", equal_height=True):
                heat = [_heat_map(gr, side) for side in ("Before", "After")]
        with gr.Column(visible=False, elem_id="beside") as beside:
            gr.HTML(SWIPE, elem_classes="part")
            swipe = gr.ImageSlider(label="Before and after", interactive=False, max_height=440, elem_id="swipe")
        shown = gr.HTML(examples_html(examples), js_on_load=CLICKED)
        gr.HTML(ABOUT.format(megabytes=MAX_BYTES // 10**6, megapixels=MAX_PIXELS // 10**6), elem_id="about")
        # Both wait for the same models: as many requests at work as one batch, and those that gather for the next.
        limits = {"concurrency_limit": 2 * max_batch_size, "concurrency_id": "models"}
        asked = {"fn": say, "inputs": [*boxes, model], "outputs": [result, where, *heat, beside, swipe]}
        asked |= {"show_progress_on": [result], "api_visibility": "private", **limits}
        button.click(**asked)
        shown.click(choose, None, boxes, queue=False, api_visibility="private").success(**asked)
        gr.Button(visible=False).click(
            caption, [*boxes, model], [gr.JSON(label="answer", visible=False), *heat], api_name="caption", **limits
        )
    for name, value in UNCOUNTED.items():
        os.environ.setdefault(name, value)
    page.validate_inputs = check  # gradio's own counts them, and says in how many lines that there are too few
    return page.queue(max_size=queue_size, api_open=False, status_update_rate=1)


def serve(page: Any, host: str | None = None, port: int | None = None, block: bool = True) -> str:
    """
    Show the page.

    Args:
        page (`gradio.Blocks`):
            From [`build`].
        host (`str`, *optional*):
            Address to listen on; by default `GRADIO_SERVER_NAME`, or 127.0.0.1.
        port (`int`, *optional*):
            0 is any that is free; by default `GRADIO_SERVER_PORT`, or the first free one from 7860.
        block (`bool`, *optional*, defaults to `True`):
            Do not return until Ctrl-C.

    Returns:
        `str`: the page's address.

    Raises:
        `OSError`: if the address cannot be listened on.
    """
    from gradio import themes

    files: list[Kept] = []

    @asynccontextmanager
    async def running(app: Any) -> AsyncIterator[None]:
        files.append(Kept(app.uploaded_file_dir, KEPT, page.temp_file_sets))
        app.uploaded_file_dir = files[0].folder
        for part in page.blocks.values():
            part.GRADIO_CACHE = files[0].folder
        yield
        files[0].close()

    sys.setswitchinterval(SWITCH)
    if port == 0:  # gradio would print that as the address
        with socket.socket() as free:
            free.bind((host or "127.0.0.1", 0))
            port = free.getsockname()[1]
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        theme=theme(themes),
        css=CSS,
        js=ACCESS,
        allowed_paths=[str(EXAMPLES)],
        footer_links=["api"],
        max_file_size=MAX_BYTES,
        max_threads=THREADS,
        state_session_capacity=SESSIONS,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        share=False,
        mcp_server=False,
        quiet=True,
        prevent_thread_lock=True,
        app_kwargs={"lifespan": running, "middleware": [(RequestLimits, (2 * MAX_BYTES + MAX_JSON,), {})]},
    )
    if not block:
        print(f"The page is at {address}", flush=True)
        return address
    with _sigterm_as_ctrl_c():
        try:
            print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            print()
        finally:
            page.close(verbose=False)
            files[0].close()  # a connection that stays open keeps the server from its own end
    return address


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """What systemd, containers and Spaces send. Only the main thread can say what signals do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def space_models(default: str = "") -> list[str]:
    """
    The models that a Space offers.

    Args:
        default (`str`, *optional*, defaults to `""`):
            Names with commas between, where the variable `BLIP2IDC_MODELS` is not set.

    Returns:
        `list[str]`: for [`build`].
    """
    names = os.environ.get("BLIP2IDC_MODELS", default).split(",")
    return [name.strip() for name in names if name.strip()]


def _image_box(gr: Any, side: str) -> Any:
    box = gr.Image(
        label=side, type="filepath", image_mode=None, sources=["upload", "clipboard"], height=BOX, buttons=[],
        elem_id=side.lower(),
    )  # fmt: skip
    # gradio's own opens the file, and says less about a broken one than `read_image`
    box.preprocess = lambda payload: payload and payload.path
    # gradio's own is a URL, and here none is fetched
    box.example_payload = lambda: {"path": f"{side.lower()}.png", "meta": {"_type": "gradio.FileData"}}
    return box


def _heat_map(gr: Any, side: str) -> Any:
    return gr.Image(
        label=side, interactive=False, height=BOX, buttons=["download", "fullscreen"], elem_id=f"heat-{side.lower()}"
    )


__all__ = ["build", "serve", "space_models"]
