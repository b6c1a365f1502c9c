"""Read the DLQ without consuming it, and group its messages by cause."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.contract import Output
from rtp.ops import causes
from rtp.ops.dlq import deadlines, peek
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.deadlines import Dead
from rtp.ops.dlq.ending import BRIEF
from rtp.ops.dlq.filters import Named
from rtp.text import times
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.aws import Aws
    from rtp.ops.dlq.deadlines import Deadlines
    from rtp.ops.dlq.ending import Patience
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.work.pool import Stop
    from rtp.runtime.groups import Group as Cause

UNLIMITED = 10_000_000
RETENTION_S = 14 * 86_400  # the most that SQS has


@dataclass(frozen=True, slots=True)
class Group:
    """How many messages died of one cause.

    error: type and message, without numbers and ids. count: messages.
    newest: type and message of the newest of them, with its values. newest_id: the id of its event.
    id: by which `--group` takes it. type: of the events. at: the line of the project's code; empty where not known.
    """

    error: str
    count: int
    newest: str = ""
    newest_id: str = ""
    id: str = ""
    type: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in the dead-letter queue.

    queue: its name. depth: messages in it, by SQS. messages: those that match the filters.
    groups: how many of them died of each cause, most frequent first.
    unseen: messages that SQS counts and that could not be read, since another receiver hides them.
    deadlines: when the first of these messages is lost. retention_s: of the queue. at: when it was read, epoch ms.
    """

    queue: str
    depth: int
    messages: list[DlqMessage]
    groups: list[Group]
    unseen: int = 0
    deadlines: Deadlines | None = None
    retention_s: int = field(default=0, metadata=HIDDEN)
    at: int = field(default=0, metadata=HIDDEN)


def depth(aws: Aws, outputs: Mapping[str, str]) -> int:
    """SQS's approximate count of the DLQ's messages, those in flight included."""
    return queues.depth(aws, outputs[Output.DLQ_URL]).total


def _group(group: Cause, same: list[DlqMessage]) -> Group:
    newest = same[-1]
    return Group(
        newest.error.signature, len(same), newest.error.text, newest.id, group.id, newest.type, newest.error.at
    )


@dataclass(frozen=True, slots=True)
class Scan:
    """How a reading of the DLQ ended. depth: messages in it. unseen: those that could not be read.

    retention_s: of the queue. at: when it was read, epoch ms.
    """

    depth: int
    unseen: int
    retention_s: int
    at: int


def scan(
    aws: Aws,
    outputs: Mapping[str, str],
    filters: Filters,
    visit: Callable[[list[DlqMessage]], bool],
    *,
    stop: Stop,
    patience: Patience = BRIEF,
    notify: Callable[[int], None] = lambda _: None,
) -> Scan:
    """Read the DLQ, and pass on the messages that match as they come; none of them is kept.

    visit: called with those of each round; true ends the reading. patience: with messages that another receiver hides;
    none is needed once all that the filters name are found. notify: called with the number of messages read.
    """
    url, table = outputs[Output.DLQ_URL], outputs[Output.TABLE]
    counts = queues.depth(aws, url)
    named = Named(filters)

    def enough(new: list[queues.Message]) -> bool:
        selected = filters.select(dlq.joined(aws, table, new))
        named.add(selected)
        return visit(selected)

    peeked = peek.peek(
        aws,
        url,
        limit=min(counts.total * 2 + 10, patience.most),
        stop=stop,
        enough=enough,
        patience=replace(patience, is_enough=named.are_all),
        notify=notify,
    )
    now = times.now_ms() if counts.server_ms is None else counts.server_ms
    depth = max(counts.total, peeked.count + peeked.unseen)
    return Scan(depth, peeked.unseen, counts.retention_s or RETENTION_S, now)


def inspect(
    aws: Aws,
    outputs: Mapping[str, str],
    filters: Filters,
    *,
    limit: int,
    stop: Stop,
    patience: Patience = BRIEF,
    notify: Callable[[int], None] = lambda _: None,
) -> Inspection:
    """Read the DLQ until `limit` messages match or all were read, or as many as patience says. As `scan`."""
    matching: list[DlqMessage] = []

    def visit(selected: list[DlqMessage]) -> bool:
        matching.extend(selected)
        return len(matching) >= limit

    read = scan(aws, outputs, filters, visit, stop=stop, patience=patience, notify=notify)
    matching.sort(key=lambda dlq_message: (dlq_message.accepted_at, dlq_message.message_id))
    shown = matching[:limit]
    groups = [_group(each, same) for each, same in causes.grouped(shown, lambda message: message.group)]
    queue = outputs[Output.DLQ_URL].rpartition("/")[2]
    return Inspection(queue, read.depth, shown, groups, read.unseen, None, read.retention_s, read.at)


def with_deadlines(inspection: Inspection, raw_days: int) -> Inspection:
    """The same with its deadlines. raw_days: how long S3 keeps raw events."""
    found = [Dead(dlq_message.message.sent_at, dlq_message.raw_key) for dlq_message in inspection.messages]
    message_days = inspection.retention_s * 1000 / deadlines.DAY_MS
    first = deadlines.of(found, message_days=message_days, raw_days=raw_days, now=inspection.at)
    return replace(inspection, deadlines=first if first.first else None)
