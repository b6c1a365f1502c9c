"""The DLQ messages that a rehearsal runs: of events without a record, or without an archived text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.contract import Output
from rtp.ops.dlq import unrecorded
from rtp.ops.dlq.ending import most_counted
from rtp.ops.dlq.filters import Filters
from rtp.ops.work.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.aws import Aws
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.events.outcome import Record
    from rtp.ops.rehearse.selection import Request, Seen
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event to run. record: of it, or what its message says in place of one. text: of it; None: the archive has it.

    message_id: of the message without a record that it is from; empty for none.
    """

    record: Record
    text: str | None = None
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Events of DLQ messages. left: records for which there is no message either. more, unseen: as `Unrecorded`."""

    events: list[Candidate] = field(default_factory=list)
    left: list[Record] = field(default_factory=list)
    more: bool = False
    unseen: int = 0


def read(  # noqa: PLR0913 - the clock is for tests
    aws: Aws,
    outputs: Mapping[str, str],
    request: Request,
    seen: Seen,
    lost: Sequence[Record],
    *,
    most: int,
    stop: Stop,
    clock: Clock = SYSTEM,
) -> Candidates:
    """Read the DLQ if it may have such messages. lost: records whose text the archive has no longer."""
    by_key = {(str(record["id"]), int(record["timestamp"])): record for record in lost}
    missing = [event_id for event_id in dict.fromkeys(request.ids) if event_id not in seen.ids]
    is_full = request.ids and not missing  # every event that is asked for has a record
    may_have_others = not is_full and (request.ids or "dead" in (request.statuses or ("dead",)))
    if not (by_key or may_have_others):
        return Candidates(left=list(lost))
    above = seen.noted if may_have_others else 0
    depth = most_counted(aws, outputs[Output.DLQ_URL], above=above, stop=stop, clock=clock)
    has_others = may_have_others and depth > seen.noted
    if not depth or not (by_key or has_others):
        return Candidates(left=list(lost))
    filters = _filters(request, missing)

    def is_selected(message: DlqMessage) -> bool:
        if (message.id, message.timestamp) in by_key:
            return True
        is_in_time = request.since <= message.timestamp <= request.until
        if has_others and not message.runs and is_in_time and request.filters.group is not None:
            seen.note_group(message.group.id, request.filters.group)
        return bool(has_others) and not message.runs and is_in_time and filters.match(message)

    def is_enough(found: list[DlqMessage]) -> bool:
        return bool(by_key or missing) and not (has_others and not missing) and _has_all(found, by_key, missing)

    answer = unrecorded.read(
        aws,
        outputs,
        is_selected,
        most=most + len(by_key),
        limit=depth * 2 + 10,  # the count is approximate
        stop=stop,
        is_enough=is_enough,
    )
    events: list[Candidate] = []
    for message in answer.messages:
        record = by_key.pop((message.id, message.timestamp), None)
        if record is not None:
            events.append(Candidate(record, message.event))
        elif not message.runs:
            events.append(Candidate(_in_place_of_a_record(message), message.event, message.message_id))
    return Candidates(events, list(by_key.values()), answer.more, answer.unseen)


def _has_all(found: Sequence[DlqMessage], by_key: Mapping[tuple[str, int], Record], missing: Sequence[str]) -> bool:
    return {message.id for message in found} >= {*missing, *(event_id for event_id, _ in by_key)}


def _filters(request: Request, missing: Sequence[str]) -> Filters:
    return Filters(
        ids=tuple(missing),
        types=() if request.kind is None else (request.kind,),
        error=request.filters.error,
        group=request.filters.group,
        release=request.filters.release,
    )


def _in_place_of_a_record(message: DlqMessage) -> dict[str, Any]:
    cause = message.error
    error = {"type": cause.type, "message": cause.message, "at": cause.at, "signature": cause.stored}
    return {
        "id": message.id,
        "timestamp": message.timestamp,
        "type": message.type,
        "status": "dead",
        "error": error,
    }
