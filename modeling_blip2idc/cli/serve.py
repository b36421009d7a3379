"""`blip2idc serve`: the page, on this machine."""

import argparse
import os
import sys

from ..loading.load import check_folder
from .caption import Unusable, positive


def serve_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc serve`."""
    parser = argparse.ArgumentParser(
        prog="blip2idc serve",
        description="Show a page to try models in a browser, with an interface for programs. Ctrl-C ends it.",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="M",
        help="folder or Hub id of a model or adapter to choose from, again for more (the embedded is always there)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, only here)")
    parser.add_argument("--port", type=_port, default=7860, metavar="N", help="0 is any free (default: %(default)s)")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps, ... (default: a GPU if there is one)")
    parser.add_argument(
        "--max_batch_size", type=positive, default=32, metavar="N", help="waiting pairs at a time (default: 32)"
    )
    parser.add_argument(
        "--queue_size", type=positive, default=64, metavar="N", help="pairs that may wait (default: 64)"
    )
    return parser


def run_serve(args: argparse.Namespace) -> int:
    """
    Show the page until it is interrupted.

    Args:
        args (`argparse.Namespace`):
            From [`serve_parser`].

    Returns:
        `int`: 0.

    Raises:
        Unusable: if gradio is missing, or the address cannot be listened on.
    """
    _without_spinning()
    from transformers.utils import logging

    from ..app.page import build, serve

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        for model in args.model:
            check_folder(model)
    except FileNotFoundError as error:
        raise Unusable(f"--model: {error}") from error
    try:
        page = build(args.model, args.device, args.max_batch_size, args.queue_size)
    except ModuleNotFoundError as error:
        raise Unusable(f"{error.name} is not installed; the page needs it: pip install 'blip2idc[app]'") from error
    try:
        serve(page, args.host, args.port)
    except OSError as error:
        why = f" ({error.strerror})" if error.strerror else ""
        raise Unusable(
            f"cannot listen on port {args.port} of {args.host}{why}; if another server does so, --port 0 takes any "
            "free one"
        ) from error
    return 0


def _without_spinning() -> None:
    """
    By default the threads of a model spin while they wait for each other, on the cores that the web server needs: with
    one more program on the machine, hardly a request is answered. What they do is settled when torch is loaded, and so
    it is in this process: it begins anew.
    """
    if sys.argv[1:2] == ["serve"] and "OMP_WAIT_POLICY" not in os.environ:  # not for a caller of `main(["serve"])`
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, got {number}")
    return number
