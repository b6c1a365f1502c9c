"""Read a queue's messages without consuming them.

SQS has no other way to read than to receive, which hides a message for a while. The messages are made visible again at
the end, also after an interrupt. Which messages are read is approximate, as SQS's own counts are.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import RtpError
from rtp.ops.dlq import batches
from rtp.ops.dlq.ending import BRIEF, MAX_HIDDEN_S, Ending
from rtp.ops.dlq.seen import Receipts, Seen

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
    """How a reading ended. messages: each once, where they were to be kept. count: of those that were read.

    unseen: those that SQS counted and that could not be received.
    """

    messages: list[Message]
    unseen: int = 0
    count: int = 0


def hidden_s(count: int, rate: float | None = None) -> int:
    """How long to hide each message, s, so that `count` messages are received before the first one reappears."""
    return min(MAX_HIDDEN_S, _HIDDEN_S + count // _RECEIVED_PER_SECOND + (int(count / rate) if rate else 0))


@contextmanager
def _released(aws: Aws, url: str) -> Iterator[Receipts]:
    """Receipts; the messages of those that are in it at the end are made visible again."""
    receipts = Receipts()
    try:
        yield receipts
    finally:
        failed: list[RtpError] = []
        for some in receipts:
            try:
                batches.release(aws, url, some)
            except RtpError as error:
                failed.append(error)
        if failed:
            raise failed[-1]


def peek(  # noqa: PLR0913 - each is a decision of the caller, and most have a default
    aws: Aws,
    url: str,
    *,
    limit: int,
    stop: Stop,
    enough: Callable[[list[Message]], bool] = lambda _: False,
    patience: Patience = BRIEF,
    notify: Callable[[int], None] = lambda _: None,
    keep: bool = False,
) -> Peeked:
    """Read up to about `limit` messages, each once. keep: all of them in memory, to return them.

    enough: called with the new messages of each round; true ends the reading. notify: called with the number read.
    patience: with messages that another receiver hides.
    """
    seen = Seen()
    messages: list[Message] = []
    ending = Ending(aws, url, patience, stop=stop)
    with _released(aws, url) as receipts:
        while len(seen) < limit and not stop.drain.is_set():
            count = batches.CONCURRENCY if seen else 1
            received = batches.receive(aws, url, visibility_s=hidden_s(limit), count=count)
            new = list({m.message_id: m for m in received if m.message_id not in seen}.values())
            # A message that was received twice was hidden too briefly. Its newest receipt is the valid one.
            receipts.add(m.receipt for m in received)
            seen.update(m.message_id for m in new)
            messages += new if keep else ()
            notify(len(seen))
            if new:
                ending.continued()
                if enough(new):
                    break
            elif ending.reached(held=len(seen), seen=len(seen)):
                break
    return Peeked(messages, ending.unseen, len(seen))
