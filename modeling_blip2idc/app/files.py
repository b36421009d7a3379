"""The files of a running page: one folder, in which nothing gets old, and which ends with the server."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable


class Kept:
    """
    A new folder whose files are deleted some time after they were made.

    gradio has the like (`delete_cache`). It ends for good where a file arrives while it looks for old ones, does not
    know of uploads that broke off, and deletes what another server put into the same folder as soon as a request
    names it.

    Args:
        parent (`str` or `os.PathLike`):
            Where the folder is made, together with what is missing above it.
        age (`float`):
            Seconds that a file stays; a quarter more at most.
        known (`Iterable[set[str]]`, *optional*, defaults to `()`):
            gradio's own lists of files, from which the deleted ones are taken.
    """

    def __init__(self, parent: str | os.PathLike, age: float, known: Iterable[set[str]] = ()):
        os.makedirs(parent, exist_ok=True)
        self.folder = os.path.abspath(tempfile.mkdtemp(prefix="blip2idc-", dir=parent))
        self._age, self._known, self._closed = age, known, threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def close(self) -> None:
        """Delete the folder and everything in it."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _work(self) -> None:
        while not self._closed.wait(self._age / 4):
            self._delete(time.time() - self._age)

    def _delete(self, before: float) -> None:
        for folder, _, names in os.walk(self.folder, topdown=False):
            for name in names:
                self._delete_one(os.path.join(folder, name), before, os.remove)
            if folder != self.folder:  # one that is not empty stays
                self._delete_one(folder, before, os.rmdir)

    def _delete_one(self, path: str, before: float, delete: Callable[[str], None]) -> None:
        try:
            if os.stat(path).st_ctime >= before:
                return
            delete(path)
        except OSError:
            return
        for paths in self._known:
            paths.discard(path)


__all__ = ["Kept"]
