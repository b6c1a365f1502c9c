"""Run processors concurrently: plain functions on threads, `async def` on one event loop, all as futures.

The threads are daemons that are started for each batch: a thread that hangs is abandoned when the function's time ends,
and delays neither this response nor the next batch. For event loops, rtp.runtime.eventloop does the same.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rtp.runtime import logs, secrets
from rtp.runtime.delivery import Attempt, Claimed
from rtp.runtime.errors import BlockedLoopError, OutOfTimeError
from rtp.runtime.registry import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from rtp.runtime.delivery import Ended
    from rtp.runtime.event import Event
    from rtp.runtime.eventloop import Tasks
    from rtp.runtime.invocation import Invocation
    from rtp.runtime.registry import Answer, Processor

_LINGER = 0.02  # s; the first attempt to end waits this long for others, so that they are written together


def run(invocation: Invocation, items: Sequence[Claimed | Attempt | Ended]) -> Iterator[list[Attempt | Ended]]:
    """Call the processors, and yield attempts in groups as they end; items without a call are in the first group."""
    ready: list[Attempt | Ended] = []
    calls: list[tuple[Claimed, Processor]] = []
    for item in items:
        if not isinstance(item, Claimed):
            ready.append(item)
        elif item.received.reading.invalid is not None or (processor := item.received.reading.processor) is None:
            ready.append(Attempt(item, error=item.received.reading.invalid))
        else:
            calls.append((item, processor))
    running = _Running(calls, invocation)
    for done in running.ended():
        yield [*ready, *(_attempt(future, claimed) for future, claimed in done)]
        ready = []
    if rest := [*ready, *running.late()]:
        yield rest


class _Running:
    """The calls of a batch."""

    def __init__(self, calls: Sequence[tuple[Claimed, Processor]], invocation: Invocation) -> None:
        self._deadline = invocation.deadline
        concurrency = invocation.runtime.settings.batch_concurrency
        threads = [(claimed, _call(claimed, processor)) for claimed, processor in calls if not processor.is_async]
        tasks = [(claimed, _task(claimed, processor)) for claimed, processor in calls if processor.is_async]
        futures = _start_threads([call for _, call in threads], concurrency)
        self._threads = dict(zip(futures, (claimed for claimed, _ in threads), strict=True))
        self._tasks = _start_tasks(tasks, concurrency, self._deadline.total) if tasks else None

    def ended(self) -> Iterator[list[tuple[Future[Answer], Claimed]]]:
        """Yield groups of calls as they end, until the time for processing is over."""
        while pending := self._pending():
            remaining = max(0.0, self._deadline.remaining())
            done, others = wait(pending, timeout=self._pause(remaining), return_when=FIRST_COMPLETED)
            if done and others:
                more, _ = wait(others, timeout=min(_LINGER, remaining), return_when=ALL_COMPLETED)
                done |= more
            if done:
                yield [(future, self._taken(future)) for future in done]
            elif self._deadline.remaining() <= 0:
                return
            elif self._tasks is not None:
                self._tasks.check()

    def late(self) -> list[Attempt]:
        """End the calls that have no result in time."""
        for future in self._threads:
            future.cancel()
        late = OutOfTimeError(f"no result in time; the function's timeout is {self._deadline.total:g} s")
        attempts = [Attempt(claimed, error=late) for claimed in self._threads.values()]
        if self._tasks is None or not self._tasks.pending:
            return attempts
        self._tasks.end(BlockedLoopError)
        places = self._tasks.blockers
        return attempts + [
            Attempt(claimed, error=_blocked(places[id(claimed)]) if id(claimed) in places else late)
            for claimed in self._tasks.pending.values()
        ]

    def _pending(self) -> list[Future[Answer]]:
        return [*self._threads, *(self._tasks.pending if self._tasks is not None else ())]

    def _pause(self, remaining: float) -> float:
        return min(remaining, self._tasks.seconds) if self._tasks is not None and self._tasks.pending else remaining

    def _taken(self, future: Future[Answer]) -> Claimed:
        if future in self._threads:
            return self._threads.pop(future)
        claimed: Claimed = self._tasks.pending.pop(future)  # type: ignore[union-attr]
        return claimed


def _blocked(place: str) -> BlockedLoopError:
    advice = "await asyncio.sleep, an async client, or asyncio.to_thread"
    return BlockedLoopError(f"the processor blocked the event loop until its time was over, at {place}; {advice}")


def _call(claimed: Claimed, processor: Processor) -> Callable[[], Answer]:
    def call() -> Answer:
        with _attempted(claimed) as event:
            return processor.call(event)

    return call


def _task(claimed: Claimed, processor: Processor) -> Callable[[], Coroutine[Any, Any, Answer]]:
    starts = 0

    async def task() -> Answer:
        nonlocal starts
        starts += 1
        with _attempted(claimed, is_repeated=starts > 1) as event:
            return await processor.call_async(event)

    return task


@contextmanager
def _attempted(claimed: Claimed, *, is_repeated: bool = False) -> Iterator[Event]:
    """Yield the event for its processor. Log lines of the block have its id, and AWS calls are in its span.

    is_repeated: another processor blocked the event loop, and the attempt begins again on a new one.
    """
    received, delivery = claimed.received, claimed.received.delivery
    logs.about(**received.subject)
    if is_repeated:
        logs.warning("restarted", "the attempt begins again: another event's processor blocked the event loop")
    event = replace(
        received.event,
        data=received.reading.data(is_repeated=is_repeated),
        source=delivery.source,
        attempt=claimed.number,
        request_id=delivery.request_id,
        trace_id=received.trace.id,
        depth=delivery.depth,
        emitted=[],
    )
    with received.trace.span(f"processor {event.type}"):
        yield event


def _attempt(future: Future[Answer], claimed: Claimed) -> Attempt:
    if future.cancelled():
        return Attempt(claimed, error=OutOfTimeError("the processor was cancelled"))
    if (failure := future.exception()) is not None:
        if not isinstance(failure, Reject):
            secrets.attempt_failed()
        return Attempt(claimed, error=failure, is_outage=isinstance(failure, secrets.SecretError))
    return Attempt(claimed, *future.result())


def _start_threads(calls: Sequence[Callable[[], Answer]], concurrency: int) -> list[Future[Answer]]:
    """Start calls on at most `concurrency` threads, in order."""
    futures: list[Future[Answer]] = [Future() for _ in calls]
    waiting = deque(zip(futures, calls, strict=True))

    def run_waiting() -> None:
        while True:
            try:
                future, call = waiting.popleft()
            except IndexError:
                return
            if future.set_running_or_notify_cancel():
                try:
                    answer = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(answer)

    for _ in range(min(concurrency, len(calls))):
        if not waiting:
            break  # the threads so far have already run all calls
        threading.Thread(target=copy_context().run, args=(run_waiting,), daemon=True).start()
    return futures


def _start_tasks(
    calls: list[tuple[Claimed, Callable[[], Coroutine[Any, Any, Answer]]]], concurrency: int, total: float
) -> Tasks:
    """Start coroutines on the event loop, at most `concurrency` at a time. total: the function's time, s."""
    from rtp.runtime.eventloop import Tasks

    def file(claimed: Claimed) -> str:
        processor = claimed.received.reading.processor
        return processor.where.rpartition(":")[0] if processor is not None else ""

    return Tasks(calls, concurrency=concurrency, total=total, file=file)
