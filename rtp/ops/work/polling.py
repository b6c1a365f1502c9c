"""Repeating something with pauses in between, until it succeeds or the time is up."""

from __future__ import annotations

from itertools import repeat
from math import inf
from typing import TYPE_CHECKING, TypeVar

from rtp.ops.work.clock import SYSTEM, Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rtp.errors import AwsError
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

_T = TypeVar("_T")
_LONGEST_OUTAGE_PAUSE_S = 30.0


def every(
    pauses: float | Iterable[float],
    *,
    timeout_s: float | None = None,
    stop: Stop | None = None,
    clock: Clock = SYSTEM,
) -> Iterator[float]:
    """Yield the remaining seconds, at once and after each pause.

    Ends when `timeout_s` has passed, when there are no more pauses, or when `stop.drain` is set. The last pause is cut
    short, so that the last iteration is at the deadline.
    """
    source = repeat(pauses) if isinstance(pauses, int | float) else iter(pauses)
    deadline = inf if timeout_s is None else clock.monotonic() + timeout_s
    while stop is None or not stop.drain.is_set():
        yield max(0.0, deadline - clock.monotonic())
        left = deadline - clock.monotonic()
        pause = next(source, None)  # only now, so that the loop's body can reset the pauses
        if pause is None or left <= 0:
            return
        if stop is None:
            clock.sleep(min(pause, left))
        else:
            clock.wait(stop.drain, min(pause, left))


def poll(
    read: Callable[[], _T],
    until: Callable[[_T], bool],
    pauses: float | Iterable[float],
    *,
    timeout_s: float | None = None,
    clock: Clock = SYSTEM,
) -> _T:
    """Call `read` until `until` accepts what it returns. Returns the last value, accepted or not."""
    turns = every(pauses, timeout_s=timeout_s, clock=clock)
    next(turns)
    value = read()
    while not until(value) and next(turns, None) is not None:
        value = read()
    return value


class FollowPace:
    """Pauses of a follower: short while there is news, longer when there is none, longest during an outage.

    notify: called once when an outage begins and once when it is over.
    """

    def __init__(self, shortest: float, longest: float, notify: Callable[[str], None]) -> None:
        self._idle = Backoff(shortest, longest, factor=1.3)
        self._outage = Backoff(shortest, _LONGEST_OUTAGE_PAUSE_S)
        self._notify = notify
        self._is_failing = False

    def __iter__(self) -> FollowPace:
        return self

    def __next__(self) -> float:
        return next(self._outage if self._is_failing else self._idle)

    def succeeded(self, *, has_news: bool) -> None:
        """The last read worked."""
        if self._is_failing:
            self._notify("Following again; nothing was missed.")
            self._is_failing = False
        if has_news:
            self._idle.reset()

    def failed(self, error: AwsError) -> None:
        """The last read failed. Raises the error unless it is one that passes by itself."""
        if not error.passes:
            raise error
        if not self._is_failing:
            self._notify(f"{error.message} Trying again.")
            self._outage.reset()
            self._is_failing = True
