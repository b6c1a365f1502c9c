"""Wait for events' outcomes: processed or dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.aws import records
from rtp.ops.work.clock import SYSTEM, Backoff
from rtp.ops.work.polling import every
from rtp.runtime.event import Identity
from rtp.text.times import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from rtp.aws import Aws
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop
Record = dict[str, Any]
FINAL = ("processed", "dead")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


def has_ended(record: Record) -> bool:
    """Whether an event will not change by itself any more. A record with a lease is still being processed."""
    return record.get("status") in FINAL and int(record.get("lease_until", 0)) < now_ms()


def is_conflict(record: Record, digest: str) -> bool:
    """Whether a record that has ended is of another event than the one with this digest, which ends in the DLQ."""
    return bool(digest) and record.get("digest", digest) != digest and record.get("status") != "dead"


def is_superseded(record: Record, digests: Container[str]) -> bool:
    """Whether a dead record is of another event than those with these digests, which may still supersede it."""
    return record.get("status") == "dead" and "digest" in record and record["digest"] not in digests


def identity(record: Record) -> Identity:
    """The event's (id, timestamp)."""
    return Identity(str(record["id"]), int(record["timestamp"]))


def wait(
    aws: Aws,
    table: str,
    identities: Iterable[Identity],
    *,
    timeout_s: float,
    stop: Stop,
    has_ended: Callable[[Record], bool] = has_ended,
) -> Iterator[Record]:
    """Each event's record as soon as the event has ended. Ends when all have, at the timeout, or when stopped."""
    polled = poll(aws, table, identities, timeout_s=timeout_s, stop=stop, has_ended=has_ended)
    return (record for record, is_final in polled if is_final)


def poll(
    aws: Aws,
    table: str,
    identities: Iterable[Identity],
    *,
    timeout_s: float,
    stop: Stop,
    has_ended: Callable[[Record], bool] = has_ended,
    clock: Clock = SYSTEM,
) -> Iterator[tuple[Record, bool]]:
    """The records that each poll reads, and whether their events have ended; those are not read again.

    Ends when all events have ended, at the timeout, or when stopped.
    """
    pending = dict.fromkeys(identities)
    if not pending:
        return
    # Each poll reads every pending record, so it is repeated soon only while many events end.
    pauses = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, factor=1.6)
    for _ in every(pauses, timeout_s=timeout_s, stop=stop, clock=clock):
        requested, ended = len(pending), 0
        for record in records.by_keys(aws, table, list(pending)):
            is_final = has_ended(record)
            if is_final:
                pending.pop(identity(record), None)
                ended += 1
            yield record, is_final
        if not pending:
            return
        if ended * 10 >= requested:
            pauses.reset()
