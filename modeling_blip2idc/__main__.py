"""The `blip2idc` command: image pairs in, what changed in a sentence out."""

import argparse
import os
import sys

from .command_blip2idc import Unusable, run_captions, run_demo
from .pairs_blip2idc import LAYOUTS

DESCRIPTION = """\
blip2idc BEFORE AFTER   say what changed between two images
blip2idc FOLDER         the same for every pair in a folder
blip2idc demo           caption the six bundled pairs, write demo.html (for a folder of that name, write ./demo)"""

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
        if argv[:1] == ["demo"]:
            return run_demo(demo_parser().parse_args(argv[1:]))
        return run_captions(captions_parser().parse_args(argv))
    except Unusable as error:
        print(f"blip2idc: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` say, has enough; keep Python from failing again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def captions_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc BEFORE AFTER` and `blip2idc FOLDER`."""
    parser = argparse.ArgumentParser(
        prog="blip2idc",
        usage="blip2idc [options] BEFORE AFTER | FOLDER | demo",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="two images (files or URLs), or one or two folders")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
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


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="M", help="folder or Hub id of a model or adapter (default: the embedded)")
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the model")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps, ... (default: a GPU if there is one)")
    parser.add_argument("--batch_size", type=_positive, default=8, metavar="N", help="pairs at a time (default: 8)")
    parser.add_argument("--num_beams", type=_positive, metavar="N", help="beams of the search (default: the model's)")
    parser.add_argument("--max_new_tokens", type=_positive, metavar="N", help="longest caption (default: the model's)")
    parser.add_argument("--prompt", metavar="TEXT", help="start of the caption, to be continued (default: none)")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
