"""The failures that records have: of dead events, and of those that wait for another attempt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rtp.ops import causes, releases
from rtp.ops.dlq import notes
from rtp.ops.events import records
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws import Aws
    from rtp.ops.causes import Cause
    from rtp.runtime.groups import Group

LOGGED = "logged"
MOST = 1_000  # records of each status that are read, the newest first
WINDOW_MS = 14 * 86_400_000  # as long as the DLQ keeps a message at most


@dataclass(frozen=True, slots=True)
class Failure:
    """An event whose last attempt failed.

    kind: its type. status: of its record, or `logged` for an error that only the logs have; its id is then empty where
    the line names no event. first, last: when its first and its last failed attempt ended, epoch ms. releases: of its
    failed attempts, oldest first. requests: ids of the invocations that attempted it.
    """

    id: str
    timestamp: int
    kind: str
    status: str
    cause: Cause
    first: int
    last: int
    releases: tuple[str, ...]
    requests: frozenset[str] = frozenset()

    @property
    def group(self) -> Group:
        """The failures of the same cause."""
        return causes.group(self.kind, self.cause)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read. failures: the newest event first. more: whether there are others that were not read.

    noted: messages in the DLQ that the dead records note.
    """

    failures: list[Failure]
    more: bool
    noted: int = 0


def read(aws: Aws, table: str, *, shards: int, now: int, most: int = MOST, retention_days: int = 14) -> Read:
    """Read the newest failures of the last 14 days. Raises AwsError where the table cannot be read.

    retention_days: of the DLQ, after which a note is of a message that SQS has deleted.
    """
    query = records.RecordQuery(since=now - WINDOW_MS, until=now + 60_000, limit=most + 1)

    def of_status(status: str) -> list[dict[str, Any]]:
        return records.by_status(aws, table, status, replace(query), shards=shards)

    of_statuses = pool.map(of_status, ("dead", "failed"), threads=2)
    found: list[Failure] = []
    more, noted = False, 0
    for status, rows in zip(("dead", "failed"), of_statuses, strict=True):
        more = more or len(rows) > most
        noted += sum(notes.is_in_dlq(row, now=now, retention_days=retention_days) for row in rows)
        found += [failure for row in rows[:most] if (failure := of_record(row, status)) is not None]
    return Read(sorted(found, key=lambda f: f.timestamp, reverse=True), more, noted)


def of_record(record: Mapping[str, Any], status: str) -> Failure | None:
    """The failure that a record has; None where it has none, such as of an event that is being redriven."""
    cause = causes.of(record.get("error"))
    if not cause.text:
        return None
    timestamp = int(record["timestamp"])
    last = int(record.get("attempted_at") or record.get("accepted_at") or timestamp)
    attempts = record.get("attempts")
    failed = [a for a in attempts if isinstance(a, dict) and a.get("error")] if isinstance(attempts, list) else []
    # An event that failed of something else before begins with the first attempt that failed of this.
    same = [a for a in failed if str(a["error"].get("type", "")) == cause.type] or failed
    firsts = [int(a["at"]) for a in same if isinstance(a.get("at"), int)]
    ran = [str(a.get("release") or "") for a in same] or [releases.of(record)]
    invocations = [record, *(a for a in (attempts if isinstance(attempts, list) else ()) if isinstance(a, dict))]
    return Failure(
        id=str(record["id"]),
        timestamp=timestamp,
        kind=str(record.get("type", "")),
        status=status,
        cause=cause,
        first=min([*firsts, last]),
        last=last,
        releases=tuple(dict.fromkeys(release for release in ran if release)),
        requests=frozenset(str(each["request_id"]) for each in invocations if each.get("request_id")),
    )
