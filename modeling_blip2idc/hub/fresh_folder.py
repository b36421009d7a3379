"""A result folder that is complete or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def fresh_folder(out: str | os.PathLike) -> Iterator[Path]:
    """
    A folder to write to, which gets its name when the block ends, and is removed when the block fails. (A process that
    is killed leaves `.NAME.PID.partial` beside it.)

    Args:
        out (`str` or `os.PathLike`):
            The name; there is no such folder yet, or it is empty.

    Yields:
        `pathlib.Path`: the folder until then, beside `out`, so that relative paths from it are those from `out`.

    Raises:
        `FileExistsError`: if there is a file of that name, or a folder that is not empty.
    """
    out = Path(os.path.realpath(out))
    _check(out)
    partial = out.parent / f".{out.name}.{os.getpid()}.partial"
    partial.mkdir(parents=True)
    try:
        yield partial
        _check(out)
        if out.is_dir():  # empty; only POSIX renames onto it
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _check(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; name a folder that is not there yet.")
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; name a folder that is not there yet.")


__all__ = ["fresh_folder"]
