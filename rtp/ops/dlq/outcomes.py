"""Wait until redriven events have ended again: processed, dead or in conflict with another event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.ops import causes
from rtp.ops.events import outcome
from rtp.runtime import digest
from rtp.runtime.event import InvalidEventError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.target import Target
    from rtp.ops.events.outcome import Record
    from rtp.ops.work.pool import Stop
    from rtp.runtime.event import Identity


@dataclass(frozen=True, slots=True)
class Pending:
    """Step: the record of a redriven event that has no outcome yet.

    is_before: the record is still as before the redrive. is_error_old: its error is of an earlier attempt.
    """

    record: Record
    is_before: bool = False
    is_error_old: bool = False


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The records of events that ended, and the number of those that did not. conflicts: records of other events.

    otherwise: events that died of another cause than before.
    """

    records: list[Record] = field(default_factory=list)
    pending: int = 0
    conflicts: frozenset[Identity] = frozenset()
    otherwise: frozenset[Identity] = frozenset()

    @property
    def dead(self) -> list[Record]:
        """The records of the events that died again."""
        return [record for record in self.records if record["status"] == "dead"]

    def status(self, record: Record) -> str:
        """The status of a record, or conflict where it is another event's."""
        return "conflict" if outcome.identity(record) in self.conflicts else str(record["status"])

    @property
    def by_status(self) -> dict[str, int]:
        """How many events ended with each status."""
        statuses = [self.status(record) for record in self.records]
        return {status: statuses.count(status) for status in statuses}


@dataclass(frozen=True, slots=True)
class Expected:
    """An event that was redriven. digest: of what was sent. runs: its attempts before. group: of its cause before."""

    identity: Identity
    digest: str
    runs: int
    group: str = ""


def wait(
    target: Target, expected: Sequence[Expected], *, timeout_s: float, stop: Stop
) -> Generator[Pending, None, Outcomes]:
    """Wait until every event has ended again, for timeout_s seconds at the longest."""
    digests = {event.identity: event.digest for event in expected}
    runs = {event.identity: event.runs for event in expected}
    identities = dict.fromkeys(digests)
    records: list[Record] = []
    polled = outcome.poll(
        target.aws,
        target.table,
        identities,
        timeout_s=timeout_s,
        stop=stop,
        has_ended=ended_since(runs),
    )
    for record, has_ended in polled:
        if has_ended:
            records.append(record)
        else:
            is_before = int(record.get("attempt_count", 0)) <= runs[outcome.identity(record)]
            yield Pending(record, is_before, is_before or record.get("status") == "processing")
    conflicts = (r for r in records if outcome.is_conflict(r, digests[outcome.identity(r)]))
    groups = {event.identity: event.group for event in expected}
    dead = ((r, groups[outcome.identity(r)]) for r in records if r["status"] == "dead")
    return Outcomes(
        records,
        len(identities) - len(records),
        conflicts=frozenset(map(outcome.identity, conflicts)),
        otherwise=frozenset(outcome.identity(r) for r, group in dead if group and not is_same_cause(r, group)),
    )


def is_same_cause(record: Record, group: str) -> bool:
    """Whether the cause of a dead event's record is of this group."""
    return causes.group_of(record) == group


def sent_digest(text: str, dlq_message: DlqMessage) -> str:
    """The digest of an event that was sent to the queue."""
    try:
        return parse(text, dlq_message.fallback).digest
    except InvalidEventError:
        return digest.of_text(text)


def ended_since(attempts: Mapping[Identity, int]) -> Callable[[Record], bool]:
    """Make a test for an event that ended after it was redriven: the record of a dead event was `dead` before, too.

    attempts: of each event, before.
    """

    def has_ended(record: Record) -> bool:
        more_attempts = int(record.get("attempt_count", 0)) > attempts[outcome.identity(record)]
        return (record.get("status") == "processed" or more_attempts) and outcome.has_ended(record)

    return has_ended
