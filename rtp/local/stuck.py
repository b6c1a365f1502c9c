"""A watch over the event loop: what holds it for too long is broken off, so that one request cannot stop all others.

A time limit of asyncio's cannot do that, since it is the loop itself that is held. A signal can: Python calls its
handler between two steps of whatever the main thread is doing, within a match of a regular expression too.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

log = logging.getLogger("rtp.stuck")
LIMIT_S = 15.0  # of the processor's time: a slow machine is not a stuck engine
WAIT_LIMIT_S = 300.0  # with or without any, for a lock or an answer that does not come
HURRY_S = 3.0  # of either, once the engine is to stop
AGAIN_S = 2.0
_IDLE = -1


class StuckError(RuntimeError):
    """Raised in what holds the loop."""


class AbandonedError(BaseException):
    """Raised in what caught the StuckError and went on."""


class Watch:
    """Within it, no callback of the loop lasts longer than the limits. To be entered in the main thread.

    It counts its own signals, so that a process that was stopped for a while is not taken for a stuck one.
    """

    def __init__(self, limit_s: float = LIMIT_S, wait_limit_s: float = WAIT_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._wait_limit_s = wait_limit_s
        self._looks = _IDLE  # at the callback that runs
        self._began = 0.0  # the thread's time at the first of them
        self._breaks = 0
        self._run_one = asyncio.Handle._run

    def hurry(self) -> None:
        """Be less patient from now on: others wait for the engine to stop."""
        self._limit_s = min(self._limit_s, HURRY_S)
        self._wait_limit_s = min(self._wait_limit_s, HURRY_S)

    def __enter__(self) -> Self:
        run_one = self._run_one

        def run(handle: asyncio.Handle) -> None:
            self._looks = 0
            try:
                run_one(handle)
            except (StuckError, AbandonedError) as error:  # it had just ended
                log.warning("too late: %s", error)
            finally:
                self._looks = _IDLE

        asyncio.Handle._run = run  # type: ignore[method-assign, assignment]
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        asyncio.Handle._run = self._run_one  # type: ignore[method-assign]

    def _look(self, _number: int, frame: FrameType | None) -> None:
        if self._looks == _IDLE:
            return
        if self._looks == 0:
            self._began, self._breaks = time.thread_time(), 0
        self._looks += 1
        worked_s, waited_s = time.thread_time() - self._began, self._looks - 1
        allowed_s = self._breaks * AGAIN_S
        if worked_s < self._limit_s + allowed_s and waited_s < self._wait_limit_s + allowed_s:
            return
        self._breaks += 1
        why = f"The engine was held for {worked_s:.0f} s of work, and nobody else was served; this was broken off."
        log.error("%s at %s", why, _place(frame))
        raise StuckError(why) if self._breaks == 1 else AbandonedError(why)


def _place(frame: FrameType | None) -> str:
    """Where that was, from the inside out."""
    found: list[str] = []
    while frame is not None and len(found) < 8:
        found.append(f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(found)
