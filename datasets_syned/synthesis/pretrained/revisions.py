"""Which weights a local folder holds, and what errors of loading say."""

import hashlib
from pathlib import Path


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
