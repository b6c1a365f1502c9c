"""DLQ messages whose event has no record: of programs that are not rtp, and of functions that did not start."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rtp.contract import Output
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq import peek
from rtp.ops.dlq.ending import BRIEF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.aws import Aws, queues
    from rtp.ops.dlq.ending import Patience
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.work.pool import Stop

_MOST_BYTES = 50_000_000  # of the messages that are kept


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Messages, in the order in which they were received.

    more: whether there are others, beyond the limit. unseen: messages that another receiver hides.
    """

    messages: list[DlqMessage] = field(default_factory=list)
    more: bool = False
    unseen: int = 0


def read(  # noqa: PLR0913 - each is a decision of the caller, and most have a default
    aws: Aws,
    outputs: Mapping[str, str],
    is_selected: Callable[[DlqMessage], bool],
    *,
    most: int,
    stop: Stop,
    limit: int,
    is_enough: Callable[[list[DlqMessage]], bool] = lambda _: False,
    patience: Patience = BRIEF,
) -> Unrecorded:
    """Read the DLQ, and keep at most `most` selected messages. Raises AwsError.

    is_enough: whether those that were found are all that are looked for. limit: messages that are read.
    patience: with messages that another receiver hides. A message has no record if its `runs` are 0.
    """
    url, table = outputs[Output.DLQ_URL], outputs[Output.TABLE]
    found: list[DlqMessage] = []
    size, more = 0, False

    def add(new: list[queues.Message]) -> bool:
        nonlocal size, more
        for message in dlq.joined(aws, table, new):
            if not is_selected(message):
                continue
            size += len(message.body)
            if len(found) >= most or size > _MOST_BYTES:
                more = True
                return True
            found.append(message)
        return is_enough(found)

    patience = replace(patience, is_enough=lambda: is_enough(found))
    peeked = peek.peek(aws, url, limit=limit, stop=stop, enough=add, patience=patience)
    return Unrecorded(found, more, peeked.unseen)
