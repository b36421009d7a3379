"""`blip2idc push-space`: the page onto the Hub."""

import argparse
import tempfile
from pathlib import Path

from ..app.push_space import compose_space, push_space
from .caption import Unusable


def push_space_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc push-space`."""
    parser = argparse.ArgumentParser(
        prog="blip2idc push-space",
        description="Put the page of `blip2idc serve` on the Hub, as a Space; again, to replace it by this version.",
    )
    parser.add_argument("repo", metavar="REPO", help="the Space: owner/name, or name for one of your own")
    parser.add_argument(
        "--model",
        dest="models",
        metavar="M",
        nargs="+",
        action="extend",
        default=[],
        help="models and adapters on the Hub to choose from, beside the embedded one",
    )
    parser.add_argument("--private", action="store_true", help="make it a private one")
    parser.add_argument("--dry_run", action="store_true", help="upload nothing: list the files, print the card")
    return parser


def run_push_space(args: argparse.Namespace) -> int:
    """
    Publish the page and say where it is.

    Args:
        args (`argparse.Namespace`):
            From [`push_space_parser`].

    Returns:
        `int`: 0.

    Raises:
        Unusable: if it cannot be published.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(args.repo)
        if args.dry_run:
            _show(args.models)
        else:
            name = push_space(args.repo, args.models, private=args.private or None)
            print(f"{constants.ENDPOINT}/spaces/{name}")
    except (OSError, ValueError) as error:
        raise Unusable(str(error)) from error
    return 0


def _show(models: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        compose_space(folder, models)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in files:
            print(f"{path.stat().st_size:>10,}  {path.relative_to(folder).as_posix()}")
        print(f"{sum(path.stat().st_size for path in files):>10,}  bytes in {len(files)} files\n")
        print((folder / "README.md").read_text(encoding="utf-8"), end="")


__all__ = ["push_space_parser", "run_push_space"]
