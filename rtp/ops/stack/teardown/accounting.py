"""What became of the events that were received during a drain, as the services report it.

The API's access log says how many requests were accepted, the archive of raw events which events the functions
received, the table whether each has its record, and the dead-letter queue which have none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rtp.aws import logs, queues, records
from rtp.contract import Output
from rtp.errors import RtpError
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq import peek
from rtp.ops.dlq.ending import BRIEF
from rtp.ops.events import archive
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.pool import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rtp.aws import Aws
    from rtp.ops.work.clock import Clock
    from rtp.runtime.event import Identity

FINISHED = ("processed", "dead")
_ACCEPTED = '{ $.status = "2*" }'
_MAX_DEAD = 1_000  # messages of the dead-letter queue that are read


@dataclass(slots=True)
class Account:
    """What became of the events. received: distinct events; unfinished, missing: ids without an end, without a record.

    dlq_new: how many more messages the dead-letter queue holds than before. None where a service did not
    answer; unchecked: what could not be checked, and why.
    """

    accepted: int | None = None
    received: int | None = None
    by_status: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    dlq: int | None = None
    dlq_new: int | None = None
    unchecked: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dead:
    """The dead-letter queue at one moment. depth: None where it could not be read.

    unrecorded: event ids by message id, of messages without a record; None where not all could be read: `why`.
    """

    depth: int | None = None
    unrecorded: dict[str, str] | None = None
    why: str = ""


def dead(aws: Aws, outputs: Mapping[str, str], clock: Clock = SYSTEM) -> Dead:
    """Read the dead-letter queue without removing messages. Raises AwsError."""
    url, table = outputs[Output.DLQ_URL], outputs[Output.TABLE]
    depth = queues.depth(aws, url).total
    if not depth:
        return Dead(0, {})
    if depth > _MAX_DEAD:
        return Dead(depth, why=f"it holds more than {_MAX_DEAD:,} messages")
    peeked = peek.peek(aws, url, limit=depth * 2 + 10, stop=Stop(), patience=replace(BRIEF, clock=clock), keep=True)
    if peeked.unseen:
        return Dead(depth, why=f"another receiver hides {peeked.unseen:,} of its messages")
    return Dead(depth, {d.message_id: d.id for d in dlq.joined(aws, table, peeked.messages) if not d.runs})


@dataclass(frozen=True, slots=True)
class Window:
    """The time of a drain, epoch ms. lead_ms: events received so long before `since` may have been unfinished then."""

    since: int
    lead_ms: int
    now: int


def account(
    aws: Aws,
    outputs: Mapping[str, str],
    access_log: str | None,
    window: Window,
    *,
    before: Dead,
    clock: Clock = SYSTEM,
) -> Account:
    """What became of the events of a drain. before: the dead-letter queue at its beginning.

    The records of the events within `lead_ms` before it are checked too.
    access_log: its log group; None where the API writes no access log.
    """
    result = Account()

    def check(what: str, question: Callable[[], None]) -> None:
        try:
            question()
        except RtpError as error:
            result.unchecked.append(f"{what}: {error.message}")

    def requests() -> None:
        if access_log is None:
            result.unchecked.append("accepted requests: the API writes no access log (api_logs = false)")
            return
        result.accepted = accepted(aws, access_log, window.since)

    def events() -> None:
        early, late = received(aws, outputs[Output.BUCKET], window.since, window.lead_ms, until=window.now)
        _check_records(aws, outputs[Output.TABLE], early, late, result, window.now)

    def dead_letter_queue() -> None:
        _compare(before, dead(aws, outputs, clock), result)

    check("accepted requests", requests)
    check("records of received events", events)
    check("the dead-letter queue", dead_letter_queue)
    return result


def accepted(aws: Aws, access_log: str, since: int) -> int:
    """Requests since `since` that the API answered with a 2xx, by its access log."""
    return sum(len(page.lines) for page in logs.pages(aws, access_log, since=since, pattern=_ACCEPTED))


def received(
    aws: Aws, bucket: str, since: int, lead_ms: int, *, until: int
) -> tuple[Collection[Identity], Collection[Identity]]:
    """The events that the functions received within lead_ms before `since`, and after it, by the archive."""
    early: dict[Identity, None] = {}
    late: dict[Identity, None] = {}
    for event in archive.between(aws, bucket, since - lead_ms, until + 60_000):  # a function's clock may be ahead
        (late if event.received_at >= since else early)[event.identity] = None
    return early, late


def _check_records(
    aws: Aws, table: str, early: Collection[Identity], late: Collection[Identity], result: Account, now: int
) -> None:
    keys = [(i.id, i.timestamp) for i in dict.fromkeys([*early, *late])]
    stored = {(str(r["id"]), int(r["timestamp"])): r for r in records.by_keys(aws, table, keys)}
    result.received = len(late)
    result.missing = [i.id for i in late if (i.id, i.timestamp) not in stored]
    result.by_status = dict(Counter(str(stored[key]["status"]) for i in late if (key := (i.id, i.timestamp)) in stored))
    result.unfinished = [
        str(record["id"])
        for record in stored.values()
        # A record whose lease has not ended is being processed, whatever its status.
        if record["status"] not in FINISHED or int(record.get("lease_until", 0)) > now
    ]


def _compare(before: Dead, after: Dead, result: Account) -> None:
    result.dlq = after.depth
    if before.depth is None or after.depth is None:
        result.unchecked.append("how many messages the dead-letter queue held before the drain: it could not be read")
        return
    result.dlq_new = max(0, after.depth - before.depth)
    if not result.dlq_new:
        return
    if before.unrecorded is None or after.unrecorded is None:
        why = after.why or before.why
        result.unchecked.append(f"whether the new messages in the dead-letter queue have records: {why}")
        return
    result.missing += [event for message, event in after.unrecorded.items() if message not in before.unrecorded]
