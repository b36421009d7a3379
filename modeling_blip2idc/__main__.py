"""The `blip2idc` command: image pairs in, what changed in a sentence out."""

import argparse
import os
import sys

from .cli.caption import Unusable, positive, run_captions, run_demo
from .cli.files import run_canvas, run_import, run_merge
from .cli.pairs import LAYOUTS
from .cli.push import push_parser, run_push
from .cli.push_space import push_space_parser, run_push_space
from .cli.serve import run_serve, serve_parser

DTYPES = ("float32", "bfloat16", "float16")

DESCRIPTION = """\
blip2idc BEFORE AFTER   say what changed between two images
blip2idc FOLDER         the same for every pair in a folder
blip2idc demo           caption the six bundled pairs, write demo.html
blip2idc serve          a page to try models in a browser

blip2idc import-adapter FOLDER          a peft adapter, such as the authors' pickles, as one of this package
blip2idc merge MODEL OUT                a model or adapter as a checkpoint of stock transformers
blip2idc canvas BEFORE AFTER OUT.png    the one image that a server of such a checkpoint takes
blip2idc push-space REPO                the page onto the Hub, as a Space
blip2idc push FOLDER REPO               a model or adapter to the Hub, to be loaded by its name

Each has its own --help. For a folder of such a name, write ./demo."""

EPILOG = f"""\
layouts of a folder of pairs:
{LAYOUTS}

A pair that cannot be read is reported on stderr, and the others are kept.
exit status: 0 all captioned, 1 some pairs failed, 2 nothing could be done"""


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Args:
        argv (`list[str]`, *optional*, defaults to `sys.argv[1:]`):
            Its arguments.

    Returns:
        `int`: exit status; 0 if all pairs were captioned, 1 if some failed, 2 if nothing could be done.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and argv[0] in (commands := _commands()):
            parser, run = commands[argv[0]]
            return run(parser().parse_args(argv[1:]))
        return run_captions(captions_parser().parse_args(argv))
    except Unusable as error:
        print(f"blip2idc: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` say, has enough; keep Python from failing again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _commands() -> dict[str, tuple]:
    """Parser and action by the first word."""
    return {
        "demo": (demo_parser, run_demo),
        "serve": (serve_parser, run_serve),
        "import-adapter": (import_parser, run_import),
        "merge": (merge_parser, run_merge),
        "canvas": (canvas_parser, run_canvas),
        "push-space": (push_space_parser, run_push_space),
        "push": (push_parser, run_push),
    }


def captions_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc BEFORE AFTER` and `blip2idc FOLDER`."""
    parser = argparse.ArgumentParser(
        prog="blip2idc",
        usage="blip2idc [options] BEFORE AFTER | FOLDER | COMMAND ...",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="two images (files or URLs), or one or two folders")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.add_argument("--heatmap", metavar="PNG", help="of two images: also draw where it changed")
    _add_model_options(parser)
    return parser


def demo_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc demo`."""
    parser = argparse.ArgumentParser(
        prog="blip2idc demo",
        description="Caption the six bundled pairs, one for each kind of change; print a table and write a page.",
    )
    parser.add_argument("--out", default="demo.html", metavar="FILE", help="the page (default: %(default)s)")
    parser.add_argument("--picture", metavar="PNG", help="also draw pairs and captions as one picture")
    _add_model_options(parser)
    return parser


def import_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc import-adapter`."""
    parser = argparse.ArgumentParser(
        prog="blip2idc import-adapter",
        description="Turn a peft adapter (adapter_model.bin or .safetensors, adapter_config.json) into a folder of "
        "safetensors, processor, generation settings and card. Only tensors are read from a pickle.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="the adapter's")
    parser.add_argument("--out", metavar="DIR", help="the new folder (default: FOLDER-imported)")
    parser.add_argument("--base", metavar="ID", help="Hub id or folder of the base model (default: as FOLDER says)")
    parser.add_argument("--revision", metavar="R", help="of the base (default: as FOLDER or the authors' script says)")
    parser.add_argument("--dtype", choices=DTYPES, help="default: 16 bits stay as they are, others become bfloat16")
    return parser


def merge_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc merge`."""
    parser = argparse.ArgumentParser(
        prog="blip2idc merge",
        description="Write a model, or an adapter merged into its base, as a checkpoint of stock transformers, which "
        "loads without this package and without remote code.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder or Hub id of an adapter or a model")
    parser.add_argument("out", metavar="OUT", help="the new folder")
    parser.add_argument("--dtype", choices=DTYPES, help="of the weights (default: the base's)")
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of MODEL")
    return parser


def canvas_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc canvas`."""
    parser = argparse.ArgumentParser(
        prog="blip2idc canvas",
        description="Write the one image with both on it that a served model takes.",
    )
    parser.add_argument("before", metavar="BEFORE", help="file or URL")
    parser.add_argument("after", metavar="AFTER", help="file or URL")
    parser.add_argument("out", metavar="OUT.png", help="the picture")
    parser.add_argument("--model", metavar="M", help="folder or Hub id whose canvas it is (default: the embedded)")
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the model")
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="M", help="folder or Hub id of a model or adapter (default: the embedded)")
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the model")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps, ... (default: a GPU if there is one)")
    parser.add_argument("--batch_size", type=positive, default=8, metavar="N", help="pairs at a time (default: 8)")
    parser.add_argument("--num_beams", type=positive, metavar="N", help="beams of the search (default: the model's)")
    parser.add_argument("--max_new_tokens", type=positive, metavar="N", help="longest caption (default: the model's)")
    parser.add_argument("--prompt", metavar="TEXT", help="start of the caption, to be continued (default: none)")


if __name__ == "__main__":
    sys.exit(main())
