"""Stored records: the newest of them, and what one holds whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import objects, records
from rtp.contract import Output
from rtp.errors import NotFoundError, UsageError
from rtp.ops.work import pool
from rtp.runtime import wire
from rtp.text import json_values, times

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.aws import Aws

_SPILLED = ("data", "result")  # kept in S3 under `<name>_key` where an item cannot hold them
_INNER = ("status_shard", "lease")  # the index's and the runtime's own; they say nothing of the event


@dataclass(frozen=True, slots=True)
class Records:
    """Stored records.

    records: newest first. more: whether the limit left out older ones.
    """

    records: list[dict[str, Any]]
    more: bool


def find(
    aws: Aws,
    outputs: dict[str, str],
    *,
    shards: int,
    statuses: tuple[str, ...],
    kind: str | None,
    since: int,
    until: int,
    limit: int,
    contents: bool = True,
) -> Records:
    """The newest `limit` records of these statuses (all where empty) and this type, between two times in epoch ms.

    contents: fetch what is kept in S3 for its size.
    """
    for status in statuses:
        if status not in wire.STATUSES:
            raise UsageError(f"{status!r} is not a status.", hint=f"One of {', '.join(wire.STATUSES)}.")
    if until < since:
        raise times.backwards(since, until)
    wanted = tuple(dict.fromkeys(statuses)) or wire.STATUSES

    def of(status: str) -> list[dict[str, Any]]:
        return by_status(
            aws, outputs[Output.TABLE], status, shards=shards, since=since, until=until, limit=limit + 1, kind=kind
        )

    found = pool.map(of, wanted, threads=len(wanted))
    # A record that changes its status meanwhile may be met under both; the later state is read last.
    rows = {(str(r["id"]), int(r["timestamp"])): r for rows in found for r in rows}
    ordered = sorted(rows.values(), key=lambda r: (-int(r["timestamp"]), str(r["id"])))
    newest, more = ordered[:limit], len(ordered) > limit
    return Records(whole(aws, outputs[Output.BUCKET], newest) if contents else [outer(r) for r in newest], more)


def by_status(  # one parameter for each condition of the query
    aws: Aws, table: str, status: str, *, shards: int, since: int, until: int, limit: int, kind: str | None = None
) -> list[dict[str, Any]]:
    """The newest `limit` records of a status and type between two times (epoch ms), newest first, of all shards."""

    def read(shard: int) -> list[dict[str, Any]]:
        return records.by_status(aws, table, status, shard=shard, since=since, until=until, limit=limit, kind=kind)

    aws.connect("dynamodb")
    rows = [row for rows in pool.map(read, range(shards), threads=min(16, shards)) for row in rows]
    rows.sort(key=lambda r: (-int(r["timestamp"]), str(r["id"])))
    return rows[:limit]


def whole(aws: Aws, bucket: str, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records with the values that are kept in S3 for their size, as if they stood in the record."""
    rows = [outer(r) for r in found]
    missing = [(row, name) for row in rows for name in _SPILLED if f"{name}_key" in row]
    if missing:
        aws.connect("s3")
        keys = [str(row[f"{name}_key"]) for row, name in missing]
        values = pool.map(lambda key: _value(aws, bucket, key), keys, threads=min(16, len(keys)))
        for (row, name), value in zip(missing, values, strict=True):
            row[name] = value
    return rows


def outer(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what is nobody's business but the runtime's."""
    return {name: value for name, value in record.items() if name not in _INNER}


def _value(aws: Aws, bucket: str, key: str) -> Any:
    try:
        return json_values.loads(objects.get(aws, bucket, key))
    except NotFoundError:
        return None  # somebody deleted it; the pointer in the record says where it was
