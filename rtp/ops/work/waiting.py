"""Says what a command waits for, once a request takes longer than AWS's requests do."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rtp.ops.work.background import repeating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SLOW_S = 3.0
_AGAIN_S = 30.0
_POLL_S = 0.5


class Unanswered(Protocol):
    """A request without an answer; see rtp.aws.in_flight."""

    @property
    def number(self) -> int:
        """Its number."""

    @property
    def what(self) -> str:
        """Service and operation."""

    @property
    def where(self) -> str:
        """The endpoint."""

    @property
    def began(self) -> float:
        """Monotonic seconds."""

    @property
    def limit_s(self) -> float:
        """When it is given up at the latest."""


class Slow:
    """Names the oldest unanswered request after SLOW_S, and again every _AGAIN_S while the same one has no answer."""

    def __init__(self, notify: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._notify = notify
        self._clock = clock
        self._due = SLOW_S
        self._number = 0

    def look(self, requests: Sequence[Unanswered]) -> None:
        """Compare the unanswered requests with the time."""
        oldest = min(requests, key=lambda request: request.began, default=None)
        if oldest is None:
            return
        if oldest.number != self._number:
            self._number, self._due = oldest.number, SLOW_S
        waited = self._clock() - oldest.began
        if waited >= self._due:
            self._due = max(self._due * 2, _AGAIN_S)
            self._notify(
                f"waiting for {oldest.where}: no answer to {oldest.what} for {waited:.0f} s; "
                f"rtp gives up after {oldest.limit_s:.0f} s, Ctrl-C ends it now"
            )


@contextmanager
def announced(requests: Callable[[], Sequence[Unanswered]], notify: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, say what is waited for. requests: those without an answer."""
    slow = Slow(notify)
    with repeating(lambda: slow.look(requests()), _POLL_S):
        yield
