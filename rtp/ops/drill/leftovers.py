"""What drills that were killed left: their messages in the dead-letter queue, their records and objects are removed."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import records as stored
from rtp.ops.dlq import journal
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.purge import PurgeRequest, purge
from rtp.ops.drill import begun, cleanup, report
from rtp.ops.drill.emptiness import is_empty
from rtp.ops.drill.report import Progress, Removed
from rtp.ops.events import outcome
from rtp.ops.events import records as events_records
from rtp.ops.events.records import RecordQuery
from rtp.ops.work.clock import SYSTEM
from rtp.runtime import wire
from rtp.text import times
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from rtp.config import Environment
    from rtp.ops.dlq.target import Target
    from rtp.ops.drill.begun import Begun
    from rtp.ops.events.outcome import Record
    from rtp.ops.journal_store import JournalStore
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop
    from rtp.runtime.event import Identity

_MOST = 100_000  # records: ten drills of the largest kind
_OWN_ID = re.compile(r"drill-[0-9a-f]{8}-")
_REFUSED = (
    "InvalidEvent"  # the error of an event of the reserved type that no drill sent: a client may choose such an id
)
_AHEAD_MS = 600_000  # by which the clock of the machine of a drill may be ahead
_WAIT_S = 30.0  # for events that have not ended
_MOVE_S, _PAUSE_S = 60.0, 1.0  # how long SQS may take to move a dead event's message


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What was removed of earlier drills.

    runs: the drills that had left records. removed: how much. waiting: events that have not ended, which stay.
    notes: what could not be removed. unseen: messages that another receiver hides, and events without a record while
    the queue has messages.
    """

    runs: list[str]
    removed: Removed
    waiting: int = 0
    notes: list[str] = field(default_factory=list)
    unseen: int = 0


def clean_up(
    target: Target,
    environment: Environment,
    *,
    drills: JournalStore,
    since_ms: int,
    stop: Stop,
    notify: Callable[[str], None] = lambda _: None,
    clock: Clock = SYSTEM,
) -> Generator[Progress, None, CleanedUp]:
    """Remove what drills that began since then left. Raises RtpError. Repeated after a cut, it removes the rest.

    drills: where drills are recorded. The events of those that may have left something are read by their keys; of
    others, such as a drill of an older rtp, what the table's index shows is removed.
    """
    yield Progress("looking for events of drills", 0, 0)
    known, unreadable = begun.left(drills, target, since_ms=since_ms)
    notes = [f"{drills.where(name)} is no record of a drill that rtp writes" for name in unreadable]
    found, lacking = _read(target, known, stop, notify, clock)
    messages, hidden = yield from _messages(target, found, stop, notify, clock)
    query = RecordQuery(kind=wire.DRILL, since=since_ms, until=times.now_ms() + _AHEAD_MS, limit=_MOST)
    shards = environment.settings.index_shards
    listed = events_records.find(target.aws, target.outputs, query, shards=shards, contents=False).records
    names = {drill.run for drill in known}
    others = [r for r in listed if _is_of_a_drill(r) and _run(r) not in names]
    ended = [record for record in (*found, *others) if outcome.has_ended(record)]
    runs: dict[str, list[Record]] = defaultdict(list)
    for record in ended:
        runs[_run(record)].append(record)
    rows = removed = shared = 0
    for run, of_run in runs.items():
        if stop.drain.is_set():
            notes.append("interrupted; what is left is removed by the same command")
            break
        ends = [at for record in of_run if (at := report.ended_at(record)) is not None]
        began = min(int(record["timestamp"]) for record in of_run)
        left = cleanup.Left(
            run=run,
            identities=[outcome.identity(record) for record in of_run],
            dead=0,
            since_ms=began,
            until_ms=min(max(ends, default=began), times.now_ms()),  # each hour until then is looked at
        )
        part, failures = cleanup.remove(target, left, stop=stop, notify=notify, clock=clock)
        rows, removed, shared = rows + part.records, removed + part.objects, shared + part.shared_objects
        notes += failures
        yield Progress("records removed", rows, len(ended))
    waiting = len(found) + len(others) - len(ended)
    if not (waiting or lacking or hidden or notes):
        for drill in known:
            begun.ended(drills, drill)
    return CleanedUp(sorted(runs), Removed(messages, rows, removed, shared), waiting, notes, lacking + hidden)


def _read(
    target: Target, drills: Sequence[Begun], stop: Stop, notify: Callable[[str], None], clock: Clock
) -> tuple[list[Record], int]:
    """The records of drills, after a wait for events that have not ended, and how many may come that have none yet."""
    events = [event for drill in drills for event in drill.identities]
    uncertain = [event for drill in drills for event in drill.identities if not drill.is_over]

    def read() -> dict[Identity, Record]:
        return {outcome.identity(r): r for r in stored.by_keys(target.aws, target.table, events)}

    def wait(pending: Sequence[Identity], what: str) -> dict[Identity, Record]:
        notify(f"waiting up to {_WAIT_S:.0f} s for {many(len(pending), 'event')} {what}")
        for _ in outcome.poll(target.aws, target.table, pending, timeout_s=_WAIT_S, stop=stop, clock=clock):
            pass
        return read()

    found = read()
    if pending := [identity for identity, record in found.items() if not outcome.has_ended(record)]:
        found = wait(pending, "to end")
    missing = [event for event in uncertain if event not in found]
    if not missing or is_empty(target, stop, clock):  # a drill may have been killed before it sent all of them
        return [*found.values()], 0
    found = wait(missing, "without a record, which may be in the queue")
    missing = [event for event in uncertain if event not in found]
    return [*found.values()], 0 if not missing or is_empty(target, stop, clock) else len(missing)


def _messages(
    target: Target, found: Sequence[Record], stop: Stop, notify: Callable[[str], None], clock: Clock
) -> Generator[Progress, None, tuple[int, int]]:
    """Delete the drills' messages in the DLQ. Returns how many, and how many were not seen.

    SQS moves a message a moment after its last attempt, so that those of events that have just died are waited for.
    """
    filters = Filters(types=(wire.DRILL,), attribute=wire.DRILL_RUN)
    just_dead = {
        outcome.identity(record)
        for record in found
        if record["status"] == "dead" and int(record.get("attempted_at", 0)) > times.now_ms() - _MOVE_S * 1000
    }
    deadline, deleted = clock.monotonic() + _MOVE_S, 0
    while True:
        steps = purge(target, PurgeRequest(filters=filters), stop=stop, notify=notify, clock=clock)
        while True:
            try:
                yield Progress("messages removed", deleted + next(steps).count, 0)
            except StopIteration as end:
                purged = end.value
                break
        deleted += purged.deleted
        if purged.deleted:
            just_dead -= {entry.identity for entry in journal.load(target.journals, purged.run).entries.values()}
        if not just_dead or clock.monotonic() >= deadline or clock.wait(stop.drain, _PAUSE_S):
            return deleted, purged.unseen + len(just_dead)


def _is_of_a_drill(record: Record) -> bool:
    return _OWN_ID.match(str(record["id"])) is not None and record.get("error", {}).get("type") != _REFUSED


def _run(record: Record) -> str:
    """The drill of an event, whose id is drill-RUN-NUMBER."""
    return str(record["id"]).removeprefix("drill-").partition("-")[0]
