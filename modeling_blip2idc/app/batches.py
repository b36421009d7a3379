"""Calls from many threads, answered many at a time."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any


class Batches:
    """
    A function of many, as one of one. What comes while it is at work waits and then goes through it together.

    gradio has the like (`batch=True`), which reads and answers the requests of a batch together: one that cannot be
    read, a file that is none or a choice that is not offered, fails all the others.

    Args:
        function (`Callable`):
            Takes a list of items and returns as many results. A result that is an exception is raised to the one
            who asked. Only one thread of this object's own calls it.
        max_batch_size (`int`):
            Most items of a call.
    """

    def __init__(self, function: Callable[[list], Sequence], max_batch_size: int):
        self._function, self._size = function, max_batch_size
        self._waiting: queue.SimpleQueue[tuple[Any, Future]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, item: Any) -> Any:
        """Wait for the result of `item`, or raise what went wrong with it."""
        future: Future = Future()
        self._waiting.put((item, future))
        return future.result()

    def _work(self) -> None:
        while True:
            self._answer()  # whose names end with it: between batches nothing of a request is kept

    def _answer(self) -> None:
        batch = [self._waiting.get()]
        while len(batch) < self._size and not self._waiting.empty():
            batch.append(self._waiting.get())
        try:
            results = self._function([item for item, _ in batch])
        except BaseException as error:
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)


__all__ = ["Batches"]
