"""A watchdog of the event loop: it interrupts a callback that blocks the loop, so that no request stops the others.

A timeout of asyncio cannot do that, because the loop itself is blocked. A signal can: Python calls its handler between
two steps of the main thread, also within a match of a regular expression.
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
LIMIT_S = 15.0  # of processor time: a slow machine is not a stuck engine
WAIT_LIMIT_S = 300.0  # of waiting, for a lock or a response that never comes
HURRY_S = 3.0  # of either, once a stop is requested
AGAIN_S = 2.0
_IDLE = -1


class StuckError(RuntimeError):
    """Raised in the callback that blocks the loop."""


class AbandonedError(BaseException):
    """Raised in a callback that caught the StuckError and continued."""


class Watch:
    """Within it, no callback of the loop lasts longer than the limits. Enter it in the main thread.

    It counts its own signals, so that a process that was suspended is not mistaken for a stuck one.
    """

    def __init__(self, limit_s: float = LIMIT_S, wait_limit_s: float = WAIT_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._wait_limit_s = wait_limit_s
        self._checks = _IDLE  # of the running callback
        self._began = 0.0  # processor time of the thread at the first check
        self._interrupts = 0
        self._run_one = asyncio.Handle._run

    def hurry(self) -> None:
        """Shorten the limits: a stop is requested."""
        self._limit_s = min(self._limit_s, HURRY_S)
        self._wait_limit_s = min(self._wait_limit_s, HURRY_S)

    def __enter__(self) -> Self:
        run_one = self._run_one

        def run(handle: asyncio.Handle) -> None:
            self._checks = 0
            try:
                run_one(handle)
            except (StuckError, AbandonedError) as error:  # the callback had just ended
                log.warning("too late: %s", error)
            finally:
                self._checks = _IDLE

        asyncio.Handle._run = run  # type: ignore[method-assign, assignment]
        signal.signal(signal.SIGALRM, self._check)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        asyncio.Handle._run = self._run_one  # type: ignore[method-assign]

    def _check(self, _number: int, frame: FrameType | None) -> None:
        if self._checks == _IDLE:
            return
        if self._checks == 0:
            self._began, self._interrupts = time.thread_time(), 0
        self._checks += 1
        worked_s, waited_s = time.thread_time() - self._began, self._checks - 1
        allowed_s = self._interrupts * AGAIN_S
        if worked_s < self._limit_s + allowed_s and waited_s < self._wait_limit_s + allowed_s:
            return
        self._interrupts += 1
        reason = (
            f"Interrupted: it blocked the engine for {worked_s:.0f} s of processor time; no other request was served."
        )
        log.error("%s at %s", reason, _place(frame))
        raise StuckError(reason) if self._interrupts == 1 else AbandonedError(reason)


def _place(frame: FrameType | None) -> str:
    """The innermost frames of the stack, innermost first."""
    places: list[str] = []
    while frame is not None and len(places) < 8:
        places.append(f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(places)
