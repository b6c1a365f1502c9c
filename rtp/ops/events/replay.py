"""Replay: queue archived events again. Each message names the run, so that an event is processed once per replay."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING, NamedTuple

from rtp.aws import queues, records
from rtp.contract import Output
from rtp.errors import AwsError, NotFoundError, UsageError
from rtp.ops import causes, releases, run_marks
from rtp.ops.events import archive
from rtp.ops.events.identity import trace_header, trace_id
from rtp.ops.events.planned import Planned
from rtp.ops.work import pool
from rtp.runtime import wire
from rtp.runtime.event import Identity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.ops.events.archive import RawEvent
    from rtp.ops.events.replay_journal import ReplayJournal
    from rtp.ops.work.pool import Stop

MISSING = "missing"  # the status of an archived event without a record
_FAILED = ("failed", "dead")
_CONCURRENCY = 4
_AHEAD = 8  # archived objects read in advance
_LOOKUP = 500  # events found between two steps
_ARRIVES_MS = 3_600_000  # an event with a UUIDv7 is searched in the archive within this time of its id's own


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """Which archived events to replay; an empty tuple does not restrict.

    statuses: of their records now, or `missing`. since, until: when they were archived, epoch ms.
    release: of the records' last attempts, its hash or the beginning.
    """

    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    release: str | None = None
    since: int | None = None
    until: int


@dataclass(frozen=True, slots=True)
class Found:
    """Step: the number of matching events found in the archive so far."""

    count: int


@dataclass(frozen=True, slots=True)
class Queued:
    """Step: the number of events queued so far."""

    count: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that was not queued.

    error: why.
    """

    id: str
    error: str


@dataclass(frozen=True, slots=True)
class Replay:
    """Archived events that were queued again.

    run: its name; null for a dry run. dry_run: whether nothing was queued. events: those that match the filters.
    replayed: how many of them were queued. failed: those that could not be queued.
    stopped_by: the operator who asked this run to stop, as user@host; empty where nobody did.
    """

    run: str | None
    dry_run: bool
    events: list[Planned]
    replayed: int = 0
    failed: list[Failure] = field(default_factory=list)
    stopped_by: str = ""


def plan(aws: Aws, outputs: Mapping[str, str], request: ReplayRequest) -> Generator[Found, None, list[Planned]]:
    """Select events from the archive, each once however often it was delivered, in order of arrival.

    Raises UsageError for an unknown status, NotFoundError for an id that is not in the archive.
    """
    for status in request.statuses:
        if status not in (*wire.STATUSES, MISSING):
            raise UsageError(f"{status!r} is not a status.", hint=f"Use one of {', '.join((*wire.STATUSES, MISSING))}.")
    archived = _by_id(aws, outputs, request) if request.ids else _between(aws, outputs, request)
    deliveries: dict[Identity, tuple[_Delivery, ...]] = {}
    for event in archived:
        if event.type == wire.DRILL:  # only a drill may send it
            continue
        others = [other for other in deliveries.get(event.identity, ()) if other.digest != event.digest]
        deliveries[event.identity] = (*others, _delivery(event))
        if len(deliveries) % _LOOKUP == 0:
            yield Found(len(deliveries))
    planned = []
    for identities, record_of in _records(aws, outputs[Output.TABLE], list(deliveries)):
        for identity in identities:
            record, texts = record_of.get(identity), deliveries.pop(identity)
            if releases.matches(record.release if record else None, request.release):
                e = _selected(texts, record)
                status, group = (record.status, record.group) if record else (MISSING, "")
                planned.append(Planned(identity.id, identity.timestamp, e.type, status, e.key, group))
    return [
        event
        for event in planned
        if (not request.types or event.type in request.types)
        and (not request.statuses or event.status in request.statuses)
    ]


def replay(
    aws: Aws, outputs: Mapping[str, str], journal: ReplayJournal, *, rate: float | None, stop: Stop
) -> Generator[Queued, None, Replay]:
    """Queue the events of a journal. rate: events per second. Returns the result, also of a run that `stop` ended.

    Repeated with the rest of the same journal, it queues each event once, but for those of a batch that a kill cut off:
    their second message finds the event processed by this replay.
    """
    run, planned = journal.run, journal.planned
    size = queues.BATCH if rate is None else max(1, min(queues.BATCH, int(rate)))

    def send(batch: list[tuple[Planned, str]]) -> list[tuple[Planned, str]]:
        messages = [_message(event, body, run) for event, body in batch]
        receipts = queues.send(aws, outputs[Output.QUEUE_URL], messages)
        journal.queued(event for (event, _), receipt in zip(batch, receipts, strict=True) if not receipt.error)
        return [(event, receipt.error) for (event, _), receipt in zip(batch, receipts, strict=True)]

    results = pool.each(
        _batches(_bodies(aws, outputs[Output.BUCKET], planned), size),
        send,
        threads=_CONCURRENCY,
        stop=stop,
        abandon=lambda batch, error: [(event, _unanswered(error)) for event, _ in batch],
        rate=rate,
        weigh=len,
    )
    replayed, failed = 0, list[Failure]()
    with run_marks.beating(journal.store, journal.position, stop) as beat:
        for event, error in results:
            if error:
                failed.append(Failure(event.id, error))
            else:
                replayed += 1
            yield Queued(replayed)
    is_complete = replayed + len(failed) == len(planned) and not stop.abort.is_set()
    if is_complete:
        journal.ended()
    by = "" if is_complete or beat.stopped_by is None else beat.stopped_by.label
    journal.left("ended" if is_complete else "stopped" if by else "interrupted", len(failed), by)
    return Replay(run, False, planned, replayed, failed, by)


