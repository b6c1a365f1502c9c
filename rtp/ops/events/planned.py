"""An event that a replay queues again."""

from __future__ import annotations

from dataclasses import dataclass

from rtp.runtime.event import Identity


@dataclass(frozen=True, slots=True)
class Planned:
    """An event to queue again.

    status: of its record now, `missing` without one. raw_key: key and line of the archived event.
    """

    id: str
    timestamp: int
    type: str
    status: str
    raw_key: str

    @property
    def identity(self) -> Identity:
        """(id, timestamp)."""
        return Identity(self.id, self.timestamp)
