"""What is in the dead-letter queue and why; nothing is consumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.contract import Output
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq import peek

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.work.pool import Stop


@dataclass(frozen=True, slots=True)
class Group:
    """How many messages died of one cause."""

    error: str
    count: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """`dlq inspect --json`. depth: all that SQS says is there; the messages: those that were looked at and wanted."""

    queue: str
    depth: int
    messages: list[DlqMessage]
    groups: list[Group]


def depth(aws: Aws, outputs: dict[str, str]) -> int:
    """How many messages SQS says are there, those in somebody's hands included."""
    return queues.depth(aws, outputs[Output.DLQ_URL]).total


def inspect(
    aws: Aws,
    outputs: dict[str, str],
    *,
    wanted: Filters,
    limit: int,
    stop: Stop,
    notify: Callable[[int], None] = lambda _: None,
) -> Inspection:
    """Look at the queue until `limit` wanted messages were seen, or all were."""
    url, table = outputs[Output.DLQ_URL], outputs[Output.TABLE]
    said = depth(aws, outputs)
    dlq_messages: list[DlqMessage] = []

    def enough(new: list[queues.Message]) -> bool:
        dlq_messages.extend(dlq_message for dlq_message in dlq.joined(aws, table, new) if wanted(dlq_message))
        return len(dlq_messages) >= limit

    seen = peek.peek(aws, url, limit=said * 2 + 10, stop=stop, enough=enough, notify=notify)
    dlq_messages.sort(key=lambda dlq_message: (dlq_message.first_seen, dlq_message.message_id))
    shown = dlq_messages[:limit]
    groups = [Group(error, count) for error, count in dlq.grouped(shown)]
    return Inspection(url.rsplit("/", 1)[-1], max(said, len(seen)), shown, groups)
