"""Run processors side by side: plain functions on threads, `async def` on one event loop, all as futures.

The threads are daemons and made for the batch: one that hangs past the function's time is left behind and holds up
neither this answer nor the next batch.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, wait
from contextvars import copy_context
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

_LINGER = 0.02  # s; how long the first to end waits for others, so that they are written together


def start_threads(calls: Sequence[Callable[[], Any]], concurrency: int) -> list[Future[Any]]:
    """Start calls on at most `concurrency` threads, in order."""
    futures: list[Future[Any]] = [Future() for _ in calls]
    waiting = deque(zip(futures, calls, strict=True))

    def work() -> None:
        while True:
            try:
                future, call = waiting.popleft()
            except IndexError:
                return
            if future.set_running_or_notify_cancel():
                try:
                    made = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(made)

    for _ in range(min(concurrency, len(calls))):
        if not waiting:
            break  # quick calls are all done by the threads that are there
        threading.Thread(target=copy_context().run, args=(work,), daemon=True).start()
    return futures


def start_tasks(calls: Sequence[Callable[[], Coroutine[Any, Any, Any]]], concurrency: int) -> list[Future[Any]]:
    """Start coroutines on the event loop, at most `concurrency` at a time."""
    import asyncio

    loop, gate = _loop(), asyncio.Semaphore(concurrency)

    async def gated(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async with gate:
            return await call()

    return [asyncio.run_coroutine_threadsafe(gated(call), loop) for call in calls]


def ended(futures: Iterable[Future[Any]], until: Callable[[], float]) -> Iterator[set[Future[Any]]]:
    """Groups of futures as they end, until `until()` has no seconds left; what is still running then is cancelled."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=max(0.0, until()), return_when=FIRST_COMPLETED)
        if done and pending:
            more, pending = wait(pending, timeout=max(0.0, min(_LINGER, until())), return_when=ALL_COMPLETED)
            done |= more
        if not done:
            for future in pending:
                future.cancel()
            return
        yield done


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of all async processors; it lives as long as the function does, so their clients may too."""
    import asyncio

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="rtp-async", daemon=True).start()
    return loop
