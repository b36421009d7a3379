"""`python -m metrics.cider push someone/cider`: the metric and its page as a Space that `evaluate` loads."""

import argparse
import sys
from pathlib import Path

NAME = "cider"
KINDS = (".py", ".md", ".txt")  # of files; others in the folder are caches
AGAIN = "The same command continues."


class PushError(RuntimeError):
    """The metric was not published; the message is for the user."""


def push(repo: str, private: bool = False, token: str | None = None) -> str:
    """
    Uploads the folder of this file to a Space, in one commit; in none, if nothing changed.

    Args:
        repo (`str`):
            Name of the Space, which is made if there is none: `"someone/cider"`, or `"cider"` for one's own.
        private (`bool`, *optional*, defaults to `False`):
            Whether a new one is. Where there is a public one, `True` is refused.
        token (`str`, *optional*):
            By default the one that is logged in.

    Returns:
        `str`: the full name, which `evaluate.load` takes.

    Raises:
        `PushError`: the Hub refuses, or cannot be reached, or the name is none for a metric; says why in one line.
    """
    from huggingface_hub import HfApi

    if repo.split("/")[-1] != NAME:
        # evaluate looks for <name>.py in the Space <name>
        raise PushError(
            f"evaluate finds this metric only in a Space that is called {NAME}: someone/{NAME}, not {repo}"
        )
    api = HfApi(token=token, library_name="blip2idc")
    try:
        return _upload(api, repo, private)
    except Exception as error:
        text = _sentence(error, api.endpoint, repo)
        if text is None:
            raise
        raise PushError(text) from error


def _upload(api, repo: str, private: bool) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    kind = {"repo_type": "space"}
    name = api.create_repo(repo, space_sdk="gradio", private=private or None, exist_ok=True, **kind).repo_id
    there = api.repo_info(name, **kind)
    if private and not there.private:
        raise PushError(f"{name} is there and is public, nothing was uploaded: make it private, or choose another")
    files = {path.name: path.read_bytes() for path in Path(__file__).parent.iterdir() if path.suffix in KINDS}
    files["README.md"] = files["README.md"].replace(b'load("metrics/cider")', f'load("{name}")'.encode())
    operations = [CommitOperationAdd(path, content) for path, content in sorted(files.items())]
    for path in (sibling.rfilename for sibling in there.siblings):
        if path.endswith(KINDS) and path not in files:  # of an older version
            operations.append(CommitOperationDelete(path, is_folder=False))
    api.create_commit(name, operations, commit_message="CIDEr and its companions", **kind)
    return name


def _sentence(error: BaseException | None, hub: str, repo: str) -> str | None:
    """What went wrong with the Hub, `None` if it was something else."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if isinstance(error, PushError):
        return str(error)
    if isinstance(error, HFValidationError):
        return f"{repo!r} is no name of a Space: {' '.join(str(error).split())}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        reasons = {
            401: "the token is not accepted, or there is none; log in with `hf auth login`, or set HF_TOKEN.",
            403: "the token may not write there; it needs the role 'write', and the Space must be yours.",
            429: f"too many requests; wait a little. {AGAIN}",
        }
        said = " ".join((error.server_message or type(error).__name__).split())
        reason = reasons.get(status, f"it has a problem. {AGAIN}" if status >= 500 else said)
        return f"{hub} refuses {repo} with HTTP status {status}: {reason}"
    if type(error).__module__.startswith("http"):  # the client's library
        return f"the connection to {hub} failed ({type(error).__name__}). {AGAIN}"
    following = error and (error.__cause__ or error.__context__)
    return _sentence(following, hub, repo) if following else None


def main(argv: list[str] | None = None) -> int:
    """
    Runs the command.

    Args:
        argv (`list[str]`, *optional*, defaults to `sys.argv[1:]`):
            Its arguments.

    Returns:
        `int`: exit status; 0 if the metric is on the Hub, 1 if not.
    """
    parser = argparse.ArgumentParser(
        prog="python -m metrics.cider",
        description="Put the metric and its page on the Hub, as a Space that `evaluate.load` takes by name.",
    )
    parser.add_argument("command", choices=["push"], help="upload; again, to replace what is there by this version")
    parser.add_argument("repo", metavar="REPO", help=f"the Space: someone/{NAME}, or {NAME} for one of your own")
    parser.add_argument("--private", action="store_true", help="make it a private one")
    args = parser.parse_args(argv)
    try:
        name = push(args.repo, args.private)
    except PushError as error:
        print(f"metrics.cider: error: {error}", file=sys.stderr)
        return 1
    print(f'evaluate.load("{name}")')
    return 0


if __name__ == "__main__":
    sys.exit(main())
