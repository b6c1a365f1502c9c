"""What became of one event that was sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Via(StrEnum):
    """The way in."""

    API = "api"  # POST /process: answered when processed
    EVENTS = "events"  # POST /events: answered when queued
    SQS = "sqs"  # straight to the queue; no key, no throttle, no quota


@dataclass(frozen=True, slots=True)
class Sent:
    """`send --json` of one event. status: processed, accepted, queued, rejected or failed."""

    id: str
    timestamp: int
    status: str
    http_status: int | None
    trace_id: str
    latency_ms: float
    _type: str = ""
    _line: int | None = None
    _error: dict[str, str] | None = None
    _result: Any = None
    _repeat: bool = False

    @property
    def ok(self) -> bool:
        """Whether the pipeline has taken it."""
        return self.status in ("processed", "accepted", "queued")

    @property
    def recorded(self) -> bool:
        """Whether there is or will be a record of it."""
        return self.ok or self.status == "rejected"

    @property
    def error(self) -> dict[str, str] | None:
        """Type and message of what went wrong."""
        return self._error

    @property
    def result(self) -> Any:
        """The processor's answer, where the way in gives one."""
        return self._result

    @property
    def repeat(self) -> bool:
        """Whether an earlier delivery had processed it, whose answer this is."""
        return self._repeat

    @property
    def kind(self) -> str:
        """The event's type."""
        return self._type

    @property
    def line(self) -> int | None:
        """Where it stood in an NDJSON file."""
        return self._line

    def document(self) -> dict[str, Any]:
        """As JSON; `repeat`, an error and the line of the file stand only where there are such."""
        shape: dict[str, Any] = {
            "id": self.id,
            "timestamp": self.timestamp,
            "status": self.status,
            "http_status": self.http_status,
            "trace_id": self.trace_id,
            "latency_ms": round(self.latency_ms, 1),
        }
        if self._line is not None and not self.ok:
            shape["line"] = self._line
        if self._repeat:
            shape["repeat"] = True
        if self._error is not None:
            shape["error"] = self._error
        return shape
