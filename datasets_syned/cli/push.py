"""`syned push`: publishes a configuration."""

import argparse

from ..hub.publish import publish
from ..loading.builder import Syned
from .options import add_options, given_options, option_values

OWN = ("revision", "max_shard_size", "license", "language", "data_dir", "cache_dir")


def add_push(commands: "argparse._SubParsersAction") -> None:
    """Adds the command to others."""
    parser = commands.add_parser(
        "push",
        help="publish a configuration on the Hub",
        description="Builds a configuration and uploads it, as Parquet files with the images inside and a card, into "
        "a dataset repository, beside the configurations that are there. Interrupt it as you like: the same command "
        "continues. It takes the token that you are logged in with (`hf auth login`, or HF_TOKEN).",
        epilog="Example: syned push spot_the_diff someone/syned --data_dir std/.",
    )
    parser.add_argument("config", help=f"one of {', '.join(Syned.builder_configs)}")
    parser.add_argument("target", metavar="repo", help="someone/name; made unless it is there")
    parser.add_argument("--private", action="store_true", help="make it a private repository")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to write to (default: main)")
    parser.add_argument("--max_shard_size", metavar="SIZE", type=_size, help="of a Parquet file (default: 500MB)")
    parser.add_argument("--license", metavar="ID", help="of your data, such as cc-by-4.0 (default: the source's)")
    parser.add_argument("--language", metavar="CODES", help="of the captions, such as fr or en,fr (default: en)")
    parser.add_argument(
        "--dry_run", action="store_true", help="build, print the card and what it costs, upload nothing"
    )
    parser.add_argument("--data_dir", metavar="FOLDER", help="the folder that holds the benchmark's files")
    parser.add_argument("--cache_dir", metavar="FOLDER", help="where load_dataset keeps its files")
    add_options(parser, without=OWN)
    parser.set_defaults(run=_push, stopped="stopped; the same command continues where it was")


def _size(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _push(args: argparse.Namespace) -> int:
    values = option_values(args.config, given_options(args, without=OWN))
    mine = {name: getattr(args, name) for name in OWN}
    print(publish(args.config, args.target, private=args.private, dry_run=args.dry_run, **mine, **values))
    return 0
