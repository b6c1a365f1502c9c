"""Concurrent work: `map` in order, `each` as ready, `gather` by name, `tasks` during a block."""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from rtp.ops.work import background
from rtp.ops.work.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rtp.ops.work.clock import Clock

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_Args = ParamSpec("_Args")
_ABORT_POLL_SECONDS = 0.1
_GRACE_SECONDS = 1.0  # after an interrupt, for calls that are about to be answered


@dataclass(slots=True)
class Stop:
    """Asks work to end. drain: begin nothing new; abort: do not wait for what has begun either."""

    drain: threading.Event = field(default_factory=threading.Event)
    abort: threading.Event = field(default_factory=threading.Event)


class Start(Protocol):
    """Starts a function in a thread."""

    def __call__(self, function: Callable[_Args, _Out], /, *args: _Args.args, **kwargs: _Args.kwargs) -> Future[_Out]:
        """The future of its result."""


@contextmanager
def tasks(threads: int) -> Iterator[Start]:
    """Start functions that run during the block: `task = start(function, argument)`, later `task.result()`.

    The block ends when all have ended; after an error in it, those that have not begun are dropped, and after an
    interrupt those that run are not waited for longer than a moment.
    """
    executor = _Executor(threads)
    try:
        yield executor.submit
    except BaseException as error:
        executor.drop()
        executor.join(_patience(error))
        raise
    executor.join(None)


def map(
    function: Callable[[_In], _Out], elements: Iterable[_In], *, threads: int, ahead: int | None = None
) -> Iterator[_Out]:
    """Results in the order of the elements. Lazy: nothing starts before the first result is read.

    ahead: number of elements that may be started before their results are read (default: all). An error drops the rest.
    An interrupt does too, and waits for what runs no longer than a moment.
    """
    executor = _Executor(max(1, threads))
    patience: float | None = None
    try:
        source = iter(elements)
        futures = deque(executor.submit(function, element) for element in islice(source, ahead))
        while futures:
            result = futures.popleft().result()
            futures.extend(executor.submit(function, element) for element in islice(source, 1))
            yield result
    except BaseException as error:
        patience = _patience(error)
        raise
    finally:
        executor.drop()
        executor.join(patience)


def _patience(error: BaseException) -> float | None:
    """How long to wait for functions that run, in seconds; None for as long as they take."""
    return None if isinstance(error, Exception | GeneratorExit) else _GRACE_SECONDS


