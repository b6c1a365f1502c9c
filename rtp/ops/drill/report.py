"""What a drill found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rtp.ops.events.outcome import Record


@dataclass(frozen=True, slots=True)
class Progress:
    """Step: what the drill does now, and how much of it is done."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every event of a drill.

    sent: events that SQS took. unsent: events that it did not take. processed, dead: events by how they ended.
    waiting: events that had not ended when the time was over. lost: events without a record while the queue is empty.
    doubled: events that were processed more than once.
    """

    sent: int
    unsent: int
    processed: int
    dead: int
    waiting: int
    lost: int
    doubled: int


@dataclass(frozen=True, slots=True)
class DrillEnd:
    """Events that ended alike.

    status: of their records. attempts: of each. error: type and message of the last failure; empty without one.
    count: how many.
    """

    status: str
    attempts: int
    error: str
    count: int


@dataclass(frozen=True, slots=True)
class DrillAlarm:
    """An alarm of the stack during a drill.

    name: without the stack's. expected: whether the fault fires it surely. state: fired, silent, or `before` where it
    was firing before the drill, which then cannot show it. at: when it fired; null where it did not.
    after_s: from the first message until then; null where it did not fire.
    """

    name: str
    expected: bool
    state: str
    at: str | None = None
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """What a drill removed of its own.

    messages: of the dead-letter queue. records: of the table. objects: of the bucket, that held nothing else.
    shared_objects: which hold other events too and stay.
    """

    messages: int = 0
    records: int = 0
    objects: int = 0
    shared_objects: int = 0


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill.

    run: its name. fault: what was injected. count: events asked for. expected: status in which the events were to end.
    ledger: every event. ends: how they ended, the most frequent first. first_end_s: from the first message until an
    event ended; null where none did. last_end_s: until the last one ended. alarms: those that fired or were expected.
    removed: what the drill removed of its own. stays: what it cannot remove. notes: what could not be read or removed.
    duration_s: of the whole drill.
    """

    run: str
    fault: str
    count: int
    expected: str
    ledger: Ledger
    ends: list[DrillEnd]
    first_end_s: float | None
    last_end_s: float | None
    alarms: list[DrillAlarm]
    removed: Removed
    stays: list[str]
    notes: list[str] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def is_late(self) -> bool:
        """Whether events had not ended in time, and nothing else is wrong with them."""
        return bool(self.ledger.waiting) and not (self.ledger.lost or self.ledger.doubled or self.ledger.unsent)

    @property
    def is_as_expected(self) -> bool:
        """Whether each event ended as expected, once, and each expected alarm fired."""
        ledger = self.ledger
        ended = {"processed": ledger.processed, "dead": ledger.dead}[self.expected]
        silent = any(alarm.expected and alarm.state == "silent" for alarm in self.alarms)
        return ended == self.count and not ledger.doubled and not silent


def doubled(record: Record) -> bool:
    """Whether an event was processed more than once."""
    outcomes = [attempt.get("outcome") for attempt in record.get("attempts") or ()]
    return outcomes.count("processed") > 1


def ended_at(record: Record) -> int | None:
    """When an event's last attempt ended, epoch ms."""
    ends = [int(a["at"]) + int(a.get("duration_ms", 0)) for a in record.get("attempts") or () if "at" in a]
    return max(ends, default=None)


def ends(records: Iterable[Record]) -> list[DrillEnd]:
    """Group events by how they ended."""
    counted: Counter[tuple[str, int, str]] = Counter()
    for record in records:
        counted[str(record.get("status")), int(record.get("attempt_count", 0)), _error(record)] += 1
    return [DrillEnd(*key, count) for key, count in counted.most_common()]


def _error(record: Mapping[str, Any]) -> str:
    """Of the record, or else of the last attempt that failed."""
    errors = [attempt["error"] for attempt in record.get("attempts") or () if "error" in attempt]
    error = record.get("error") or (errors[-1] if errors else {})
    return ": ".join(str(error[name]) for name in ("type", "message") if error.get(name))
