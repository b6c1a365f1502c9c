"""Remove what a drill left: messages of the dead-letter queue, records, and objects that hold nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rtp.aws import objects, records
from rtp.contract import Output
from rtp.errors import RtpError
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.purge import PurgeRequest, purge
from rtp.ops.drill.report import Removed
from rtp.ops.events import archive, outcome
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import every
from rtp.ops.work.steps import drained
from rtp.runtime import wire
from rtp.text import regexes, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from rtp.ops.dlq.target import Target
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop
    from rtp.runtime.event import Identity

_MOVE_S, _PAUSE_S = 60.0, 1.0  # how long SQS may take to move a dead event's message
_THREADS = 8
_MOST_OBJECTS = 5_000  # that are read
_CLOCK_S = 600  # by which this machine's clock may differ from S3's


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a run left. identities: events whose records are to go; the time is that of the run, epoch ms.

    dead: events whose messages are in the dead-letter queue, or about to be moved there.
    """

    run: str
    identities: Sequence[Identity]
    dead: int
    since_ms: int
    until_ms: int


def remove(
    target: Target, left: Left, *, stop: Stop, notify: Callable[[str], None], clock: Clock = SYSTEM
) -> tuple[Removed, list[str]]:
    """Remove what a run left. Returns how much, and a note for each part that failed."""
    dead, identities = left.dead, left.identities
    notes: list[str] = []

    def part(what: str, function: Callable[[], tuple[int, int]]) -> tuple[int, int]:
        try:
            return function()
        except RtpError as error:
            notes.append(f"{what} could not be removed: {error.message}")
            return 0, 0

    found = part("messages in the DLQ", lambda: (_messages(target, left, stop, notify, clock), 0))[0] if dead else 0
    if found < dead and not notes:
        look = suggest.command("rtp", "dlq", "inspect", type=wire.DRILL)
        notes.append(f"{dead - found:,} messages were not found in the DLQ" + suggest.sentence("; see {}", look))
    rows = part("records", lambda: (_records(target, identities), 0))[0]
    deleted, shared = part("objects", lambda: _objects(target, left, notes))
    if rows:
        rows -= part("records that late copies wrote again", lambda: (_again(target, identities), 0))[0]
    return Removed(found, rows, deleted, shared), notes


def _messages(target: Target, left: Left, stop: Stop, notify: Callable[[str], None], clock: Clock) -> int:
    """Delete the run's messages until there were as many as dead events; SQS moves them a moment after the attempt."""
    grep = regexes.compiled(f'"run": ?"{left.run}"', option="run")
    filters = Filters(types=(wire.DRILL,), grep=grep, attribute=wire.DRILL_RUN)
    deleted = 0
    for _ in every(_PAUSE_S, timeout_s=_MOVE_S, stop=stop, clock=clock):
        deleted += drained(purge(target, PurgeRequest(filters=filters), stop=stop, notify=notify, clock=clock)).deleted
        if deleted >= left.dead:
            break
    return deleted


def _records(target: Target, identities: Sequence[Identity]) -> int:
    """Delete records, and then those that a late copy of a message wrote again. Returns how many are gone.

    A deletion is not believed: repeated after its answer was lost, it says that there was no record.
    """
    aws, table = target.aws, target.table
    left: Sequence[tuple[str, int]] = identities

    def delete(key: tuple[str, int]) -> bool:
        return records.delete(aws, table, key, event_type=wire.DRILL)

    for _ in range(2):
        list(pool.map(delete, left, threads=_THREADS))
        left = [(str(r["id"]), int(r["timestamp"])) for r in records.by_keys(aws, table, left)]
        if not left:
            break
    return len(identities) - len(left)


def _again(target: Target, identities: Sequence[Identity]) -> int:
    """Delete what late copies of messages wrote while the objects were removed. Returns how many records stay."""
    found = [outcome.identity(r) for r in records.by_keys(target.aws, target.table, identities)]
    return len(found) - _records(target, found) if found else 0


def _objects(target: Target, left: Left, notes: list[str]) -> tuple[int, int]:
    """Delete the objects of these events. Returns how many, and how many hold other events too."""
    aws, bucket, own = target.aws, target.outputs[Output.BUCKET], frozenset(left.identities)
    since = datetime.fromtimestamp(left.since_ms / 1000 - _CLOCK_S, UTC)
    keys: list[str] = []
    for prefix in _prefixes(left.since_ms, left.until_ms):
        keys += objects.written(aws, bucket, prefix, since=since)
    if len(keys) > _MOST_OBJECTS:
        notes.append(f"of {len(keys):,} objects written meanwhile the last {_MOST_OBJECTS:,} were looked at")
        keys = keys[-_MOST_OBJECTS:]
    whole, shared = [], 0
    for key, share in zip(
        keys, pool.map(lambda key: _share(target, bucket, key, own), keys, threads=_THREADS), strict=True
    ):
        if share == 1:
            whole.append(key)
        elif share:
            shared += 1
    refused = objects.delete(aws, bucket, whole)
    if refused:
        notes.append(f"{len(refused):,} objects could not be removed; the first: {refused[0]}")
    return len(whole) - len(refused), shared


def _share(target: Target, bucket: str, key: str, own: Collection[Identity]) -> float:
    """The share of an object's lines that are of these events; 0 for one that cannot be read.

    A line is of an event with its id and timestamp: a client may use the id alone, for events of its own.
    """
    try:
        values = [json.loads(line) for line in archive.lines(target.aws, bucket, key)]
        found = [(value.get("id"), value.get("timestamp")) in own for value in values]
    except (ValueError, AttributeError, TypeError, RecursionError, RtpError):
        return 0
    return sum(found) / len(found) if found else 0


def _prefixes(since_ms: int, until_ms: int) -> Iterator[str]:
    """The folders of the archive for each hour of a drill, and one hour around it for a clock that differs."""
    hour = datetime.fromtimestamp(since_ms / 1000 - _CLOCK_S, UTC)
    last = datetime.fromtimestamp(until_ms / 1000 + _CLOCK_S, UTC)
    while f"{hour:%Y%m%d%H}" <= f"{last:%Y%m%d%H}":
        for prefix in (wire.RAW_PREFIX, wire.PROCESSED_PREFIX):
            yield f"{prefix}{hour:%Y/%m/%d/%H}/"
        hour += timedelta(hours=1)
