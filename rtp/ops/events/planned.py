"""An event that a replay queues again."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtp.runtime.event import Identity
from rtp.text.json_values import HIDDEN


@dataclass(frozen=True, slots=True)
class Planned:
    """An event to queue again.

    status: of its record now, `missing` without one. raw_key: key and line of the archived event.
    group: id of the cause that its last attempt failed of; empty where it did not fail.
    """

    id: str
    timestamp: int
    type: str
    status: str
    raw_key: str
    group: str = field(default="", metadata=HIDDEN)

    @property
    def identity(self) -> Identity:
        """(id, timestamp)."""
        return Identity(self.id, self.timestamp)
