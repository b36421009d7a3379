"""
One METEOR process for each installed jar on a machine, agreed upon without any file of ours: whoever owns the process
holds the kernel's lock on the jar, and whoever waits for it holds one on the paraphrase table. The kernel drops both
when a process dies. Where there is no `flock` (Windows, some network drives), every process has a METEOR of its own.
"""

import time

try:
    import fcntl
except ImportError:
    fcntl = None

POLL = 0.2  # seconds between two looks at a lock


class MachineLock:
    """
    Args:
        jar (`str`): the file whose lock means "mine".
        table (`str`): the file whose lock means "I wait".
    """

    def __init__(self, jar, table):
        self._jar = jar
        self._table = table
        self._held = None  # open files, which Python passes on to no other program
        self._waiting = None

    def acquire(self, limit):
        """Takes the lock. Returns whether that was possible within `limit` seconds (`float`)."""
        if fcntl is None:
            return True
        deadline = time.monotonic() + limit
        if self.is_wanted():
            time.sleep(2 * POLL)  # after you
        try:
            self._held = open(self._jar, "rb", buffering=0)
            self._waiting = open(self._table, "rb", buffering=0)
            while not _try(self._held, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    self.release()
                    return False
                _try(self._waiting, fcntl.LOCK_SH)
                time.sleep(POLL / 4)
        except BaseException:
            self.release()
            raise
        finally:
            self._waiting = _close(self._waiting)
        return True

    def is_wanted(self):
        """Whether another process waits for the lock."""
        if fcntl is None:
            return False
        with open(self._table, "rb", buffering=0) as table:
            return not _try(table, fcntl.LOCK_EX)

    def release(self):
        """Gives the lock up. In a forked child, which shares it, only forgets it: the parent's stays."""
        self._held = _close(self._held)
        self._waiting = _close(self._waiting)


def _try(file, kind):
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return True
    return True


def _close(file):
    if file is not None:
        file.close()
