"""What became of the events of one `rtp send`, counted as it goes, so that an interrupted run still has it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rtp.ops.events.outcome import identity
from rtp.runtime.event import Identity
from rtp.text.json_values import OMITTED, Omitted

if TYPE_CHECKING:
    from rtp.ops.events.outcome import Record
    from rtp.ops.events.sent import Sent, SentEvent


@dataclass(frozen=True, slots=True)
class SentEvents:
    """Several events that were sent.

    sent: events that were tried. by_status: how many ended with each status. failed: those that were not accepted.
    rate: events per second. p50_ms, p99_ms: latency of half and of 99 % of the answers at most.
    outcomes: how many records ended with each status, with --wait. dead: the records of dead events, with --wait.
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
    """Counts, latencies and failures of `wanted` events. waits: their records are waited for too."""

    wanted: int
    waits: bool = False
    sent: int = 0
    repeats: int = 0  # of those sent, answered from what an earlier delivery had stored
    by_status: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)  # of the records, where they were waited for
    failed: list[Sent] = field(default_factory=list)
    dead: list[dict[str, Any]] = field(default_factory=list)
    pending: set[Identity] = field(default_factory=set)
    elapsed_s: float = 0.0
    last: Sent | None = None
    record: dict[str, Any] | None = None
    _latencies: list[float] = field(default_factory=list)

    def add(self, sent: Sent) -> None:
        """Count an event that was sent, or that could not be."""
        self.sent += 1
        self.repeats += sent.repeat
        self.last = sent
        self.by_status[sent.status] = self.by_status.get(sent.status, 0) + 1
        if sent.http_status is not None:
            self._latencies.append(sent.latency_ms)
        if not sent.ok:
            self.failed.append(sent)
        if self.waits and sent.recorded:
            self.pending.add(Identity(sent.id, sent.timestamp))

    def end(self, record: dict[str, Any]) -> None:
        """Count an event that has come to its end."""
        status = str(record["status"])
        self.record = record
        self.outcomes[status] = self.outcomes.get(status, 0) + 1
        self.pending.discard(identity(record))
        if status == "dead":
            self.dead.append(record)

    @property
    def single(self) -> bool:
        """Whether one event was to be sent, so that its own story is the answer."""
        return self.wanted == 1 and self.last is not None

    @property
    def unsent(self) -> int:
        """Those that no try was made for."""
        return self.wanted - self.sent

    @property
    def bad(self) -> bool:
        """Whether any event failed, was rejected, died or was left."""
        return bool(self.failed or self.dead or self.unsent)

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.sent / self.elapsed_s if self.elapsed_s else 0.0

    def percentile(self, percent: int) -> float:
        """Latency in ms that so many percent of the answers took at most."""
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
