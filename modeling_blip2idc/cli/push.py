"""`blip2idc push`: a model or an adapter to the Hub."""

import argparse

from .files import unusable


def push_parser() -> argparse.ArgumentParser:
    """Arguments of `blip2idc push`."""
    from ..hub.prepare_upload import DTYPES

    parser = argparse.ArgumentParser(
        prog="blip2idc push",
        description="Publish a model or an adapter on the Hub, in one commit: weights in safetensors, processor, "
        "generation settings, code and card. The token is that of `hf auth login`, or HF_TOKEN.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="a run, its final/, or any saved model or adapter")
    parser.add_argument("repo", metavar="REPO", help="account/name; made if there is none")
    parser.add_argument("--private", action="store_true", default=None, help="a new repository is private")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to commit to (default: main)")
    parser.add_argument("--dtype", choices=DTYPES, help="of the weights (default: keep; adapters bfloat16)")
    parser.add_argument("--merge", action="store_true", help="merge an adapter into its base, publish the whole model")
    parser.add_argument("--message", metavar="TEXT", help="title of the commit")
    parser.add_argument("--replace_card", action="store_true", help="also where somebody edited the card on the Hub")
    parser.add_argument("--dry_run", action="store_true", help="only say what would go up")
    return parser


def run_push(args: argparse.Namespace) -> int:
    """
    Publish, and say where it is.

    Args:
        args (`argparse.Namespace`):
            From [`push_parser`].

    Returns:
        `int`: 0.

    Raises:
        Unusable: if it cannot be published.
    """
    from huggingface_hub import constants

    from ..hub.push import push

    options = {name: value for name, value in vars(args).items() if name not in ("folder", "repo")}
    with unusable():
        done = push(args.folder, args.repo, **options)
    if args.dry_run:
        for name, size in done.files.items():
            print(f"{size:>14,}  {name}")
        print(f"{sum(done.files.values()):>14,}  bytes in {len(done.files)} files would go to {done.repo}")
        return 0
    for note in done.notes:
        print(note)
    print(f"{constants.ENDPOINT}/{done.repo}: {len(done.files)} files, {sum(done.files.values()) / 1e6:.2f} MB")
    return 0
