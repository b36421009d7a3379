"""Files of a run, on any filesystem that fsspec knows; each is there as a whole or not at all."""

import contextlib
import os
import posixpath
from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

UNFINISHED = ".unfinished"  # ends the name of a file that is being written


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

        self.place = os.fspath(place)
        try:
            self.files, self.root = fsspec.core.url_to_fs(os.path.expanduser(self.place))
        except (ValueError, ImportError) as error:
            raise ValueError(f"out={self.place!r}: cannot be written to: {error}") from error
        self.local = isinstance(self.files, LocalFileSystem)

    def path(self, name: str) -> str:
        return posixpath.join(self.root, name)

    def exists(self, name: str) -> bool:
        return self.files.exists(self.path(name))

    def names(self, folder: str, begin: str = "") -> list[str]:
        """Names of the finished files in a folder that begin so, in order."""
        self.files.invalidate_cache()
        try:
            found = self.files.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        names = map(posixpath.basename, found)
        return sorted(name for name in names if name.startswith(begin) and not name.startswith("."))

    def read(self, name: str) -> bytes:
        return self.files.cat_file(self.path(name))

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file, or some of its columns."""
        with self.files.open(self.path(name), "rb") as file, pq.ParquetFile(file) as parquet:
            return parquet.read(columns, use_threads=False)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """
        A file to write, which is there once the block ends without an error. A local file is renamed when it is on the
        disk; in other stores an upload takes effect when it is complete.
        """
        path = self.path(name)
        if not self.local:
            file = self.files.open(path, "wb", autocommit=False)
            try:
                yield file
                file.close()
            except BaseException:
                file.discard()
                raise
            file.commit()
            return
        os.makedirs(posixpath.dirname(path), exist_ok=True)
        unfinished = posixpath.join(posixpath.dirname(path), f".{posixpath.basename(path)}.{os.getpid()}{UNFINISHED}")
        try:
            with open(unfinished, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unfinished)

    def write(self, name: str, content: bytes) -> None:
        with self.writing(name) as file:
            file.write(content)

    def remove(self, name: str) -> None:
        """Removes a file, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self.files.rm_file(self.path(name))

    def lock(self, name: str, timeout: float = -1) -> contextlib.AbstractContextManager:
        """Keeps other processes of this machine, or of the same file server, out of a local folder."""
        if not self.local:
            return contextlib.nullcontext()
        os.makedirs(self.root, exist_ok=True)
        return FileLock(self.path(name), timeout=timeout)

    def clean(self) -> None:
        """Removes what killed processes left unfinished in a local folder; nobody may be writing there."""
        for folder, _, names in os.walk(self.root) if self.local else ():
            for name in names:
                if name.endswith(UNFINISHED):
                    os.unlink(os.path.join(folder, name))
