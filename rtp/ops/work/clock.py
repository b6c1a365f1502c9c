"""The clock that operations read and sleep by, and pauses that grow."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds and pauses; tests pass a clock of their own.

    wait: pauses until the event is set or the seconds have passed, and returns whether it is set.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    wait: Callable[[Event, float], bool] = Event.wait


SYSTEM = Clock()


class Backoff:
    """Pauses in seconds that grow from `first` by `factor` up to `longest`.

    jitter: the share of each pause, 0 to 1, that is random, so that clients do not retry in step.
    """

    def __init__(
        self,
        first: float,
        longest: float,
        *,
        factor: float = 2.0,
        jitter: float = 0.0,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._first, self._longest = first, longest
        self._factor, self._jitter = factor, jitter
        self._random = random
        self._next = first

    def __iter__(self) -> Backoff:
        return self

    def __next__(self) -> float:
        pause = self._next
        self._next = min(self._longest, pause * self._factor)
        return pause if not self._jitter else pause * (1 - self._jitter * (1 - self._random()))

    def reset(self) -> None:
        """Start again with the first pause."""
        self._next = self._first
