"""Files of a run, on any filesystem that fsspec knows; each is there as a whole or not at all."""

import os
import posixpath
import re
from collections.abc import Callable
from typing import IO, Any

UNFINISHED = re.compile(r"\..+\.\d+")  # the process that writes it is part of the name


class Store:
    """
    A folder.

    Args:
        place (`str` or `os.PathLike`): a local path, or an address such as "s3://bucket/folder".

    Raises:
        ValueError: no such kind of filesystem.
    """

    def __init__(self, place: str | os.PathLike):
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        try:
            self.files, self.root = fsspec.core.url_to_fs(os.path.expanduser(os.fspath(place)))
        except (ValueError, ImportError) as error:
            raise ValueError(f"out={os.fspath(place)!r} is no place to write to: {error}") from None
        self.place, self.local = os.fspath(place), isinstance(self.files, LocalFileSystem)

    def path(self, name: str) -> str:
        return posixpath.join(self.root, name)

    def exists(self, name: str) -> bool:
        return self.files.exists(self.path(name))

    def names(self, folder: str) -> list[str]:
        """Names of the finished files in a folder, in order."""
        self.files.invalidate_cache()
        try:
            found = self.files.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(name for name in map(posixpath.basename, found) if not name.startswith("."))

    def open(self, name: str) -> IO[bytes]:
        return self.files.open(self.path(name), "rb")

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def write(self, name: str, content: bytes | Callable[[IO[bytes]], Any]) -> None:
        """
        Writes a file that is there as a whole or not at all. A local file is renamed once it is on the disk; in other
        stores an upload takes effect when it is complete.

        Args:
            name (`str`): of the file.
            content (`bytes`, or a function of a binary file): what to write.
        """
        path = self.path(name)
        fill = content if callable(content) else lambda file: file.write(content)
        if not self.local:
            with self.files.transaction:  # an error within discards what was uploaded so far
                with self.files.open(path, "wb") as file:
                    fill(file)
            return
        os.makedirs(posixpath.dirname(path), exist_ok=True)
        unfinished = posixpath.join(posixpath.dirname(path), f".{posixpath.basename(path)}.{os.getpid()}")
        try:
            with open(unfinished, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            if os.path.exists(unfinished):
                os.unlink(unfinished)

    def remove(self, name: str) -> None:
        """Removes a file, or a folder with what is in it, if there is one."""
        if self.exists(name):
            self.files.rm(self.path(name), recursive=True)

    def clean(self, folder: str) -> None:
        """Removes what killed processes left unfinished in a local folder; nobody may be writing there."""
        if self.local and os.path.isdir(self.path(folder)):
            for entry in os.scandir(self.path(folder)):
                if UNFINISHED.fullmatch(entry.name) and entry.is_file():
                    os.unlink(entry.path)
