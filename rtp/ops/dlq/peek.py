"""Read a queue's messages without consuming them.

SQS has no other way to read than to receive, which hides a message for a while. The messages are made visible again at
the end, also after an interrupt. Which messages are read is approximate, as SQS's own counts are.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.ops.dlq import batches
from rtp.ops.dlq.ending import BRIEF, MAX_HIDDEN_S, Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws
    from rtp.aws.queues import Message
    from rtp.ops.dlq.ending import Patience
    from rtp.ops.work.pool import Stop

_HIDDEN_S = 15  # should this process be killed, other receivers see the messages after this time
_RECEIVED_PER_SECOND = 100  # messages, even over a slow connection


@dataclass(frozen=True, slots=True)
class Peeked:
    """The messages that were read, each once. unseen: those that SQS counted and that could not be received."""

    messages: list[Message]
    unseen: int = 0


def hidden_s(count: int, rate: float | None = None) -> int:
    """How long to hide each message, s, so that `count` messages are received before the first one reappears."""
    return min(MAX_HIDDEN_S, _HIDDEN_S + count // _RECEIVED_PER_SECOND + (int(count / rate) if rate else 0))


@contextmanager
def _released(aws: Aws, url: str) -> Iterator[dict[str, str]]:
    """A dict of receipts by message id; the messages that are in it at the end are made visible again."""
    receipts: dict[str, str] = {}
    try:
        yield receipts
    finally:
        batches.release(aws, url, list(receipts.values()))


def peek(
    aws: Aws,
    url: str,
    *,
    limit: int,
    stop: Stop,
    enough: Callable[[list[Message]], bool] = lambda _: False,
    patience: Patience = BRIEF,
    notify: Callable[[int], None] = lambda _: None,
) -> Peeked:
    """Read up to about `limit` messages, each once.

    enough: called with the new messages of each round; true ends the reading. notify: called with the number read.
    patience: with messages that another receiver hides.
    """
    messages: dict[str, Message] = {}
    ending = Ending(aws, url, patience, stop=stop)
    with _released(aws, url) as receipts:
        while len(messages) < limit and not stop.drain.is_set():
            count = batches.CONCURRENCY if messages else 1
            received = batches.receive(aws, url, visibility_s=hidden_s(limit), count=count)
            new = list({m.message_id: m for m in received if m.message_id not in messages}.values())
            # A message that was received twice was hidden too briefly. Its newest receipt is the valid one.
            receipts.update({m.message_id: m.receipt for m in received})
            messages.update({m.message_id: m for m in new})
            notify(len(messages))
            if new:
                ending.continued()
                if enough(new):
                    break
            elif ending.reached(held=len(messages), seen=len(messages)):
                break
    return Peeked(list(messages.values()), ending.unseen)
