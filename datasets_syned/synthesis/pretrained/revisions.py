"""Which weights a local folder or a name on the Hub stands for, found out without loading them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path


def find_folder(model: str, revision: str | None, files: Sequence[str]) -> Path:
    """
    The folder of a model: a local one, or one in the cache of the Hub, whose name is the commit.

    Args:
        model (`str`): a folder, or a name on the Hub.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        files (`Sequence[str]`): patterns of the files that are fetched; all of a local folder are there.

    Raises:
        ValueError: there is no such folder, and the Hub does not give it.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(files)))
    except (OSError, ValueError) as error:  # those of the connection and of a name that cannot be one among them
        at = f" at revision {revision}" if revision else ""
        raise ValueError(
            f"there is no such folder, and the Hub does not give it{at}: {type(error).__name__}: {first_line(error)}"
        ) from error


def file_digest(path: Path) -> str:
    """`sha256:` and 16 hexadecimal digits, over the content of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"


def folder_digest(folder: Path) -> str:
    """`sha256:` and 16 hexadecimal digits, over names and contents of the files that are not hidden."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            digest.update(name.as_posix().encode() + b"\0" + content)
    return f"sha256:{digest.hexdigest()[:16]}"


def first_line(error: Exception) -> str:
    """What an exception says, without its explanations."""
    return str(error).strip().split("\n")[0]
