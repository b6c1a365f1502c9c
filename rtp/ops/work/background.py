"""Daemon threads: they never delay the end of a command, so that Ctrl-C ends it at once."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")


def start(function: Callable[..., object], *args: object) -> threading.Thread:
    """Run a function in a daemon thread."""
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


@contextmanager
def repeating(action: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `action` every so many seconds while the block runs; False from it ends the repetition."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            if action() is False:
                return

    thread = start(repeat)
    try:
        yield
    finally:
        over.set()
        thread.join()  # so that the action cannot undo what follows the block


class Prefetch(Generic[_T]):
    """An iterator that fetches its next element while the current one is used. Starts at once; holds two at most."""

    def __init__(self, elements: Iterator[_T]) -> None:
        self._elements = elements
        self._fetched: SimpleQueue[tuple[bool, object]] = SimpleQueue()
        self._room = threading.Semaphore(1)
        self._closed = False
        start(self._fetch)

    def __iter__(self) -> Prefetch[_T]:
        return self

    def __next__(self) -> _T:
        if self._closed:
            raise StopIteration
        is_element, value = self._fetched.get()
        self._room.release()
        if is_element:
            return value  # type: ignore[return-value]
        self._closed = True
        if isinstance(value, BaseException):
            raise value
        raise StopIteration

    def close(self) -> None:
        """Fetch no more."""
        self._closed = True
        self._room.release()

    def _fetch(self) -> None:
        try:
            for element in self._elements:
                self._room.acquire()
                if self._closed:
                    return
                self._fetched.put((True, element))
        except BaseException as error:  # the reader raises it
            self._fetched.put((False, error))
        else:
            self._fetched.put((False, None))
