"""`syned audit`: loads a configuration, or a dataset of that form from anywhere, and says what is in it."""

import argparse
import json
from pathlib import Path
from typing import Any

import datasets

from ..audit.audit import audit
from ..audit.render import page, text
from ..common.image_paths import data_folders
from ..loading.builder import Syned
from ..loading.registration import NAME
from .options import WrongUse, add_options, given_options, option_values


def add_audit(commands: "argparse._SubParsersAction") -> None:
    """Adds the command to others."""
    parser = commands.add_parser(
        "audit",
        help="count what a dataset holds, and find what is wrong in it",
        usage="syned audit [config] [--path ID] [--data_dir FOLDER] [--json FILE] [--html FILE] [--option VALUE ...]",
        description="Reads every row of a configuration once, opens every image, and prints what it found: repeats, "
        "leaks between splits, empty or quoted captions, words of a language model, images that do not open.",
        epilog="Example: syned audit spot_the_diff --data_dir std/ --html audit.html.",
    )
    parser.add_argument(
        "config", nargs="?", help=f"one of {', '.join(Syned.builder_configs)}; or, with --path, its own"
    )
    parser.add_argument("--path", metavar="ID", help="a folder or Hub id that load_dataset reads, instead")
    parser.add_argument("--data_dir", metavar="FOLDER", help="the folder that holds the benchmark's files")
    parser.add_argument("--cache_dir", metavar="FOLDER", help="where load_dataset keeps its files")
    parser.add_argument("--streaming", action="store_true", help="read the files without a copy in the cache")
    parser.add_argument("--json", metavar="FILE", help="write all numbers")
    parser.add_argument("--html", metavar="FILE", help="write a page with pairs for each finding")
    parser.add_argument(
        "--samples", type=int, default=4, metavar="N", help="pairs to show of each finding (default: 4)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 if there is a problem")
    add_options(parser)
    parser.set_defaults(run=_audit)


def _audit(args: argparse.Namespace) -> int:
    if args.samples < 0:
        raise WrongUse(f"--samples {args.samples} must not be negative")
    options = given_options(args)
    where = {"data_dir": args.data_dir, "cache_dir": args.cache_dir}
    if args.path is None:
        title, data, known = _build(args, option_values(args.config, options), where)
    elif options:
        raise WrongUse(f"--{next(iter(options))} is an option of a configuration, and does not go with --path")
    else:
        data = datasets.load_dataset(args.path, args.config, streaming=args.streaming, **where)
        title, known = f"Audit of {args.path}", {}
    folders = data_folders({"path": args.path, "data_dir": args.data_dir})
    report = audit(data, **known, samples=args.samples, thumbnails=args.html is not None, folders=folders)
    print(text(report, title))
    if args.html:
        Path(args.html).write_text(page(report, title), encoding="utf-8")
    if args.json:
        numbers = json.loads(json.dumps(report), object_hook=_without_images)
        Path(args.json).write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(args.strict and report["problems"] > 0)


def _build(args: argparse.Namespace, values: dict[str, Any], where: dict[str, str]) -> tuple[str, Any, dict]:
    """A title, the rows of a configuration, and what is known of them beforehand."""
    builder = datasets.load_dataset_builder(NAME, args.config, **where, **values)
    if args.streaming:
        data = builder.as_streaming_dataset()
    else:
        builder.download_and_prepare()
        data = builder.as_dataset()
    config, known = builder.config, {}
    if hasattr(config, "plan"):
        if config.on_error == "skip":
            config.check_images()  # what was left out when the cache was made
        known = {"dropped": config.plan.dropped, "notes": config.plan.notes}
        asked = {name: value for name, value in values.items() if name != "on_error" and name not in config.PLACES}
        if all(value == getattr(Syned.builder_configs[args.config], name) for name, value in asked.items()):
            known["published"] = config.COUNTS
    said = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return f"Audit of {args.config}{f' with {said}' if said else ''}", data, known


def _without_images(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "thumbnails"}
