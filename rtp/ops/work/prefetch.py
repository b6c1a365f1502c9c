"""Work done beside the reader: the next page while this one is shown, independent questions side by side.

Threads are daemons: a Ctrl-C ends the command at once, whatever answer is still awaited.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_T = TypeVar("_T")


class Ahead(Generic[_T]):
    """An iterator whose next element is made while the current one is used. Starts at once; holds two at most."""

    def __init__(self, items: Iterator[_T]) -> None:
        self._items = items
        self._made: SimpleQueue[tuple[bool, object]] = SimpleQueue()
        self._room = threading.Semaphore(1)
        self._closed = False
        threading.Thread(target=self._make, daemon=True).start()

    def __iter__(self) -> Ahead[_T]:
        return self

    def __next__(self) -> _T:
        if self._closed:
            raise StopIteration
        fine, item = self._made.get()
        self._room.release()
        if fine:
            return item  # type: ignore[return-value]
        self._closed = True
        if isinstance(item, BaseException):
            raise item
        raise StopIteration

    def close(self) -> None:
        """Make no more."""
        self._closed = True
        self._room.release()

    def _make(self) -> None:
        try:
            for item in self._items:
                self._room.acquire()
                if self._closed:
                    return
                self._made.put((True, item))
        except BaseException as error:  # handed to the reader, whose it is
            self._made.put((False, error))
        else:
            self._made.put((False, None))


def together(questions: Mapping[str, Callable[[], _T]]) -> dict[str, _T | Exception]:
    """Every answer, asked side by side: what the question returned, or the exception that it raised."""
    answers: SimpleQueue[tuple[str, _T | Exception]] = SimpleQueue()

    def ask(name: str, question: Callable[[], _T]) -> None:
        try:
            answers.put((name, question()))
        except Exception as error:
            answers.put((name, error))

    for name, question in questions.items():
        threading.Thread(target=ask, args=(name, question), daemon=True).start()
    found = dict(answers.get() for _ in questions)
    return {name: found[name] for name in questions}
