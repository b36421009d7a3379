"""Publishing on the Hub: a folder goes up in one commit, or not at all."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import DEFAULT_IGNORE_PATTERNS, filter_repo_objects, validate_repo_id

from ..loading.load import check_folder
from .model_card import is_generated, write_published_card
from .prepare_upload import prepare_upload
from .private_paths import check_private_paths
from .saving import temporary_folder

# Files of a model, at the root: those of another one that was in the repository go with the same commit.
OWN = (
    *("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json", "generation_config.json"),
    *("processor_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "qformer_tokenizer/*"),
    *("chat_template.jinja", "*_blip2idc.py", "report.json", "curves.png", "examples.png"),
)
AGAIN = "the same command continues where this one ended"
REASONS = {
    401: "the token is not accepted, or there is none; log in with `hf auth login`, or set HF_TOKEN",
    403: "the token may not write there; it needs the role 'write', and the repository must be yours",
    429: f"too many requests; wait a little, {AGAIN}",
}


class Pushed(NamedTuple):
    """What went up: full name of the repository, bytes by name of file, and what a user should know."""

    repo: str
    files: dict[str, int]
    notes: list[str]


def push(
    folder: str | os.PathLike,
    repo: str,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    dtype: str | None = None,
    merge: bool = False,
    message: str | None = None,
    replace_card: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """
    Publishes a model or an adapter, with processor, generation settings, code and card, in one commit. The folder is
    left as it is.

    Args:
        folder (`str` or `os.PathLike`):
            A run of `train_trainer.py`, or a folder with `config.json` or `adapter_config.json`.
        repo (`str`), token (`str`, *optional*), private (`bool`, *optional*), revision (`str`, *optional*):
            As for [`publish`].
        dtype (`str`, *optional*), merge (`bool`, *optional*, defaults to `False`):
            As for [`prepare_upload`].
        message (`str`, *optional*):
            Title of the commit.
        replace_card (`bool`, *optional*, defaults to `False`):
            Whether a card on the Hub that somebody wrote there gives way to a generated one. (One that somebody wrote
            in `folder` always goes up.)
        dry_run (`bool`, *optional*, defaults to `False`):
            Whether to stop before anything is sent.

    Returns:
        [`Pushed`]

    Raises:
        `OSError`, `ValueError`: as [`prepare_upload`] and [`publish`] do; a file names a place of this machine.
    """
    check_name(repo)
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"No such folder: {os.fspath(folder)!r}.")
    source = Path(check_folder(os.fspath(folder)))
    api, notes = HfApi(token=token), []
    with temporary_folder(tempfile.gettempdir(), "blip2idc-push-", 0o700) as out:
        if "/" not in repo and not dry_run:
            with hub_errors(api, repo):
                repo = f"{api.whoami()['name']}/{repo}"
        facts = prepare_upload(source, out, dtype, merge, token)
        write_published_card(source, out, repo, facts)
        check_private_paths(out, [source, Path(folder)], [token or get_token() or ""])
        card = out / "README.md"
        if not dry_run and not replace_card and is_generated(card.read_text(encoding="utf-8")):
            if not is_generated(_card_there(api, repo, revision)):
                card.unlink()
                notes.append(f"somebody wrote the card of {repo}, and it stays; --replace_card replaces it")
        files = {name: path.stat().st_size for name, path in _files(out).items()}
        if not dry_run:
            title = message or ("Adapter" if facts["adapter"] else "Model")
            publish(out, repo, token, private, revision, commit_message=title, replace=OWN)
    return Pushed(repo, files, notes)


def check_name(repo: str) -> None:
    """Refuse what cannot be the name of a repository (`ValueError`)."""
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ValueError(
            f"{repo!r} cannot be a name on the Hub, which is like account/name and has at most 96 letters, digits, "
            "'-', '_' and '.'"
        ) from error


def _card_there(api: HfApi, repo: str, revision: str | None) -> str:
    """The card in a repository, empty if there is none."""
    with hub_errors(api, repo):
        if revision is not None and not api.revision_exists(repo, revision):
            revision = None  # the new branch begins with what main has
        if not api.file_exists(repo, "README.md", revision=revision):
            return ""
        # forced: a card from the cache, of the last push, would stand for it while the Hub fails
        there = api.hf_hub_download(repo, "README.md", revision=revision, force_download=True)
    return Path(there).read_text(encoding="utf-8")


def claim_repo(
    repo: str,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    repo_type: str = "model",
) -> str:
    """
    Makes a repository and the branch, or finds that they exist and may be written to: what a run that is to be
    published should know before it trains. Takes the arguments of [`publish`]; returns the repository's full name.
    Raises an `OSError` that says in one line why the Hub refuses, or cannot be reached, and a `ValueError` if a
    private repository is asked for, and there is a public one.
    """
    api = HfApi(token=token)
    of = {"repo_type": repo_type}
    with hub_errors(api, repo):
        sdk = "gradio" if repo_type == "space" else None
        name = api.create_repo(repo, private=private, exist_ok=True, space_sdk=sdk, **of).repo_id
        if private and not api.repo_info(name, **of).private:
            raise ValueError(f"{name} exists and is public: make it private, or choose another")
        try:
            # `create_repo` does not tell whose a repository is that exists already
            api.create_branch(name, branch=revision or "main", **of)
        except HfHubHTTPError as error:
            if error.response.status_code != 409:  # it exists
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
            Name of the repository, which is made if it is missing; the account's own without a slash.
        token (`str`, *optional*):
            By default the one that is logged in.
        private (`bool`, *optional*):
            Whether a new repository is private, by default as the account has it. `True` is refused where there is a
            public one.
        revision (`str`, *optional*):
            Branch to commit to, made from `main` if it is missing; by default `main`.
        repo_type (`str`, *optional*, defaults to `"model"`):
            Or `"dataset"`, or `"space"`, which is one of Gradio.
        commit_message (`str`, *optional*, defaults to `"Trained model"`):
            Title of the commit.
        replace (`Sequence[str]`, *optional*):
            Patterns, as of `fnmatch`, of files in the repository that are deleted unless the folder has them. One
            without a slash is of files at the root only; `"folder/*"` is of all below that folder.

    Returns:
        `str`: the repository's full name.

    Raises:
        `OSError`, `ValueError`: as [`claim_repo`] does.
    """
    name = claim_repo(repo, token, private, revision, repo_type)
    api = HfApi(token=token)
    of = {"repo_type": repo_type, "revision": revision}
    with hub_errors(api, name):
        files = _files(Path(folder))
        kept = filter_repo_objects(files, ignore_patterns=DEFAULT_IGNORE_PATTERNS)
        # not `upload_folder`, which makes several commits of what takes it long
        operations = [CommitOperationAdd(there, files[there]) for there in kept]
        if replace:
            for there in sorted(set(api.list_repo_files(name, **of)) - files.keys() - {".gitattributes"}):
                # to `fnmatch` a slash is a letter like others: `*.json` would be any JSON file of any folder
                patterns = [pattern for pattern in replace if "/" in pattern or "/" not in there]
                if any(fnmatchcase(there, pattern) for pattern in patterns):
                    operations.append(CommitOperationDelete(there, is_folder=False))
        api.create_commit(name, operations, commit_message=commit_message, **of)
    return name


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


@contextmanager
def hub_errors(api: HfApi, repo: str) -> Iterator[None]:
    """Turns errors of the Hub and its client, while `repo` is read or written, into an `OSError` of one line."""
    try:
        yield
    except Exception as error:
        cause = error
        while cause is not None and not type(cause).__module__.startswith("http"):  # the client's library
            if isinstance(cause, HfHubHTTPError):
                status = cause.response.status_code
                said = " ".join((cause.server_message or type(cause).__name__).split())
                reason = REASONS.get(status, f"it has a problem; {AGAIN}" if status >= 500 else said)
                raise OSError(f"{api.endpoint} refuses {repo} with HTTP status {status}: {reason}") from error
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise OSError(f"the connection to {api.endpoint} failed ({type(cause).__name__}); {AGAIN}") from error


__all__ = ["Pushed", "check_name", "claim_repo", "hub_errors", "publish", "push"]
