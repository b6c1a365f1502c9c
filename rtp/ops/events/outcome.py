"""Wait until events have come to an end: processed or dead."""

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


def ended(record: Record) -> bool:
    """Whether nothing more will happen to an event by itself. A record with a lease is still being worked on."""
    return record.get("status") in FINAL and int(record.get("lease_until", 0)) < now_ms()


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
    done: Callable[[Record], bool] = ended,
    notify: Callable[[Record], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Record]:
    """Each event's record as soon as it is `done`; ends when all are, when time is over, or when told to stop.

    tell: hears of the records that are there and not done, at each look.
    """
    pending = dict.fromkeys(identities)
    deadline = clock() + timeout_s
    pause = _FIRST_PAUSE_S
    while pending and not stop.drain.is_set():
        looked = len(pending)
        seen = records.by_keys(aws, table, list(pending))
        found = [r for r in seen if done(r)]
        for record in seen:
            if not done(record):
                notify(record)
        for record in found:
            pending.pop(identity(record), None)
            yield record
        left = deadline - clock()
        if not pending or left <= 0:
            return
        # Many are looked for often only while many come through; each look reads them all.
        pause = _FIRST_PAUSE_S if len(found) * 10 >= looked else min(_LONGEST_PAUSE_S, pause * 1.6)
        stop.drain.wait(min(pause, left))
