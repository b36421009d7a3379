"""The arguments of `evaluate_idc.py`, in a file that imports nothing heavy: `--help` and mistakes are told at once."""

import argparse
import difflib
import json

from blip2idc_scripts import ENDS

BENCHMARKS = (
    "scenes", "photos", "clevr_change", "clevr_dc", "spot_the_diff", "image_editing_request", "magicbrush",
    "emu_edit", "levir_cc", "birds_to_words", "diffspot", "img_diff", "vlm_subtlebench", "vismin", "synthetic",
    "syned", "folder",
)  # fmt: skip
DEFAULT, OPTIONS = BENCHMARKS[0], '{"jitter": 2.0}'
DESCRIPTION = """\
Scores a model, or a file of captions, on a benchmark; leaves a report that says what the scores are worth.

examples:
  %(prog)s --limit 100
  %(prog)s --model someone/adapter --benchmark spot_the_diff --data_dir std/ --out report/
  %(prog)s --predictions results.json --benchmark spot_the_diff --data_dir std/ --against theirs.json

The folder of --out then holds report.json, report.md, gallery.html and the captions in predictions.jsonl. The same
command continues captioning that was interrupted, at any moment."""


class Parser(argparse.ArgumentParser):
    """Names the option that may have been meant."""

    def parse_args(self, args=None, namespace=None):
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            known = [word for action in self._actions for word in action.option_strings]
            near = difflib.get_close_matches(rest[0].split("=")[0], known, 1)
            self.error(f"unknown argument {rest[0]}" + (f"; did you mean {near[0]}?" if near else ""))
        return parsed


def parse(argv=None):
    """The arguments of a command line. A mistake ends the program with one message and the status 2."""
    form = argparse.RawDescriptionHelpFormatter
    options = {"usage": "%(prog)s [--option value ...]", "description": DESCRIPTION, "epilog": ENDS}
    parser = Parser(formatter_class=form, allow_abbrev=False, **options)
    what = parser.add_argument_group("what is scored").add_mutually_exclusive_group()
    what.add_argument("--model", metavar="M", help="folder or Hub id of a model or adapter; default: the embedded one")
    what.add_argument("--predictions", metavar="FILE", help="captions: JSON lines, or an array as in result files")
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the model")

    data = parser.add_argument_group("on what")
    names = f"{', '.join(BENCHMARKS)}; default: {DEFAULT}"
    data.add_argument("--benchmark", choices=BENCHMARKS, metavar="NAME", help=names)
    data.add_argument("--data_dir", metavar="FOLDER", help="with the benchmark's files")
    data.add_argument(
        "--options", type=json_object, default={}, metavar="JSON", help=f"of the benchmark, such as '{OPTIONS}'"
    )
    data.add_argument("--split", metavar="NAME", default="test", help="default: test")
    data.add_argument("--limit", type=positive, metavar="N", help="the first pairs only")

    how = parser.add_argument_group("how captions are made")
    how.add_argument("--batch_size", type=positive, metavar="N", help="pairs at a time; default: 16")
    how.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="default: the checkpoint's")
    how.add_argument("--device", metavar="D", help="such as cuda:1 or cpu; default: the GPU, if there is one")
    how.add_argument("--num_beams", type=positive, metavar="N", help="default: the checkpoint's, else 1")
    how.add_argument("--max_new_tokens", type=positive, metavar="N", help="default: the checkpoint's")

    report = parser.add_argument_group("the report")
    report.add_argument("--out", default="report", metavar="FOLDER", help="default: report/")
    report.add_argument("--against", nargs="+", default=[], metavar="FILE", help="others' captions: a paired test")
    report.add_argument("--gallery", type=whole, metavar="N", help="pairs in gallery.html; default: 200")
    report.add_argument("--confidence", type=share, default=0.95, metavar="X", help="of the intervals; default: 0.95")
    report.add_argument(
        "--resamples", type=positive, default=1000, metavar="N", help="of the bootstrap; default: 1000"
    )
    report.add_argument("--seed", type=whole, default=0, metavar="N", help="of the bootstrap; default: 0")

    args = parser.parse_args(argv)
    try:
        check(args)
    except ValueError as error:
        parser.error(str(error))
    return args


def whole(text, least=0):
    """A whole number."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on, such as 16")
    return number


def positive(text):
    """A whole number from 1 on."""
    return whole(text, 1)


def share(text):
    """A number between 0 and 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1, such as 0.95")
    return number


def json_object(text):
    """What JSON names."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object, such as '{OPTIONS}'")
    return value


def check(args):
    """Raises a `ValueError` for what would silently do nothing."""
    alone = args.predictions is not None and args.benchmark is None
    ignored = {}
    if args.predictions is not None:
        of_model = ("revision", "dtype", "device", "num_beams", "max_new_tokens", "batch_size")
        ignored |= dict.fromkeys(of_model, "is for a model, and --predictions are made already")
    elif args.model is None:
        ignored["revision"] = "is that of --model, which is not given"
    if alone:
        ignored |= dict.fromkeys(("data_dir", "options", "split"), "is for a --benchmark, which is not given")
        if args.gallery:
            ignored["gallery"] = "needs the images of a --benchmark, which is not given"
    elif args.benchmark in (None, DEFAULT):
        ignored["data_dir"] = f"is for files of a benchmark, and {DEFAULT!r} is rendered"
    usual = {"options": {}, "split": "test"}
    for name, why in ignored.items():
        if getattr(args, name) != usual.get(name):
            raise ValueError(f"--{name} {why}")
