"""What became of the events that came while a queue was drained, asked of the services that know.

The API's access log says how many requests were accepted, the archive of raw events which events the functions
received, the table whether each has its record, and the dead-letter queue what died without one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import logs, queues, records
from rtp.contract import Output
from rtp.errors import RtpError
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq import peek
from rtp.ops.events import archive
from rtp.ops.work.pool import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rtp.aws import Aws
    from rtp.runtime.event import Identity

FINISHED = ("processed", "dead")
_ACCEPTED = '{ $.status = "2*" }'
_MOST_DEAD = 1_000  # messages of the dead-letter queue that are looked at


@dataclass(slots=True)
class Account:
    """What was found out. received: distinct events; unfinished, missing: those whose record says so, or is not there.

    dlq_new: how many more messages the dead-letter queue holds than before. None where a service could not be asked;
    unchecked: what could not be found out, and why.
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

    unrecorded: event ids by message id, of messages without a record; None where it holds too many to be looked at.
    """

    depth: int | None = None
    unrecorded: dict[str, str] | None = None


def dead(aws: Aws, outputs: Mapping[str, str]) -> Dead:
    """Look into the dead-letter queue; nothing is taken out of it. Raises AwsError."""
    url, table = outputs[Output.DLQ_URL], outputs[Output.TABLE]
    depth = queues.depth(aws, url).total
    if not depth:
        return Dead(0, {})
    if depth > _MOST_DEAD:
        return Dead(depth)
    messages = peek.peek(aws, url, limit=depth * 2 + 10, stop=Stop())
    return Dead(depth, {d.message_id: d.id for d in dlq.joined(aws, table, messages) if not d.runs})


def account(
    aws: Aws, outputs: Mapping[str, str], access_log: str, *, since: int, lead_ms: int, before: Dead, now: int
) -> Account:
    """What became of the events since then (epoch ms). before: the dead-letter queue when that began.

    lead_ms: events received so much earlier may have been unfinished then, so their records are looked at too.
    """
    made = Account()

    def ask(what: str, question: Callable[[], None]) -> None:
        try:
            question()
        except RtpError as error:
            made.unchecked.append(f"{what}: {error.message}")

    def requests() -> None:
        made.accepted = accepted(aws, access_log, since)

    def events() -> None:
        early, late = received(aws, outputs[Output.BUCKET], since, lead_ms, until=now)
        _look_up(aws, outputs[Output.TABLE], early, late, made, now)

    def dead_letter_queue() -> None:
        _compare(before, dead(aws, outputs), made)

    ask("accepted requests", requests)
    ask("records of received events", events)
    ask("the dead-letter queue", dead_letter_queue)
    return made


def accepted(aws: Aws, access_log: str, since: int) -> int:
    """Requests that the API answered with a 2xx since then, by its access log."""
    return sum(len(page.lines) for page in logs.pages(aws, access_log, since=since, pattern=_ACCEPTED))


def received(
    aws: Aws, bucket: str, since: int, lead_ms: int, *, until: int
) -> tuple[Collection[Identity], Collection[Identity]]:
    """The events that the functions received within lead_ms before a time, and since then, by the archive."""
    early: dict[Identity, None] = {}
    late: dict[Identity, None] = {}
    for event in archive.between(aws, bucket, since - lead_ms, until + 60_000):  # a function's clock may be ahead
        (late if event.received_at >= since else early)[event.identity] = None
    return early, late


def _look_up(
    aws: Aws, table: str, early: Collection[Identity], late: Collection[Identity], made: Account, now: int
) -> None:
    keys = [(i.id, i.timestamp) for i in dict.fromkeys([*early, *late])]
    found = {(str(r["id"]), int(r["timestamp"])): r for r in records.by_keys(aws, table, keys)}
    made.received = len(late)
    made.missing = [i.id for i in late if (i.id, i.timestamp) not in found]
    made.by_status = dict(Counter(str(found[key]["status"]) for i in late if (key := (i.id, i.timestamp)) in found))
    made.unfinished = [
        str(record["id"])
        for record in found.values()
        # Whatever its status, a record whose lease lies ahead is being worked on.
        if record["status"] not in FINISHED or int(record.get("lease_until", 0)) > now
    ]


def _compare(before: Dead, after: Dead, made: Account) -> None:
    made.dlq = after.depth
    if before.depth is None or after.depth is None:
        made.unchecked.append("how many messages the dead-letter queue held before: it could not be read")
        return
    made.dlq_new = max(0, after.depth - before.depth)
    if not made.dlq_new:
        return
    if before.unrecorded is None or after.unrecorded is None:
        why = f"more than {_MOST_DEAD:,} messages"
        made.unchecked.append(f"whether what came into the dead-letter queue has a record: it holds {why}")
        return
    made.missing += [event for message, event in after.unrecorded.items() if message not in before.unrecorded]
