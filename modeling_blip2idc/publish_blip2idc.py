"""Uploading a result to the Hub."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

AGAIN = "the same command continues where this one ended"
REASONS = {
    401: "the token is not accepted, or there is none; log in with `hf auth login`, or set HF_TOKEN",
    403: "the token may not write there; it needs the role 'write', and the repository must be yours",
    429: f"too many requests; wait a little, {AGAIN}",
}


def claim_repo(repo: str, token: str | None = None, private: bool | None = None, revision: str | None = None) -> str:
    """
    Makes a model repository and the branch, or finds that they are there and may be written to: what a run that is to
    be published should know before it trains.

    Args:
        repo, token, private, revision:
            As for [`publish`].

    Returns:
        `str`: the repository's full name.

    Raises:
        `OSError`: the Hub refuses, or cannot be reached; says why in one line.
        `ValueError`: a private repository is asked for, and there is a public one; `repo` is no name.
    """
    api = HfApi(token=token)
    with _said_plainly(api, repo):
        name = api.create_repo(repo, private=private, exist_ok=True).repo_id
        if private and not api.model_info(name).private:
            raise ValueError(f"{name} is there and is public: make it private, or choose another")
        try:
            # of a repository that is there, the above does not tell whose it is
            api.create_branch(name, branch=revision or "main")
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
) -> str:
    """
    Uploads a folder to a model repository, in one commit.

    Args:
        folder (`str` or `os.PathLike`):
            With the model or the adapter, its processor and its card.
        repo (`str`):
            Name of the repository, which is made if there is none; the account's own without a slash.
        token (`str`, *optional*):
            By default the one that is logged in.
        private (`bool`, *optional*):
            Whether a new repository is; by default as the account has it. Where there is a public one, `True` is
            refused.
        revision (`str`, *optional*):
            Branch to commit to, made from `main` if there is none; by default `main`.

    Returns:
        `str`: the repository's full name.

    Raises:
        `OSError`, `ValueError`: as [`claim_repo`] does.
    """
    name = claim_repo(repo, token, private, revision)
    api = HfApi(token=token)
    with _said_plainly(api, name):
        api.upload_folder(repo_id=name, folder_path=folder, revision=revision, commit_message="Trained model")
    return name


@contextmanager
def _said_plainly(api: HfApi, repo: str) -> Iterator[None]:
    """Turns errors of the Hub and its client into one line."""
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


__all__ = ["claim_repo", "publish"]
