"""Uploading a result to the Hub."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import DEFAULT_IGNORE_PATTERNS, filter_repo_objects

AGAIN = "the same command continues where this one ended"
REASONS = {
    401: "the token is not accepted, or there is none; log in with `hf auth login`, or set HF_TOKEN",
    403: "the token may not write there; it needs the role 'write', and the repository must be yours",
    429: f"too many requests; wait a little, {AGAIN}",
}


def claim_repo(
    repo: str,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    repo_type: str = "model",
) -> str:
    """
    Makes a repository and the branch, or finds that they are there and may be written to: what a run that is to be
    published should know before it trains.

    Args:
        repo, token, private, revision, repo_type:
            As for [`publish`].

    Returns:
        `str`: the repository's full name.

    Raises:
        `OSError`: the Hub refuses, or cannot be reached; says why in one line.
        `ValueError`: a private repository is asked for, and there is a public one; `repo` is no name.
    """
    api = HfApi(token=token)
    of = {"repo_type": repo_type}
    with said_plainly(api, repo):
        sdk = "gradio" if repo_type == "space" else None
        name = api.create_repo(repo, private=private, exist_ok=True, space_sdk=sdk, **of).repo_id
        if private and not api.repo_info(name, **of).private:
            raise ValueError(f"{name} is there and is public: make it private, or choose another")
        try:
            # of a repository that is there, the above does not tell whose it is
            api.create_branch(name, branch=revision or "main", **of)
        except HfHubHTTPError as error:
            if error.response.status_code != 409:  # it is there
                raise
    return name


def publish(
    folder: str | os.PathLike,
    repo: str,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    repo_type: str = "model",
    commit_message: str = "Trained model",
    replace: Sequence[str] = (),
) -> str:
    """
    Uploads a folder to a repository, in one commit; in none, if nothing changed.

    Args:
        folder (`str` or `os.PathLike`):
            With what is published and its card.
        repo (`str`):
            Name of the repository, which is made if there is none; the account's own without a slash.
        token (`str`, *optional*):
            By default the one that is logged in.
        private (`bool`, *optional*):
            Whether a new repository is; by default as the account has it. Where there is a public one, `True` is
            refused.
        revision (`str`, *optional*):
            Branch to commit to, made from `main` if there is none; by default `main`.
        repo_type (`str`, *optional*, defaults to `"model"`):
            Or `"dataset"`, or `"space"`, which is one of Gradio.
        commit_message (`str`, *optional*, defaults to `"Trained model"`):
            Title of the commit.
        replace (`Sequence[str]`, *optional*):
            Patterns, as of `fnmatch`, of files in the repository that go unless the folder has them. One without a
            slash is of files at the root only; `"folder/*"` is of all below that folder.

    Returns:
        `str`: the repository's full name.

    Raises:
        `OSError`, `ValueError`: as [`claim_repo`] does.
    """
    name = claim_repo(repo, token, private, revision, repo_type)
    api = HfApi(token=token)
    of = {"repo_type": repo_type, "revision": revision}
    with said_plainly(api, name):
        files = {path.relative_to(folder).as_posix(): path for path in sorted(Path(folder).rglob("*"))}
        files = {there: path for there, path in files.items() if path.is_file()}
        kept = filter_repo_objects(files, ignore_patterns=DEFAULT_IGNORE_PATTERNS)
        # not `upload_folder`, which makes several commits of what takes it long
        operations = [CommitOperationAdd(there, files[there]) for there in kept]
        if replace:
            old = set(api.list_repo_files(name, **of)) - files.keys() - {".gitattributes"}
            gone = [there for there in sorted(old) if any(_matches(there, pattern) for pattern in replace)]
            operations += [CommitOperationDelete(there, is_folder=False) for there in gone]
        api.create_commit(name, operations, commit_message=commit_message, **of)
    return name


def _matches(there: str, pattern: str) -> bool:
    """To `fnmatch` a slash is a letter like others: `*.json` would be any JSON file of any folder."""
    return fnmatchcase(there, pattern) and ("/" in pattern or "/" not in there)


@contextmanager
def said_plainly(api: HfApi, repo: str) -> Iterator[None]:
    """
    Turns errors of the Hub and its client into one line.

    Args:
        api (`huggingface_hub.HfApi`): that is used.
        repo (`str`): what is read or written.

    Raises:
        `OSError`: in their place.
    """
    try:
        yield
    except Exception as error:
        reason = next(filter(None, (_reason(one, api.endpoint, repo) for one in _chain(error))), None)
        if reason is None:
            raise
        raise OSError(reason) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: BaseException, hub: str, repo: str) -> str | None:
    """What went wrong with the Hub, `None` if it was something else."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        said = " ".join((error.server_message or type(error).__name__).split())
        reason = REASONS.get(status, f"it has a problem; {AGAIN}" if status >= 500 else said)
        return f"{hub} refuses {repo} with HTTP status {status}: {reason}"
    if type(error).__module__.startswith("http"):  # the client's library
        return f"the connection to {hub} failed ({type(error).__name__}); {AGAIN}"
    return None


__all__ = ["claim_repo", "publish", "said_plainly"]
