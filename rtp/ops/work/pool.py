"""Work through many things with several threads, at a given rate, until done or told to stop."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_POLL_SECONDS = 0.1  # how often a waiting caller looks whether it should give up


@dataclass(slots=True)
class Stop:
    """Tells work to end. drain: nothing new is started; abort: what is under way is not waited for either."""

    drain: threading.Event = field(default_factory=threading.Event)
    abort: threading.Event = field(default_factory=threading.Event)


def each(
    elements: Iterable[_In],
    work: Callable[[_In], Iterable[_Out]],
    *,
    threads: int,
    stop: Stop,
    abandon: Callable[[_In], Iterable[_Out]],
    rate: float | None = None,
    weigh: Callable[[_In], int] = lambda _: 1,
) -> Iterator[_Out]:
    """What `work` makes of each element, as it is ready. rate: elements, by weight, begun in a second.

    An element that was begun is always answered for: by `work`, or by `abandon` when `stop.abort` comes first.
    An error in `work` stops the others, and is raised when they have ended.
    """
    run = _Run(elements, work, _Pace(rate, weigh), stop)
    for _ in range(threads):
        threading.Thread(target=run.thread, daemon=True).start()
    for _ in range(threads):
        while (result := run.result()) is not None:
            yield result[0]
        if stop.abort.is_set():
            break
    for element in run.unanswered():
        yield from abandon(element)
    if run.error is not None:
        raise run.error


class _Pace(Generic[_In]):
    """When the next element is due."""

    def __init__(self, rate: float | None, weigh: Callable[[_In], int]) -> None:
        self._rate = rate
        self._weigh = weigh
        self._begun: float | None = None
        self._given = 0

    def delay(self) -> float:
        """Seconds until it."""
        if not self._rate:
            return 0.0
        now = time.monotonic()
        if self._begun is None:
            self._begun = now
        return self._begun + self._given / self._rate - now

    def given(self, element: _In) -> None:
        self._given += self._weigh(element)


class _Run(Generic[_In, _Out]):
    """What the threads of one `each` share."""

    def __init__(
        self, elements: Iterable[_In], work: Callable[[_In], Iterable[_Out]], pace: _Pace[_In], stop: Stop
    ) -> None:
        self._elements = iter(elements)
        self._work = work
        self._pace = pace
        self._stop = stop
        self._turn = threading.Lock()  # whose turn it is to take an element
        self._answers = threading.Lock()
        self._begun: dict[int, _In] = {}
        self._results: queue.SimpleQueue[tuple[_Out] | None] = queue.SimpleQueue()
        self.error: BaseException | None = None

    def thread(self) -> None:
        key = threading.get_ident()
        try:
            while self._begin(key):
                made = list(self._work(self._begun[key]))
                with self._answers:
                    if self._begun.pop(key, None) is None:
                        return  # answered for already
                    for result in made:
                        self._results.put((result,))
        except BaseException as error:  # the caller raises it
            self.error = self.error or error
            self._stop.drain.set()
        finally:
            self._results.put(None)

    def _begin(self, key: int) -> bool:
        with self._turn:
            # The turn is waited for before an element is taken, so that none is taken in vain.
            delay = self._pace.delay()
            if (delay > 0 and self._stop.drain.wait(delay)) or self._stop.drain.is_set():
                return False
            for element in self._elements:
                self._pace.given(element)
                self._begun[key] = element
                return True
            return False

    def result(self) -> tuple[_Out] | None:
        """The next result; None when a thread has ended, or nothing is to be waited for any more."""
        while not self._stop.abort.is_set():
            try:
                return self._results.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
        return None

    def unanswered(self) -> Iterator[_In]:
        """The elements under way, which are given up."""
        with self._answers:
            elements = list(self._begun.values())
            self._begun.clear()
        yield from elements
