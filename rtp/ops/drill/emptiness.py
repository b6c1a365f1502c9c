"""Whether the queue is empty, by counts that may be late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.ops.work.polling import every

if TYPE_CHECKING:
    from rtp.ops.dlq.target import Target
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

_PAUSE_S = 0.5
_LAG_S, _ENGINE_LAG_S = 60.0, 5.0  # by which SQS's approximate numbers may be late, and the engine's in its weather


def is_empty(target: Target, stop: Stop, clock: Clock, *, within_s: float = 0.0) -> bool:
    """Whether SQS counts no message in the queue for as long as its approximate numbers may be late.

    within_s: how long to wait until it counts none.
    """
    lag = _ENGINE_LAG_S if target.aws.local else _LAG_S
    began, since = clock.monotonic(), None
    for _ in every(_PAUSE_S, timeout_s=within_s + lag, stop=stop, clock=clock):
        depth, now = queues.depth(target.aws, target.queue_url).total, clock.monotonic()
        if depth:
            since = None
            if now - began >= within_s:
                return False
        elif since is None:
            since = now
        if since is not None and now - since >= lag:
            return True
    return False
