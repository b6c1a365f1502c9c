"""Which events a rehearsal runs: records, newest first, and the archived text of each."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any

from rtp.aws import records as stored
from rtp.aws.records import StatusQuery
from rtp.contract import Output
from rtp.errors import RtpError, UsageError
from rtp.ops import causes
from rtp.ops.dlq import notes
from rtp.ops.events import archive, records
from rtp.ops.events.record_filters import RecordFilters
from rtp.ops.work import pool
from rtp.runtime import jsontext, wire
from rtp.runtime.jsontext import JsonError
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.ops.events.outcome import Record

STATUSES = ("dead", "failed", "processed")
"""Statuses that a rehearsal can be compared with."""

_OBJECTS = 8  # of the archive that are kept; the events of one object are near each other in time
_LOCKS = 16
_FIRST = 50  # records of a shard that are read before the first event runs
_MOST = 2**53
_GROUPS = 1_000  # that are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which records' events to rehearse, the newest first.

    statuses: dead where empty, and with ids any. kind: event type. ids: of events. since, until: epoch ms.
    """

    statuses: tuple[str, ...] = ()
    kind: str | None = None
    ids: tuple[str, ...] = ()
    since: int = 0
    until: int = _MOST
    limit: int
    filters: RecordFilters = field(default_factory=RecordFilters)

    def check(self) -> None:
        """Raises UsageError for a status that no rehearsal can be compared with."""
        for status in self.statuses:
            if status not in STATUSES:
                raise UsageError(
                    f"A rehearsal cannot be compared with the status {status!r}.", hint=f"Use {', '.join(STATUSES)}."
                )


@dataclass(slots=True)
class Seen:
    """What was read.

    noted: DLQ messages that the records note. ids: of events with a record, where ids are asked for.
    retention_days: of the DLQ, after which a note is of a message that SQS has deleted. groups: failures of each, where
    one is asked for.
    """

    noted: int = 0
    ids: set[str] = field(default_factory=set)
    retention_days: int = 14
    groups: Counter[str] = field(default_factory=Counter)

    def note_group(self, group: str, part: str) -> None:
        """Count a failure. Raises NotFoundError where the beginning of an id that is asked for is of several groups."""
        if group in self.groups or group.startswith(part) or len(self.groups) < _GROUPS:
            self.groups[group] += 1
        if group.startswith(part) and len(same := [each for each in list(self.groups) if each.startswith(part)]) > 1:
            raise causes.ambiguous(part, same)


def selected(
    aws: Aws, outputs: Mapping[str, str], request: Request, *, shards: int, seen: Seen | None = None
) -> Iterator[Record]:
    """The records, with one more than the limit where there are others. No more than a page of each shard is held.

    Raises NotFoundError where the beginning of a group's id is of several.
    """
    table, seen = outputs[Output.TABLE], Seen() if seen is None else seen
    if request.ids:
        return _of_ids(aws, table, request, seen)

    def keep(record: Record) -> bool:
        seen.noted += notes.is_in_dlq(record, now=times.now_ms(), retention_days=seen.retention_days)
        return _is_of_project(record) and _is_in_group(record, request, seen) and request.filters.match(record)

    query = StatusQuery(
        "",
        request.since,
        request.until,
        request.limit + 1,
        request.kind,
        keep=keep,
        first=_FIRST,
    )
    streams = [
        stored.stream_by_status(aws, table, _of(query, status), shard=shard)
        for status in request.statuses or ("dead",)
        for shard in range(shards)
    ]
    return _merged(streams)


def _merged(streams: Sequence[Iterator[Record]]) -> Iterator[Record]:
    """The records of all streams, the newest first. The first pages of all are read side by side."""
    heads = list(pool.map(lambda stream: next(stream, None), streams, threads=len(streams)))
    begun = [chain((head,), stream) for head, stream in zip(heads, streams, strict=True) if head is not None]
    yield from heapq.merge(*begun, key=lambda record: -int(record["timestamp"]))


def _of_ids(aws: Aws, table: str, request: Request, seen: Seen) -> Iterator[Record]:
    for event_id in dict.fromkeys(request.ids):
        for record in stored.by_id(aws, table, event_id):
            seen.ids.add(event_id)
            if _is_of_project(record) and _is_in_group(record, request, seen) and _fits(record, request):
                yield record


def _of(query: StatusQuery, status: str) -> StatusQuery:
    return replace(query, status=status)


def _is_of_project(record: Record) -> bool:
    """Whether the project's code processes the event: those of drills have the faults of the runtime."""
    return record.get("type") != wire.DRILL


def _is_in_group(record: Record, request: Request, seen: Seen) -> bool:
    part = request.filters.group
    if part is None:
        return True
    if not causes.of(record.get("error")).text:
        return False
    group = causes.group_of(record)
    seen.note_group(group, part)
    return group.startswith(part)


def _fits(record: Record, request: Request) -> bool:
    return (
        (not request.statuses or record["status"] in request.statuses)
        and (request.kind is None or record.get("type") == request.kind)
        and request.since <= int(record["timestamp"]) <= request.until
        and request.filters.match(record)
    )


def doubt(record: Record, now: int) -> str:
    """Why a record says nothing to compare with; empty where it does. now: epoch ms."""
    if record.get("type") == wire.DRILL:
        return "events of a drill"
    # The last attempt of an event is claimed as dead, so that it is that if it does not finish.
    if record.get("status") not in STATUSES or int(record.get("lease_until", 0)) > now:
        return "being processed now"
    return ""


class Texts:
    """The texts of events. Several threads may use it."""

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._aws, self._bucket = aws, bucket
        self._object = lru_cache(maxsize=_OBJECTS)(self._read)
        self._locks = [Lock() for _ in range(_LOCKS)]

    def of(self, record: Record) -> str | None:
        """The text as it was received; where the archive has it no longer, one of the record's type and data.

        None where neither is there.
        """
        raw_key = str(record.get("raw_key", ""))
        archived = self._archived(raw_key.rpartition("#")[0]).get(raw_key) if "#" in raw_key else None
        return archived if archived is not None else self._rebuilt(record)

    def result(self, record: Record) -> Any:
        """The stored result of a processed event; `LOST` where the object that has it was deleted."""
        if "result_key" not in record:
            return record.get("result")
        value = records.whole(self._aws, self._bucket, [_only(record, "result_key")])[0].get("result")
        return LOST if value is None else value

    def _archived(self, key: str) -> dict[str, str]:
        """The texts of an object: threads that need the same one at the same time read it once."""
        with self._locks[hash(key) % _LOCKS]:
            return self._object(key)

    def _read(self, key: str) -> dict[str, str]:
        try:
            return {event.key: event.body for event in archive.read(self._aws, self._bucket, key)}
        except RtpError as error:
            if error.code == "no-object":
                return {}
            raise

    def _rebuilt(self, record: Record) -> str | None:
        data = record.get("data")
        if "data_key" in record:
            data = records.whole(self._aws, self._bucket, [_only(record, "data_key")])[0].get("data")
        if data is None:
            return None
        event = {"id": record["id"], "timestamp": record["timestamp"], "type": record.get("type", ""), "data": data}
        try:
            return jsontext.dumps(jsontext.exact(event))
        except JsonError:
            return None


def _only(record: Record, name: str) -> Record:
    return {name: record[name]}


class _Lost:
    """No value: what held it was deleted."""


LOST = _Lost()
