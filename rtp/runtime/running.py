"""Run processors concurrently: plain functions on threads, `async def` on one event loop, all as futures.

The threads are daemons that are started for each batch: a thread that hangs is abandoned when the function's time ends,
and delays neither this response nor the next batch.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from rtp.runtime import logs, secrets
from rtp.runtime.delivery import Attempt, Claimed
from rtp.runtime.errors import OutOfTimeError
from rtp.runtime.registry import Reject

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from rtp.runtime.delivery import Ended
    from rtp.runtime.event import Event
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
    running = _start(calls, invocation.runtime.settings.batch_concurrency)
    for done in _ended(list(running), invocation.deadline.remaining):
        yield [*ready, *(_attempt(future, running.pop(future)) for future in done)]
        ready = []
    late = OutOfTimeError(f"no result in time; the function's timeout is {invocation.deadline.total:g} s")
    if rest := [*ready, *(Attempt(claimed, error=late) for claimed in running.values())]:
        yield rest


def _start(calls: Sequence[tuple[Claimed, Processor]], concurrency: int) -> dict[Future[Answer], Claimed]:
    threads = [(claimed, _call(claimed, processor)) for claimed, processor in calls if not processor.is_async]
    tasks = [(claimed, _task(claimed, processor)) for claimed, processor in calls if processor.is_async]
    futures = _start_threads([call for _, call in threads], concurrency)
    futures += _start_tasks([call for _, call in tasks], concurrency) if tasks else []
    return dict(zip(futures, [claimed for claimed, _ in [*threads, *tasks]], strict=True))


def _call(claimed: Claimed, processor: Processor) -> Callable[[], Answer]:
    def call() -> Answer:
        with _attempted(claimed) as event:
            return processor.call(event)

    return call


def _task(claimed: Claimed, processor: Processor) -> Callable[[], Coroutine[Any, Any, Answer]]:
    async def task() -> Answer:
        with _attempted(claimed) as event:
            return await processor.call_async(event)

    return task


@contextmanager
def _attempted(claimed: Claimed) -> Iterator[Event]:
    """Yield the event for its processor. Log lines of the block have its id, and AWS calls are in its span."""
    received, delivery = claimed.received, claimed.received.delivery
    logs.about(**received.subject)
    event = replace(
        received.event,
        data=received.reading.data,
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


def _start_tasks(calls: Sequence[Callable[[], Coroutine[Any, Any, Answer]]], concurrency: int) -> list[Future[Answer]]:
    """Start coroutines on the event loop, at most `concurrency` at a time."""
    import asyncio

    loop, gate = _loop(), asyncio.Semaphore(concurrency)

    async def gated(call: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        async with gate:
            return await call()

    return [asyncio.run_coroutine_threadsafe(gated(call), loop) for call in calls]


def _ended(futures: Iterable[Future[Any]], remaining: Callable[[], float]) -> Iterator[set[Future[Any]]]:
    """Yield groups of futures as they end, while `remaining()` is above 0; cancel the others after that."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=max(0.0, remaining()), return_when=FIRST_COMPLETED)
        if done and pending:
            more, pending = wait(pending, timeout=max(0.0, min(_LINGER, remaining())), return_when=ALL_COMPLETED)
            done |= more
        if not done:
            for future in pending:
                future.cancel()
            return
        yield done


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of async processors. It lives as long as the instance, so that their clients can too."""
    import asyncio

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="rtp-async", daemon=True).start()
    return loop
