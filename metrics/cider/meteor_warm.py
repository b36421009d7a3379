"""
The one METEOR process: started for the first captions, kept warm for the next ones, shared by all threads.

It ends after `IDLE_LIMIT`, when another process of this machine waits for it, at exit, on `close` and after any error;
and by itself when this process is killed, because its input ends. A forked child has nothing to do with it.
"""

import atexit
import os
import threading
import time

from .meteor_jar import JAR, TABLE, MeteorError, MeteorProcess, find_files
from .meteor_lock import POLL, MachineLock
from .meteor_table import Phrases
from .meteor_words import normalise_all

IDLE_LIMIT = 60.0  # seconds that Java is kept without work
WAIT_LIMIT = 600.0  # seconds to wait for the METEOR of another process
_EXIT_LIMIT = 1.0  # seconds that the interpreter's exit waits for a thread that is scoring

_one_at_a_time = threading.RLock()
_warm = None
_registered = False


class _Warm:
    """A METEOR process, and the lock that makes it the only one."""

    def __init__(self, phrases, norm, lines):
        java, folder = find_files()
        self.process = MeteorProcess(java, folder, phrases, norm, lines)
        self.lock = MachineLock(os.path.join(folder, JAR), os.path.join(folder, TABLE))
        self.used = time.monotonic()

    def start(self):
        if not self.lock.acquire(WAIT_LIMIT):
            raise MeteorError(f"METEOR is in use by another process of this machine, for more than {WAIT_LIMIT:g} s.")
        self.process.start()
        threading.Thread(target=_keep, args=(self,), name="meteor", daemon=True).start()

    def can_answer(self, captions, norm):
        process = self.process
        return process.is_alive() and process.norm >= norm and process.phrases.covers(captions)

    def end(self):
        try:
            self.process.end()
        finally:
            self.lock.release()

    def forget(self):
        self.process.forget()
        self.lock.release()


def ask(captions, sizes):
    """
    Args:
        captions (`list[str]`): captions, image by image, the prediction first.
        sizes (`list[int]`): the number of captions of each of N images.

    Returns:
        `np.ndarray` of shape `(N, 23)`: what the jar answers.
    """
    ordinary = normalise_all(captions)
    with _one_at_a_time:
        try:
            if _warm is None or not _warm.can_answer(captions, ordinary is None):
                _restart(captions, ordinary is None, len(sizes))
            lines, rows = _requests(captions if _warm.process.norm else ordinary, sizes)
            answers = _warm.process.ask("".join(lines).encode(), len(lines))
            _warm.used = time.monotonic()
            if _warm.lock.is_wanted():
                _end()
        except BaseException:
            _end()
            raise
    return answers[rows]


def _requests(captions, sizes):
    """The different lines to ask with, and for each image `(N,)` which of them is its own."""
    places = {}
    rows = []
    end = 0
    for size in sizes:
        prediction, *references = captions[end : end + size]
        line = " ||| ".join(["SCORE", *references, prediction]) + "\n"
        rows.append(places.setdefault(line, len(places)))
        end += size
    return list(places), rows


def close():
    """Ends the METEOR process, if there is one. The next call starts another."""
    with _one_at_a_time:
        _end()


def _restart(captions, norm, lines):
    global _warm, _registered
    phrases = Phrases()
    if _warm is not None:
        phrases = _warm.process.phrases
        norm = norm or _warm.process.norm
    _end()
    phrases.add(captions)
    if phrases.is_crowded():
        phrases = Phrases()
        phrases.add(captions)
    if not _registered:
        _registered = True
        atexit.register(_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget)
    _warm = _Warm(phrases, norm, lines)
    _warm.start()


def _end():
    global _warm
    ending, _warm = _warm, None
    if ending is not None:
        ending.end()


def _keep(warm):
    """Runs beside a process for as long as it is the warm one, and ends it when there is a reason to."""
    while _warm is warm:
        time.sleep(POLL)
        if not _one_at_a_time.acquire(blocking=False):
            continue  # at work; whoever works looks who waits
        try:
            idle = time.monotonic() - warm.used
            if _warm is warm and (idle > IDLE_LIMIT or not warm.process.is_alive() or warm.lock.is_wanted()):
                _end()
        finally:
            _one_at_a_time.release()


def _exit():
    _one_at_a_time.acquire(timeout=_EXIT_LIMIT)
    _end()


def _forget():
    """In a forked child: no thread of ours runs here, and the process and its lock are the parent's."""
    global _one_at_a_time, _warm
    _one_at_a_time = threading.RLock()
    forgotten, _warm = _warm, None
    if forgotten is not None:
        forgotten.forget()
