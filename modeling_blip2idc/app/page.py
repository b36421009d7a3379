"""The page: two images in; what changed in a sentence, how sure the model is, and where it looked."""

import atexit
import base64
import html
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment

from ..hub.saving import temporary_folder
from ..image_utils_blip2idc import ImageLoadError, load_image
from ..loading.examples import EXAMPLES, load_examples
from .captions import CaptionError, Captioners, same_frame, write_images
from .limits import MAX_BYTES, MAX_PIXELS, RequestError, RequestLimits, check_request, delete_old_files

KEPT = 3600  # seconds that uploads and drawn images stay on disk
THREADS = 128  # requests at work wait in one each
SESSIONS = 256  # whose components gradio remembers
SWITCH = 0.0005  # seconds: at Python's 5 ms, the models' threads wait longer for the server's than they compute
# After each request gradio makes a table of the last 10,000, for a page that is not shown here: 2 to 8 ms of each.
UNCOUNTED = {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(sys.maxsize)}
SIDES = ("Before", "After")
FILE = {"_type": "gradio.FileData"}
BOX = 300  # height of an image in pixels
TITLE = "What changed? Image difference captioning"
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")  # the reader's own: none is fetched
MONOSPACE_FONTS = ("ui-monospace", "SFMono-Regular", "Consolas", "monospace")
GROUND = {"body_background_fill": "#f5f6f8", "body_background_fill_dark": "#111417"}  # beyond the reach of style.css
STYLE, ACCESS, PARTS = (Path(__file__).with_name(name) for name in ("style.css", "access.js", "parts.html"))
API_DESCRIPTION = """\
Say what changed between two images. Returns the answer, {"caption": what changed, "confidence": how probable the model
finds its own words (0 to 1, not calibrated), "changed": whether the caption reports a change, "model": who said it},
of some models with "sure": false where they are wrong more often than right; and both images under a heat map of what
the caption rests on, or null where nothing changed."""
# Tells the page which example was clicked.
CLICKED = """\
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", {example: Number(button.value)});
});"""


