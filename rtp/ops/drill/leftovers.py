"""What drills that were killed left: their messages in the dead-letter queue, their records and objects are removed."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.purge import PurgeRequest, purge
from rtp.ops.drill import cleanup, report
from rtp.ops.drill.report import Progress, Removed
from rtp.ops.events import outcome
from rtp.ops.events import records as events_records
from rtp.ops.events.records import RecordQuery
from rtp.ops.work.clock import SYSTEM
from rtp.runtime import wire
from rtp.text import regexes, times

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rtp.config import Environment
    from rtp.ops.dlq.target import Target
    from rtp.ops.events.outcome import Record
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

_MOST = 100_000  # records: ten drills of the largest kind
_OWN_ID = re.compile(r"drill-[0-9a-f]{8}-")  # another event of the reserved type is a client's
_OWN_BODY = r'"id": ?"drill-[0-9a-f]{8}-'
_AHEAD_MS = 600_000  # by which the clock of the machine of a drill may be ahead


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What was removed of earlier drills.

    runs: the drills that had left records. removed: how much. waiting: events that have not ended, which stay.
    notes: what could not be removed.
    """

    runs: list[str]
    removed: Removed
    waiting: int = 0
    notes: list[str] = field(default_factory=list)


def clean_up(
    target: Target,
    environment: Environment,
    *,
    since_ms: int,
    stop: Stop,
    notify: Callable[[str], None] = lambda _: None,
    clock: Clock = SYSTEM,
) -> Generator[Progress, None, CleanedUp]:
    """Remove what drills that began since then left. Raises RtpError. Repeated after a cut, it removes the rest."""
    filters = Filters(types=(wire.DRILL,), grep=regexes.compiled(_OWN_BODY, option="run"))
    messages = 0
    steps = purge(target, PurgeRequest(filters=filters), stop=stop, notify=notify, clock=clock)
    while True:
        try:
            yield Progress("messages removed", next(steps).count, 0)
        except StopIteration as end:
            messages = end.value.deleted
            break
    query = RecordQuery(kind=wire.DRILL, since=since_ms, until=times.now_ms() + _AHEAD_MS, limit=_MOST)
    shards = environment.settings.index_shards
    listed = events_records.find(target.aws, target.outputs, query, shards=shards, contents=False).records
    found = [record for record in listed if _OWN_ID.match(str(record["id"]))]
    ended = [record for record in found if outcome.has_ended(record)]
    runs: dict[str, list[Record]] = defaultdict(list)
    for record in ended:
        runs[_run(record)].append(record)
    rows = removed = shared = 0
    notes: list[str] = []
    for run, of_run in runs.items():
        if stop.drain.is_set():
            notes.append("interrupted; what is left is removed by the same command")
            break
        ends = [at for record in of_run if (at := report.ended_at(record)) is not None]
        begun = min(int(record["timestamp"]) for record in of_run)
        left = cleanup.Left(
            run=run,
            identities=[outcome.identity(record) for record in of_run],
            dead=0,
            since_ms=begun,
            until_ms=max(ends, default=begun),
        )
        part, failures = cleanup.remove(target, left, stop=stop, notify=notify, clock=clock)
        rows, removed, shared = rows + part.records, removed + part.objects, shared + part.shared_objects
        notes += failures
        yield Progress("records removed", rows, len(ended))
    return CleanedUp(sorted(runs), Removed(messages, rows, removed, shared), len(found) - len(ended), notes)


def _run(record: Record) -> str:
    """The drill of an event, whose id is drill-RUN-NUMBER."""
    return str(record["id"]).removeprefix("drill-").partition("-")[0]
