"""Find stored records, and read the values that S3 stores for them."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any

from rtp.aws import objects, records
from rtp.aws.records import StatusQuery
from rtp.contract import Output
from rtp.errors import NotFoundError, RtpError, UsageError
from rtp.ops.events.record_filters import RecordFilters
from rtp.ops.work import pool
from rtp.ops.work.background import Prefetch
from rtp.runtime import wire
from rtp.text import json_values, times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.ops.events.outcome import Record

STATUSES = wire.STATUSES
"""Every status of a record."""

_IN_S3 = ("data", "result")  # stored in S3, under the key in `<name>_key`, where they are too large for an item
_INTERNAL = ("status_shard", "lease")
_STREAMED = 100  # records of a page, of which a stream holds two a shard
_ALL = 10_000_000


@dataclass(frozen=True, slots=True)
class Records:
    """Stored records.

    records: newest first. more: whether the limit left out older ones.
    """

    records: list[dict[str, Any]]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """Which records to list. statuses: all where empty; kind: event type; since, until: epoch ms; filters: others."""

    statuses: tuple[str, ...] = ()
    kind: str | None = None
    since: int
    until: int
    limit: int
    filters: RecordFilters = field(default_factory=RecordFilters)


def find(aws: Aws, outputs: Mapping[str, str], query: RecordQuery, *, shards: int, contents: bool = True) -> Records:
    """Find the newest records that match. shards: of the status index; contents: read values from S3 too.

    Raises UsageError for an unknown status and for a time range that ends before it begins.
    """
    statuses, keep = _checked(query), _keep(aws, outputs, query)
    one_more = replace(query, limit=query.limit + 1)

    def read(status: str) -> list[Record]:
        return by_status(aws, outputs[Output.TABLE], status, one_more, shards=shards, keep=keep)

    found = pool.map(read, statuses, threads=len(statuses))
    # A record whose status changes meanwhile may be read under both statuses; the one read last is newer.
    by_key = {(str(r["id"]), int(r["timestamp"])): r for of_status in found for r in of_status}
    ordered = sorted(by_key.values(), key=_newest_first)
    newest, more = ordered[: query.limit], len(ordered) > query.limit
    return Records(whole(aws, outputs[Output.BUCKET], newest) if contents else [public(r) for r in newest], more)


def stream(
    aws: Aws, outputs: Mapping[str, str], query: RecordQuery, *, shards: int, contents: bool = True
) -> Iterator[Record]:
    """All records that match, whatever the query's limit, the newest first; two pages of each shard are in memory.

    As `find` otherwise.
    """
    statuses, keep = _checked(query), _keep(aws, outputs, query)
    aws.connect("dynamodb")
    ahead = [
        Prefetch(_pages(records.stream_by_status(aws, outputs[Output.TABLE], of_status, shard=shard)))
        for status in statuses
        for of_status in [StatusQuery(status, query.since, query.until, _ALL, query.kind, keep=keep, page=_STREAMED)]
        for shard in range(shards)
    ]
    try:
        merged_ = heapq.merge(*map(chain.from_iterable, ahead), key=lambda record: -int(record["timestamp"]))
        same_time = groupby(merged_, key=lambda record: int(record["timestamp"]))
        once = (r for _, same in same_time for r in {str(record["id"]): record for record in same}.values())
        for found in _pages(once):
            yield from whole(aws, outputs[Output.BUCKET], found) if contents else map(public, found)
    finally:
        for pages in ahead:
            pages.close()


def _pages(found: Iterator[Record]) -> Iterator[list[Record]]:
    while page := list(islice(found, _STREAMED)):
        yield page


def _checked(query: RecordQuery) -> tuple[str, ...]:
    """The statuses of a query. Raises UsageError."""
    for status in query.statuses:
        if status not in wire.STATUSES:
            raise UsageError(f"{status!r} is not a status.", hint=f"Use one of {', '.join(wire.STATUSES)}.")
    if query.until < query.since:
        raise times.backwards(query.since, query.until)
    return tuple(dict.fromkeys(query.statuses)) or wire.STATUSES


def _keep(aws: Aws, outputs: Mapping[str, str], query: RecordQuery) -> Callable[[Record], bool] | None:
    """The test of the filters that are applied here; None without one."""

    def matches(record: Record) -> bool:
        in_s3 = query.filters.needs_values and any(f"{name}_key" in record for name in _IN_S3)
        return query.filters.match(whole(aws, outputs[Output.BUCKET], [record])[0] if in_s3 else public(record))

    return None if query.filters.is_empty else matches


def by_status(
    aws: Aws,
    table: str,
    status: str,
    query: RecordQuery,
    *,
    shards: int,
    keep: Callable[[Record], bool] | None = None,
) -> list[Record]:
    """The newest records of one status, from all shards. Of the query, statuses and filters are not used.

    keep: whether a record counts.
    """
    of_status = StatusQuery(status, query.since, query.until, query.limit, type=query.kind, keep=keep)
    return merged(aws, table, of_status, shards=shards)


def merged(aws: Aws, table: str, query: StatusQuery, *, shards: int) -> list[Record]:
    """The first records of all shards, in the order of the query. No shard is read much further than that needs."""
    aws.connect("dynamodb")
    fair = query.limit // shards  # events are spread evenly, but for chance: few shards have so many more
    page = min(query.limit, fair + 3 * math.isqrt(fair) + 4)
    order = _oldest_first if query.oldest_first else _newest_first
    streams = [records.stream_by_status(aws, table, replace(query, page=page), shard=shard) for shard in range(shards)]
    lasts: dict[int, Record] = {}
    found: list[Record] = []
    rest = list(range(shards))
    while rest:
        read = list(pool.map(lambda shard: list(islice(streams[shard], page)), rest, threads=min(16, len(rest))))
        lasts |= {shard: some[-1] for shard, some in zip(rest, read, strict=True) if some}
        found = sorted([*found, *(record for some in read for record in some)], key=order)[: query.limit]
        rest = [shard for shard, some in zip(rest, read, strict=True) if len(some) == page]
        if len(found) == query.limit:
            rest = [shard for shard in rest if order(lasts[shard])[0] <= order(found[-1])[0]]
    return found


def _newest_first(record: Record) -> tuple[int, str]:
    return -int(record["timestamp"]), str(record["id"])


def _oldest_first(record: Record) -> tuple[int, str]:
    return int(record["timestamp"]), str(record["id"])


def whole(aws: Aws, bucket: str, items: Iterable[Record]) -> list[Record]:
    """The records with the values that S3 stores for their size, as if they were in the items."""
    rows = [public(item) for item in items]
    in_s3 = [(row, name) for row in rows for name in _IN_S3 if f"{name}_key" in row]
    if in_s3:
        aws.connect("s3")
        keys = [str(row[f"{name}_key"]) for row, name in in_s3]
        values = pool.map(lambda key: _value(aws, bucket, key), keys, threads=min(16, len(keys)))
        for (row, name), value in zip(in_s3, values, strict=True):
            row[name] = value
    return rows


def public(record: Record) -> Record:
    """A record without the attributes that only the index and the runtime use."""
    return {name: value for name, value in record.items() if name not in _INTERNAL}


def _value(aws: Aws, bucket: str, key: str) -> Any:
    try:
        return json_values.loads(objects.get(aws, bucket, key))
    except (NotFoundError, ValueError):
        return None  # the object was deleted, or replaced by other text; the record still has its key
    except RtpError as error:
        if error.code != "object-too-large":
            raise
        return None