def build(
    models: Iterable[str] = (), device: str | None = None, max_batch_size: int = 32, queue_size: int = 64
) -> Any:
    """
    The page, and its interface for programs, `/caption`.

    Args:
        models (`Iterable[str]`, *optional*, defaults to `()`):
            Hub ids or folders of models or adapters to choose from, besides the embedded one.
        device (`str`, *optional*): where they run; by default a GPU if there is one.
        max_batch_size (`int`, *optional*, defaults to 32): waiting pairs that go through a model together.
        queue_size (`int`, *optional*, defaults to 64): pairs that may wait; whoever comes then is told to come back.

    Returns:
        `gradio.Blocks`: to be given to [`serve`].
    """
    gr = _import_gradio()
    # A folder of this page alone, which ends with the process; gradio looks it up when a component is made.
    shared = os.environ.get("GRADIO_TEMP_DIR") or os.path.join(tempfile.gettempdir(), "gradio")
    os.makedirs(shared, exist_ok=True)
    ends = ExitStack()
    folder = str(ends.enter_context(temporary_folder(os.path.abspath(shared), "blip2idc-", 0o700)))
    atexit.register(ends.close)
    os.environ |= {**UNCOUNTED, "GRADIO_TEMP_DIR": folder}

    captioners = Captioners(models, device, max_batch_size)
    names, examples = captioners.names, load_examples()
    says = parts()

    def drawn(images: Sequence) -> list[str]:
        return write_images(images, Path(folder, "drawn"))

    def say(before: dict | None, after: dict | None, model: str | None) -> tuple:
        try:
            answer = captioners(before and before["path"], after and after["path"], model)
        except (ImageLoadError, CaptionError) as error:
            hidden = gr.Column(visible=False)
            return says.error(str(error)), hidden, None, None, hidden, None
        heat = drawn(answer.heat()) or [None, None]
        where, beside = gr.Column(visible=answer.changed), gr.Column(visible=True)
        return says.answer(answer), where, *heat, beside, tuple(drawn(same_frame(*answer.images)))

    def caption(before: dict, after: dict, model: str | None = None) -> tuple:
        try:
            answer = captioners(before and before["path"], after and after["path"], model)
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
            values[:] = check_request(values, names, folder)
        except RequestError as error:
            raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from error

    caption.__doc__ = API_DESCRIPTION

    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(says.head(), elem_id="head")
        with gr.Row(elem_id="pair", equal_height=True):
            sources = {"type": "filepath", "image_mode": None, "sources": ["upload", "clipboard"], "buttons": []}
            boxes = [gr.Image(label=side, elem_id=side.lower(), height=BOX, **sources) for side in SIDES]
            for box in boxes:  # what the page of the interface shows; gradio's own is a URL, and here none is fetched
                box.example_payload = lambda box=box: {"path": f"{box.elem_id}.png", "meta": FILE}
        with gr.Row(elem_id="choice", equal_height=True):
            model = gr.Dropdown(names, value=names[0], label="Model", scale=1, visible=len(names) > 1)
            button = gr.Button("Say what changed", variant="primary", size="lg", scale=2, elem_id="say")
        result = gr.HTML(says.waiting(), elem_id="result")
        with gr.Column(visible=False, elem_id="where-part") as where:
            gr.HTML(says.where(), elem_classes="part")
            with gr.Row(elem_id="where", equal_height=True):
                shown = {"interactive": False, "height": BOX, "buttons": ["download", "fullscreen"]}
                heat = [gr.Image(label=side, elem_id=f"heat-{side.lower()}", **shown) for side in SIDES]
        with gr.Column(visible=False, elem_id="beside") as beside:
            gr.HTML(says.swipe(), elem_classes="part")
            swipe = gr.ImageSlider(label="Before and after", interactive=False, max_height=440, elem_id="swipe")
        clicked = gr.HTML(says.examples(_pictures(examples)), js_on_load=CLICKED)
        gr.HTML(says.about(MAX_BYTES // 10**6, MAX_PIXELS // 10**6), elem_id="about")
        # Both wait for the same models: as many requests at work as one batch, and those that gather for the next.
        limits = {"concurrency_limit": 2 * max_batch_size, "concurrency_id": "models", "preprocess": False}
        asked = {"fn": say, "inputs": [*boxes, model], "outputs": [result, where, *heat, beside, swipe]}
        asked |= {"show_progress_on": [result], "api_visibility": "private", **limits}
        button.click(**asked)
        clicked.click(choose, None, boxes, queue=False, api_visibility="private").success(**asked)
        gr.Button(visible=False).click(
            caption, [*boxes, model], [gr.JSON(label="answer", visible=False), *heat], api_name="caption", **limits
        )
    # gradio's own only counts them, and then fetches URLs; nothing else comes before that.
    page.validate_inputs = check
    page.max_threads, page.state_session_capacity = THREADS, SESSIONS
    delete_old_files(folder, KEPT, page.temp_file_sets)
    return page.queue(max_size=queue_size, api_open=False, status_update_rate=1)


def serve(page: Any, host: str | None = None, port: int | None = None, block: bool = True) -> str:
    """
    Show the page. (gradio's own `launch` asks the new server for a page, also where that goes through a proxy, and
    hardly knows IPv6.) Behind a reverse proxy, `GRADIO_ROOT_PATH` says where it is shown, as gradio does it.

    Args:
        page (`gradio.Blocks`): from [`build`].
        host (`str`, *optional*): address to listen on; by default `GRADIO_SERVER_NAME`, or 127.0.0.1.
        port (`int`, *optional*): 0 is any that is free; by default `GRADIO_SERVER_PORT`, or 7860.
        block (`bool`, *optional*, defaults to `True`): do not return until Ctrl-C.

    Returns:
        `str`: the page's address.
    """
    import uvicorn
    from fastapi import FastAPI
    from gradio import mount_gradio_app, themes

    host = (host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1").strip("[]")
    port = int(os.environ.get("GRADIO_SERVER_PORT") or 7860) if port is None else port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # the rest names the address again
        raise OSError(
            f"cannot listen on port {port} of {host} ({why}); if another server does so, --port 0 takes any free one"
        ) from error
    sys.setswitchinterval(SWITCH)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(RequestLimits)
    mount_gradio_app(
        app,
        page,
        path="/",
        theme=themes.Base(font=FONTS, font_mono=MONOSPACE_FONTS, radius_size=themes.sizes.radius_lg).set(**GROUND),
        css=STYLE.read_text(encoding="utf-8"),
        js=ACCESS.read_text(encoding="utf-8"),
        allowed_paths=[str(EXAMPLES)],
        footer_links=["api"],
        max_file_size=MAX_BYTES,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    if not block:
        print(f"The page is at {address}", flush=True)
        return address
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what systemd, containers and Spaces send
    try:
        print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
        thread.join()
    except KeyboardInterrupt:
        print()
    finally:
        page.close(verbose=False)
        server.should_exit = server.force_exit = True  # connections may stay open for hours
        thread.join(5)
    return address


def parts() -> Any:
    """The words of the page, as functions that return HTML; what they are given is escaped."""
    return Environment(autoescape=True, trim_blocks=True).from_string(PARTS.read_text(encoding="utf-8")).module


def _import_gradio() -> Any:
    """On import, gradio makes web clients, which fails where `ALL_PROXY` names a proxy that they cannot use."""
    names = ("NO_PROXY", "no_proxy")
    before = {name: os.environ[name] for name in names if name in os.environ}
    os.environ |= dict.fromkeys(names, "*")
    try:
        import gradio
    finally:
        for name in names:
            del os.environ[name]
        os.environ |= before
    return gradio


def _pictures(examples: Sequence[dict]) -> list[dict]:
    """Examples whose images are data URIs."""

    def uri(path: str) -> str:
        load_image(path).save(buffer := BytesIO(), format="JPEG", quality=88)
        return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"

    return [example | {side: uri(example[side]) for side in ("before", "after")} for example in examples]
