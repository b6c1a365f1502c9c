"""Wait for events' outcomes: processed or dead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rtp.aws import records
from rtp.runtime.event import Identity
from rtp.text.times import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rtp.aws import Aws
    from rtp.ops.work.pool import Stop
Record = dict[str, Any]
FINAL = ("processed", "dead")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


def has_ended(record: Record) -> bool:
    """Whether an event will not change by itself any more. A record with a lease is still being processed."""
    return record.get("status") in FINAL and int(record.get("lease_until", 0)) < now_ms()


def identity(record: Record) -> Identity:
    """The event's (id, timestamp)."""
    return Identity(str(record["id"]), int(record["timestamp"]))


def wait(aws: Aws, table: str, identities: Iterable[Identity], *, timeout_s: float, stop: Stop) -> Iterator[Record]:
    """Each event's record as soon as the event has ended. Ends when all have, at the timeout, or when stopped."""
    polled = poll(aws, table, identities, timeout_s=timeout_s, stop=stop)
    return (record for record, is_final in polled if is_final)


def poll(
    aws: Aws,
    table: str,
    identities: Iterable[Identity],
    *,
    timeout_s: float,
    stop: Stop,
    has_ended: Callable[[Record], bool] = has_ended,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Record, bool]]:
    """The records that each poll finds, and whether their events have ended; those are not asked for again.

    Ends when all events have ended, at the timeout, or when stopped.
    """
    pending = dict.fromkeys(identities)
    deadline = clock() + timeout_s
    pause = _FIRST_PAUSE_S
    while pending and not stop.drain.is_set():
        requested, ended = len(pending), 0
        for record in records.by_keys(aws, table, list(pending)):
            is_final = has_ended(record)
            if is_final:
                pending.pop(identity(record), None)
                ended += 1
            yield record, is_final
        remaining = deadline - clock()
        if not pending or remaining <= 0:
            return
        # Each poll reads every pending record, so it is repeated soon only while many events end.
        pause = _FIRST_PAUSE_S if ended * 10 >= requested else min(_LONGEST_PAUSE_S, pause * 1.6)
        stop.drain.wait(min(pause, remaining))
