"""Look into a queue without taking anything out.

SQS has no way to look but to receive: what is looked at is hidden for a moment and comes back at once afterwards,
also when the look is broken off. Everything here is approximate, as SQS's own numbers are.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws
    from rtp.aws.queues import Message
    from rtp.ops.work.pool import Stop

HIDDEN_S = 15  # for so long nobody else sees a message, should this process be killed; more in a deep queue
MOST_HIDDEN_S = 600
_A_SECOND = 100  # messages that even a slow connection brings
_CONCURRENCY = 4  # receives side by side


def hidden_s(count: int, rate: float | None = None) -> int:
    """For how long to hide so many messages, s, that all are met before the first one shows itself again."""
    return min(MOST_HIDDEN_S, HIDDEN_S + count // _A_SECOND + (int(count / rate) if rate else 0))


@contextmanager
def returned(aws: Aws, url: str) -> Iterator[dict[str, str]]:
    """Receipts by message id; whatever is in it at the end, however that comes, is given back to the queue."""
    receipts: dict[str, str] = {}
    try:
        yield receipts
    finally:
        queues.change_visibility(aws, url, list(receipts.values()), 0)


def peek(
    aws: Aws,
    url: str,
    *,
    limit: int,
    stop: Stop,
    enough: Callable[[list[Message]], bool] = lambda _: False,
    notify: Callable[[int], None] = lambda _: None,
) -> list[Message]:
    """Up to about `limit` messages, each once. enough: asked with each round's new ones whether to end early."""
    found: dict[str, Message] = {}
    # A receive that waits asks all of SQS's servers, and an empty answer is then the end; an emulator has but one.
    wait_s = 0 if aws.local else 1

    def receive(_: int) -> list[Message]:
        return queues.receive(aws, url, visibility_s=hidden_s(limit), wait_s=wait_s)

    with returned(aws, url) as receipts:
        while len(found) < limit and not stop.drain.is_set():
            count = _CONCURRENCY if found else 1
            came = [m for messages in pool.map(receive, range(count), threads=count) for m in messages]
            new = [m for m in came if m.message_id not in found]
            # A message seen a second time was hidden too briefly: its newest receipt is the one that counts.
            receipts.update({m.message_id: m.receipt for m in came})
            found.update({m.message_id: m for m in new})
            notify(len(found))
            if not new or enough(new):
                break
    return list(found.values())