class _Executor:
    """Runs functions in daemon threads, which delay neither an interrupt nor the end of the process."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._started: list[threading.Thread] = []
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()

    def submit(self, function: Callable[_Args, _Out], /, *args: _Args.args, **kwargs: _Args.kwargs) -> Future[_Out]:
        """Run a function as soon as a thread is free."""
        future: Future[_Out] = Future()
        self._tasks.put((future, partial(function, *args, **kwargs)))
        if len(self._started) < self._threads:
            self._started.append(background.start(self._run))
        return future

    def drop(self) -> None:
        """Cancel what has not begun."""
        with suppress(queue.Empty):
            while (task := self._tasks.get_nowait()) is not None:
                task[0].cancel()

    def join(self, seconds: float | None) -> None:
        """Begin nothing after what was submitted, and wait until all of it has ended. seconds: at the longest."""
        for _ in self._started:
            self._tasks.put(None)
        deadline = None if seconds is None else SYSTEM.monotonic() + seconds
        for thread in self._started:
            thread.join(None if deadline is None else max(0.0, deadline - SYSTEM.monotonic()))

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, function = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # the reader of the future raises it
                    future.set_exception(error)


def gather(functions: Mapping[str, Callable[[], _Out]]) -> dict[str, _Out | Exception]:
    """Call all at once: what each returned, or the exception that it raised, by name."""
    results: queue.SimpleQueue[tuple[str, _Out | Exception]] = queue.SimpleQueue()

    def call(name: str, function: Callable[[], _Out]) -> None:
        try:
            results.put((name, function()))
        except Exception as error:
            results.put((name, error))

    for name, function in functions.items():
        background.start(call, name, function)
    by_name = dict(results.get() for _ in functions)
    return {name: by_name[name] for name in functions}


def each(  # noqa: PLR0913 - each is a decision of the caller, and most have a default
    elements: Iterable[_In],
    work: Callable[[_In], Iterable[_Out]],
    *,
    threads: int,
    stop: Stop,
    abandon: Callable[[_In, BaseException | None], Iterable[_Out]] = lambda _element, _error: (),
    rate: float | None = None,
    weigh: Callable[[_In], int] = lambda _: 1,
    clock: Clock = SYSTEM,
) -> Iterator[_Out]:
    """What `work` returns for each element, as it is ready. rate: elements per second, by weight.

    Every element that was started has a result: from `work`, or from `abandon`, which gets the error that `work` raised
    for it, and None where `stop.abort` was set first. An error in `work` drains the others; it is raised when they have
    ended. Leaving the loop early does the same.
    """
    run = _Run(elements, work, _Rate(rate, weigh, clock), stop, clock)
    workers = [background.start(run.thread) for _ in range(threads)]
    try:
        for _ in workers:
            while (result := run.result()) is not None:
                yield result[0]
            if stop.abort.is_set():
                break
        for element, error in run.unanswered():
            yield from abandon(element, error)
    except BaseException:
        stop.drain.set()
        for worker in workers:
            while worker.is_alive() and not stop.abort.is_set():
                worker.join(_ABORT_POLL_SECONDS)
        raise
    if run.error is not None:
        raise run.error


class _Rate(Generic[_In]):
    """When the next element may begin."""

    def __init__(self, rate: float | None, weigh: Callable[[_In], int], clock: Clock) -> None:
        self._rate = rate
        self._weigh = weigh
        self._clock = clock
        self._start: float | None = None
        self._weight = 0

    def delay(self) -> float:
        """Seconds until then."""
        if not self._rate:
            return 0.0
        now = self._clock.monotonic()
        if self._start is None:
            self._start = now
        return self._start + self._weight / self._rate - now

    def count(self, element: _In) -> None:
        """Note that an element begins."""
        self._weight += self._weigh(element)


class _Run(Generic[_In, _Out]):
    """What the threads of one `each` share."""

    def __init__(
        self,
        elements: Iterable[_In],
        work: Callable[[_In], Iterable[_Out]],
        rate: _Rate[_In],
        stop: Stop,
        clock: Clock,
    ) -> None:
        self._elements = iter(elements)
        self._work = work
        self._rate = rate
        self._stop = stop
        self._clock = clock
        self._turn = threading.Lock()  # whose turn it is to take an element
        self._answers = threading.Lock()
        self._begun: dict[int, _In] = {}
        self._raised: dict[int, BaseException] = {}
        self._results: queue.SimpleQueue[tuple[_Out] | None] = queue.SimpleQueue()
        self.error: BaseException | None = None

    def thread(self) -> None:
        key = threading.get_ident()
        try:
            while self._begin(key):
                results = list(self._work(self._begun[key]))
                with self._answers:
                    if self._begun.pop(key, None) is None:
                        return  # abandoned meanwhile
                    for result in results:
                        self._results.put((result,))
        except BaseException as error:  # the caller raises it
            self.error = self.error or error
            self._raised[key] = error
            self._stop.drain.set()
        finally:
            self._results.put(None)

    def _begin(self, key: int) -> bool:
        with self._turn:
            # Wait before taking an element, so that none is taken and then not begun.
            delay = self._rate.delay()
            if (delay > 0 and self._clock.wait(self._stop.drain, delay)) or self._stop.drain.is_set():
                return False
            for element in self._elements:
                self._rate.count(element)
                self._begun[key] = element
                return True
            return False

    def result(self) -> tuple[_Out] | None:
        """The next result; None when a thread has ended, or `abort` is set."""
        while not self._stop.abort.is_set():
            try:
                return self._results.get(timeout=_ABORT_POLL_SECONDS)
            except queue.Empty:
                continue
        return None

    def unanswered(self) -> Iterator[tuple[_In, BaseException | None]]:
        """The elements under way, which are abandoned, each with what `work` raised for it."""
        with self._answers:
            elements = [(element, self._raised.get(key)) for key, element in self._begun.items()]
            self._begun.clear()
        yield from elements
