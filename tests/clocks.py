"""A clock that only pauses move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.ops.work.clock import Clock

if TYPE_CHECKING:
    from threading import Event


@dataclass
class FakeClock:
    """now: monotonic seconds. pauses: every pause so far."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Time passes at once."""
        self.pauses.append(seconds)
        self.now += seconds

    def wait(self, event: Event, seconds: float) -> bool:
        """As `sleep`, unless the event is set."""
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()

    @property
    def clock(self) -> Clock:
        """What an operation takes."""
        return Clock(lambda: self.now, self.sleep, self.wait)
