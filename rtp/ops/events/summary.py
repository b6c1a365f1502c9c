"""The result of sending several events: counts, latencies and failures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rtp.ops.events import outcome
from rtp.ops.events.outcome import identity
from rtp.runtime.event import Identity
from rtp.text.json_values import OMITTED, Omitted

if TYPE_CHECKING:
    from rtp.errors import RtpError
    from rtp.ops.events.outcome import Record
    from rtp.ops.events.sent import Sent, SentEvent


@dataclass(frozen=True, slots=True)
class SentEvents:
    """Several events that were sent.

    sent: events that were tried. by_status: how many ended with each status. failed: those that were not accepted.
    elapsed_s: since the first was sent.
    rate: events per second. p50_ms: median latency. p99_ms: 99th percentile of the latency.
    outcomes: how many events ended with each status, with --wait; conflict: another event has the identity.
    dead: the records of dead events, with --wait.
    pending: events whose record had not ended, with --wait.
    repeats: events that an earlier delivery had processed. unsent: events that were not tried.
    """

    sent: int
    by_status: dict[str, int]
    failed: list[SentEvent]
    elapsed_s: float
    rate: float
    p50_ms: float
    p99_ms: float
    outcomes: dict[str, int] | Omitted = OMITTED
    dead: list[Record] | Omitted = OMITTED
    pending: int | Omitted = OMITTED
    repeats: int | Omitted = OMITTED
    unsent: int | Omitted = OMITTED


@dataclass(slots=True)
class Summary:
    """Counts, latencies and failures of `total` events.

    waits: whether their records are waited for too. repeats: events that an earlier delivery had processed.
    outcomes: number of records by status. pending: events without an outcome yet, by identity and digest.
    failure: the error that ended the run. last, record: the event sent last, and the last record waited for.
    """

    total: int
    waits: bool = False
    sent: int = 0
    repeats: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    failed: list[Sent] = field(default_factory=list)
    dead: list[dict[str, Any]] = field(default_factory=list)
    pending: dict[Identity, dict[str, Sent]] = field(default_factory=dict)
    elapsed_s: float = 0.0
    last: Sent | None = None
    record: Record | None = None
    failure: RtpError | None = None
    _latencies: list[float] = field(default_factory=list)

    def add(self, sent: Sent) -> None:
        """Count an event that was sent, or that could not be sent."""
        self.sent += 1
        self.repeats += sent.repeat
        self.last = sent
        self.by_status[sent.status] = self.by_status.get(sent.status, 0) + 1
        if sent.http_status is not None:
            self._latencies.append(sent.latency_ms)
        if not sent.ok:
            self.failed.append(sent)
        if self.waits and sent.recorded:
            self.pending.setdefault(Identity(sent.id, sent.timestamp), {})[sent.digest] = sent

    def end(self, record: Record) -> None:
        """Count the events that ended, by their record: where it is of another event, they are in conflict with it."""
        for digest, sent in self.pending.pop(identity(record), {}).items():
            if outcome.is_conflict(record, digest):
                self._conflict(sent, str(record["status"]))
                continue
            status = str(record["status"])
            self.record = record
            self.outcomes[status] = self.outcomes.get(status, 0) + 1
            if status == "dead":
                self.dead.append(record)

    def has_ended(self, record: Record) -> bool:
        """Whether a record says how the events with its identity ended."""
        digests = self.pending.get(identity(record), {})
        return outcome.has_ended(record) and not outcome.is_superseded(record, digests)

    def _conflict(self, sent: Sent, status: str) -> None:
        message = f"another event with this id and timestamp is {status}; this one goes to the dead-letter queue"
        conflict = replace(sent, status="conflict", error={"type": "IdentityConflict", "message": message})
        self.failed.append(conflict)
        self.outcomes["conflict"] = self.outcomes.get("conflict", 0) + 1
        if self.last is sent:
            self.last = conflict

    @property
    def single(self) -> bool:
        """Whether one event was to be sent, and was; the result is then that event's."""
        return self.total == 1 and self.last is not None

    @property
    def unsent(self) -> int:
        """The number of events that were not tried."""
        return self.total - self.sent

    @property
    def has_failures(self) -> bool:
        """Whether any event failed, was rejected, died, is in conflict with another or was not tried."""
        return bool(self.failed or self.dead or self.unsent)

    @property
    def is_pipeline_suspect(self) -> bool:
        """Whether an event met what a missing part of the pipeline causes: no way in, a fault, or no end."""
        failed = [f.http_status for f in self.failed if f.status != "conflict"]
        unanswered = any(status in (None, 403, 404) or (status or 0) >= 500 for status in failed)
        return unanswered or bool(self.pending) or self.failure is not None

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.sent / self.elapsed_s if self.elapsed_s else 0.0

    def percentile(self, percent: int) -> float:
        """The latency in ms that `percent` of the answers did not exceed."""
        ordered = sorted(self._latencies)
        return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0.0

    def document(self) -> SentEvent | SentEvents:
        """As JSON: of one event, or of several."""
        if self.single and self.last is not None:
            document = self.last.document()
            return replace(document, record=self.record) if self.waits else document
        return SentEvents(
            sent=self.sent,
            by_status=self.by_status,
            failed=[f.document() for f in self.failed],
            elapsed_s=round(self.elapsed_s, 3),
            rate=round(self.rate, 1),
            p50_ms=round(self.percentile(50), 1),
            p99_ms=round(self.percentile(99), 1),
            outcomes=self.outcomes if self.waits else OMITTED,
            dead=self.dead if self.waits else OMITTED,
            pending=len(self.pending) if self.waits else OMITTED,
            repeats=self.repeats or OMITTED,
            unsent=self.unsent or OMITTED,
        )
