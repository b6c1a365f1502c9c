"""Find the event that a part of an id stands for: among the ids that were shown, and in the records of a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import records as stored
from rtp.contract import Output
from rtp.ops.events import records
from rtp.ops.events.record_filters import RecordFilters
from rtp.ops.events.records import RecordQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rtp.aws import Aws

WINDOW_MS = 86_400_000
MOST = 10  # candidates that are listed; more need a longer part


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event whose id begins or ends with the part. at: its timestamp, epoch ms."""

    id: str
    at: int
    status: str
    type: str


def find(
    aws: Aws, outputs: Mapping[str, str], part: str, *, shown: Iterable[str], shards: int, now: int
) -> list[Candidate]:
    """The events that a part may stand for, the newest first; where one has it as its whole id, that one alone.

    shown: ids that were shown and that the part fits.
    """
    table = outputs[Output.TABLE]
    exact = stored.by_id(aws, table, part)
    if exact:
        return [_candidate(exact[-1])]
    query = RecordQuery(since=now - WINDOW_MS, until=now + 60_000, limit=MOST + 1, filters=RecordFilters(id_part=part))
    found = {str(r["id"]): r for r in records.find(aws, outputs, query, shards=shards, contents=False).records}
    for event_id in [each for each in dict.fromkeys(shown) if each not in found][: MOST + 1]:
        of_id = stored.by_id(aws, table, event_id)
        found[event_id] = of_id[-1] if of_id else {"id": event_id, "timestamp": 0, "status": "no record"}
    return sorted(map(_candidate, found.values()), key=lambda candidate: (-candidate.at, candidate.id))


def _candidate(record: Mapping[str, Any]) -> Candidate:
    return Candidate(str(record["id"]), int(record["timestamp"]), str(record["status"]), str(record.get("type", "")))