def _unanswered(error: BaseException | None) -> str:
    if isinstance(error, AwsError) and not error.passes:
        return error.message
    return f"{error or 'interrupted'}; it may have been queued"


def _message(event: Planned, body: str, run: str) -> queues.Outgoing:
    attributes = {
        wire.SOURCE: "replay",
        wire.REPLAY: run,
        wire.REQUEST_ID: event.id,
        wire.REQUEST_TIME: str(event.timestamp),
    }
    return queues.Outgoing(body, {k: queues.attribute(v) for k, v in attributes.items()}, trace_header(trace_id()))


def _bodies(aws: Aws, bucket: str, planned: list[Planned]) -> Iterator[tuple[Planned, str]]:
    """The events with their texts, in order. Each archived object is read once, some of them in advance."""

    def object_key(event: Planned) -> str:
        return event.raw_key.rpartition("#")[0]

    def read(of_object: tuple[str, list[Planned]]) -> list[tuple[Planned, str]]:
        key, events = of_object
        bodies = {raw.key: raw.body for raw in archive.read(aws, bucket, key)}
        return [(event, bodies[event.raw_key]) for event in events]

    by_object = ((key, list(events)) for key, events in groupby(planned, object_key))
    for pairs in pool.map(read, by_object, threads=_AHEAD, ahead=_AHEAD):
        yield from pairs


def _batches(pairs: Iterator[tuple[Planned, str]], size: int) -> Iterator[list[tuple[Planned, str]]]:
    while batch := list(islice(pairs, size)):
        yield batch


def _between(aws: Aws, outputs: Mapping[str, str], request: ReplayRequest) -> Iterator[RawEvent]:
    return archive.between(aws, outputs[Output.BUCKET], request.since or 0, request.until)


def _by_id(aws: Aws, outputs: Mapping[str, str], request: ReplayRequest) -> Iterator[RawEvent]:
    """Events by id: where their records point to; without a record, by a search of the archive."""
    bucket = outputs[Output.BUCKET]
    for event_id in request.ids:
        keys = [r["raw_key"] for r in records.by_id(aws, outputs[Output.TABLE], event_id) if r.get("raw_key")]
        deliveries = [archive.at(aws, bucket, str(key)) for key in keys]
        events = [event for event in deliveries if event is not None]
        if not events:
            events = list(_searched(aws, bucket, event_id, request))
        if not events:
            raise NotFoundError(
                f"{event_id} is not in the archive of raw events.",
                hint="The archive keeps events for some days only. --since and --until select where to search.",
                code="not-archived",
            )
        yield from events


def _searched(aws: Aws, bucket: str, event_id: str, request: ReplayRequest) -> Iterator[RawEvent]:
    since, until = request.since, request.until
    created = wire.uuid7_timestamp(event_id)
    if since is None and created is not None:
        since, until = created - _ARRIVES_MS, min(until, created + _ARRIVES_MS)
    if since is not None:
        yield from (event for event in archive.between(aws, bucket, since, until) if event.id == event_id)


class _Facts(NamedTuple):
    """What decides about an event, of its record. group: of the cause that it failed of; empty where it did not."""

    status: str
    digest: str
    release: str
    group: str


class _Delivery(NamedTuple):
    """An archived delivery without its text."""

    digest: str
    type: str
    received_at: int
    key: str


def _delivery(event: RawEvent) -> _Delivery:
    return _Delivery(event.digest, sys.intern(event.type), event.received_at, event.key)


def _selected(texts: Sequence[_Delivery], record: _Facts | None) -> _Delivery:
    """Of the archived texts with one identity: the one that the record is of, else the one that arrived last."""
    of_record = next((one for one in texts if record is not None and one.digest == record.digest), None)
    return of_record or max(texts, key=lambda one: one.received_at)


def _records(
    aws: Aws, table: str, identities: list[Identity]
) -> Iterator[tuple[list[Identity], dict[Identity, _Facts]]]:
    """The facts of the events' records, a lookup after the other, with the identities that it is of."""

    def read(some: list[Identity]) -> tuple[list[Identity], dict[Identity, _Facts]]:
        facts: dict[Identity, _Facts] = {}
        for record in records.by_keys(aws, table, some):
            identity = Identity(str(record["id"]), int(record["timestamp"]))
            status, digest = sys.intern(str(record.get("status", ""))), str(record.get("digest", ""))
            group = sys.intern(causes.group_of(record)) if status in _FAILED else ""
            facts[identity] = _Facts(status, digest, releases.of(record), group)
        return some, facts

    parts = (identities[start : start + records.BATCH] for start in range(0, len(identities), records.BATCH))
    return pool.map(read, parts, threads=_AHEAD, ahead=_AHEAD)
