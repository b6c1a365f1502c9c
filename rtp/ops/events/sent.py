"""What became of one event that was sent, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rtp.text.json_values import OMITTED, Omitted

if TYPE_CHECKING:
    from rtp.ops.events.outcome import Record


class Via(StrEnum):
    """The way in."""

    API = "api"  # POST /process: answered when processed
    EVENTS = "events"  # POST /events: answered when queued
    SQS = "sqs"  # straight to the queue; no key, no throttle, no quota


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One event that was sent.

    timestamp: the event's, epoch ms. status: processed, accepted, queued, rejected, conflict or failed.
    http_status: the API's answer; null without one, and for --via sqs.
    latency_ms: from the request to its answer. trace_id: empty where it is not known.
    line: where a failed event is in the NDJSON file, from 1.
    repeat: true where an earlier delivery had been processed, whose stored answer this is.
    type: the event's. result: the processor's, where the way in reports it.
    error: why it failed or was rejected. record: the event's record, with --wait; null where it has not ended.
    """

    id: str
    timestamp: int
    status: str
    http_status: int | None
    trace_id: str
    latency_ms: float
    line: int | Omitted = OMITTED
    repeat: bool | Omitted = OMITTED
    type: str | Omitted = OMITTED
    result: Any | Omitted = OMITTED
    error: dict[str, str] | Omitted = OMITTED
    record: Record | Omitted | None = OMITTED


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one event. timestamp: epoch ms. status: processed, accepted, queued, rejected, conflict or failed.

    kind: the event's type. line: where it is in an NDJSON file, from 1. error: type and message.
    result: the processor's, where the way in reports it. repeat: an earlier delivery had been processed.
    digest: of its type and data. conflict: another event has the identity.
    """

    id: str
    timestamp: int
    status: str
    http_status: int | None
    trace_id: str
    latency_ms: float
    kind: str = ""
    line: int | None = None
    error: dict[str, str] | None = None
    result: Any = None
    repeat: bool = False
    digest: str = ""

    @property
    def ok(self) -> bool:
        """Whether the pipeline has taken it."""
        return self.status in ("processed", "accepted", "queued")

    @property
    def recorded(self) -> bool:
        """Whether there is or will be a record of it."""
        return self.ok or self.status == "rejected"

    def document(self) -> SentEvent:
        """As JSON; `line`, `repeat` and `error` only where there is one."""
        return SentEvent(
            self.id,
            self.timestamp,
            self.status,
            self.http_status,
            self.trace_id,
            round(self.latency_ms, 1),
            line=OMITTED if self.line is None or self.ok else self.line,
            repeat=self.repeat or OMITTED,
            type=self.kind or OMITTED,
            result=OMITTED if self.result is None else self.result,
            error=OMITTED if self.error is None else self.error,
        )
