"""Run archived events again: first say which, then queue them; the run's name makes each run once and not more."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from rtp.aws import queues, records
from rtp.contract import Output
from rtp.errors import NotFoundError, UsageError
from rtp.ops.events import archive
from rtp.ops.events.identity import trace_header, trace_id
from rtp.ops.work import pool
from rtp.runtime import wire
from rtp.runtime.event import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rtp.aws import Aws
    from rtp.ops.events.archive import RawEvent
    from rtp.ops.work.pool import Stop

MISSING = "missing"  # the status of an event that was archived and has no record
_CONCURRENCY = 4
_LOOKUP = 500  # records asked for at once
_ARRIVES_MS = 3_600_000  # an event with a UUIDv7 was archived within so long of its making, or --since says when


@dataclass(frozen=True, slots=True)
class Planned:
    """An event that is to run again. status: of its record now."""

    id: str
    timestamp: int
    type: str
    status: str
    raw_key: str

    @property
    def identity(self) -> Identity:
        """(id, timestamp)."""
        return Identity(self.id, self.timestamp)


@dataclass(slots=True)
class Replay:
    """`replay --json`, filled as it goes."""

    run: str | None
    dry_run: bool
    events: list[Planned]
    replayed: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Replayed:
    """An event that was queued again, or why not."""

    event: Planned
    error: str = ""


def plan(
    aws: Aws,
    outputs: dict[str, str],
    *,
    ids: tuple[str, ...],
    types: tuple[str, ...],
    statuses: tuple[str, ...],
    since: int | None,
    until: int,
    notify: Callable[[int], None] = lambda _: None,
) -> list[Planned]:
    """The archived events that are meant, each once however often it was delivered, in the order they came.

    since and until: when they were archived, epoch ms. Raises NotFoundError for an id that is not in the archive.
    """
    for status in statuses:
        if status not in (*wire.STATUSES, MISSING):
            raise UsageError(f"{status!r} is not a status.", hint=f"One of {', '.join((*wire.STATUSES, MISSING))}.")
    found: dict[Identity, RawEvent] = {}
    for event in _named(aws, outputs, ids, since, until) if ids else _all(aws, outputs, since or 0, until):
        if not types or event.type in types:
            found[event.identity] = event  # the last delivery counts: its text may have been fixed
            if len(found) % _LOOKUP == 0:
                notify(len(found))
    status_of = _statuses(aws, outputs[Output.TABLE], list(found))
    planned = (Planned(e.id, e.timestamp, e.type, status_of.get(e.identity, MISSING), e.key) for e in found.values())
    return [p for p in planned if not statuses or p.status in statuses]


def run_name() -> str:
    """A name for a new run."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-replay-{secrets.token_hex(3)}"


def replay(
    aws: Aws, outputs: dict[str, str], planned: list[Planned], *, run: str, rate: float | None, stop: Stop
) -> Iterator[Replayed]:
    """Queue the events again."""
    size = queues.BATCH if rate is None else max(1, min(queues.BATCH, int(rate)))

    def send(batch: list[tuple[Planned, str]]) -> list[Replayed]:
        messages = [_message(event, body, run) for event, body in batch]
        receipts = queues.send(aws, outputs[Output.QUEUE_URL], messages)
        return [Replayed(event, receipt.error) for (event, _), receipt in zip(batch, receipts, strict=True)]

    return pool.each(
        _batches(_bodies(aws, outputs[Output.BUCKET], planned), size),
        send,
        threads=_CONCURRENCY,
        stop=stop,
        abandon=lambda batch: [Replayed(event, "interrupted; it may have been queued") for event, _ in batch],
        rate=rate,
        weigh=len,
    )


def _message(event: Planned, body: str, run: str) -> queues.Outgoing:
    attributes = {
        wire.SOURCE: "replay",
        wire.REPLAY: run,
        wire.REQUEST_ID: event.id,
        wire.REQUEST_TIME: str(event.timestamp),
    }
    return queues.Outgoing(body, {k: queues.attribute(v) for k, v in attributes.items()}, trace_header(trace_id()))


def _bodies(aws: Aws, bucket: str, planned: list[Planned]) -> Iterator[tuple[Planned, str]]:
    """The events with their texts, each object read once."""

    def object_of(event: Planned) -> str:
        return event.raw_key.rpartition("#")[0]

    for key, events in groupby(planned, object_of):
        bodies = {raw.key: raw.body for raw in archive.read(aws, bucket, key)}
        for event in events:
            yield event, bodies[event.raw_key]


def _batches(pairs: Iterable[tuple[Planned, str]], size: int) -> Iterator[list[tuple[Planned, str]]]:
    batch: list[tuple[Planned, str]] = []
    for pair in pairs:
        batch.append(pair)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _all(aws: Aws, outputs: dict[str, str], since: int, until: int) -> Iterator[RawEvent]:
    return archive.between(aws, outputs[Output.BUCKET], since, until)


def _named(
    aws: Aws, outputs: dict[str, str], ids: tuple[str, ...], since: int | None, until: int
) -> Iterator[RawEvent]:
    """Events by id: where their records say, or, without a record, by a search of the time they must have come in."""
    bucket = outputs[Output.BUCKET]
    for event_id in ids:
        found = [r for r in records.by_id(aws, outputs[Output.TABLE], event_id) if r.get("raw_key")]
        raw = [archive.at(aws, bucket, str(r["raw_key"])) for r in found]
        events = [event for event in raw if event is not None]
        if not events:
            events = list(_searched(aws, bucket, event_id, since, until))
        if not events:
            raise NotFoundError(
                f"{event_id} is not in the archive of raw events.",
                hint="It is kept for some days only; --since and --until name another time to search.",
                code="not-archived",
            )
        yield from events


def _searched(aws: Aws, bucket: str, event_id: str, since: int | None, until: int) -> Iterator[RawEvent]:
    made = wire.uuid7_timestamp(event_id)
    if since is None and made is not None:
        since, until = made - _ARRIVES_MS, min(until, made + _ARRIVES_MS)
    if since is not None:
        yield from (e for e in archive.between(aws, bucket, since, until) if e.id == event_id)


def _statuses(aws: Aws, table: str, identities: list[Identity]) -> dict[Identity, str]:
    found: dict[Identity, str] = {}
    for start in range(0, len(identities), _LOOKUP):
        for record in records.by_keys(aws, table, identities[start : start + _LOOKUP]):
            found[Identity(str(record["id"]), int(record["timestamp"]))] = str(record["status"])
    return found
