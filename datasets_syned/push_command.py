"""`syned push`: publishes a configuration."""

import argparse
import logging
from dataclasses import fields

import datasets

from .audit_command import COMMON, _options, _value
from .builder import Syned
from .publish import publish

OWN = ("revision", "max_shard_size", "data_dir", "cache_dir")


def add_push(commands: "argparse._SubParsersAction") -> None:
    """Adds the command to others."""
    parser = commands.add_parser(
        "push",
        help="publish a configuration on the Hub",
        description="Builds a configuration and uploads it, as Parquet files with the images inside and a card, into "
        "a dataset repository, beside the configurations that are there. Interrupt it as you like: the same command "
        "continues. It takes the token that you are logged in with (`hf auth login`, or HF_TOKEN).",
    )
    parser.add_argument("config", help=f"one of {', '.join(Syned.builder_configs)}")
    parser.add_argument("target", metavar="repo", help="someone/name; made unless it is there")
    parser.add_argument("--private", action="store_true", help="make it a private repository")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to write to (default: main)")
    parser.add_argument("--max_shard_size", metavar="SIZE", type=_size, help="of a Parquet file (default: 500MB)")
    parser.add_argument("--data_dir", metavar="FOLDER", help="the folder that holds the benchmark's files")
    parser.add_argument("--cache_dir", metavar="FOLDER", help="where load_dataset keeps its files")
    options = parser.add_argument_group(
        "options of a configuration", "as load_dataset takes them; no value means true"
    )
    for name, owners in _options().items():
        if name not in OWN:
            options.add_argument(
                f"--{name}",
                nargs="?",
                const="true",
                default=argparse.SUPPRESS,
                metavar="VALUE",
                help=", ".join(owners),
            )
    parser.set_defaults(run=_push, stopped="stopped; the same command continues where it was")


def _size(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _push(args: argparse.Namespace) -> int:
    if args.config not in Syned.builder_configs:
        raise ValueError(f"config {args.config!r} is none of {', '.join(Syned.builder_configs)}")
    own = {field.name: field for field in fields(Syned.builder_configs[args.config]) if field.name not in COMMON}
    options = {name: getattr(args, name) for name in _options() if name not in OWN and hasattr(args, name)}
    if unknown := [name for name in options if name not in own]:
        raise ValueError(f"config {args.config!r} has no option {unknown[0]!r}, but {', '.join(own)}")
    values = {name: _value(value, own[name]) for name, value in options.items()}
    # says of every split that one process writes it, as a warning
    logging.getLogger("datasets.arrow_dataset").setLevel(logging.ERROR)
    mine = {name: getattr(args, name) for name in OWN}
    try:
        print(publish(args.config, args.target, private=args.private, **mine, **values))
    except datasets.exceptions.DatasetsError as error:
        raise RuntimeError(f"{error.__cause__ or error}") from error
    return 0
