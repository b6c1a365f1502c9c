"""Whether a queue grows or drains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import metrics, queues
from rtp.aws.metrics import Series

if TYPE_CHECKING:
    from rtp.aws import Aws

_WINDOW_S = 1200
_STEADY = 0.05  # of the depth: a smaller change says nothing, since SQS's counts are approximate


@dataclass(frozen=True, slots=True)
class Motion:
    """How the depth of a queue moves.

    depth: messages now, by SQS. before: messages that were visible minutes ago; null without a value of then.
    per_minute: how many more each minute, negative where it drains; null where that is not known.
    empty_s: in how many seconds it is empty at this rate; null where it does not drain.
    """

    name: str
    depth: int
    before: int | None
    per_minute: float | None
    empty_s: int | None


def read(aws: Aws, url: str, name: str, *, now: int) -> Motion:
    """Read the depth and its change in the last twenty minutes, of which CloudWatch's newest value is minutes old."""
    depth = queues.depth(aws, url)
    until = now // 60_000 * 60 + 60
    query = Series("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", name),), "Maximum")
    values = metrics.values(aws, [query], since_s=until - _WINDOW_S, until_s=until, period_s=60)[0]
    return of(name, depth.total, values)


def of(name: str, depth: int, values: list[float]) -> Motion:
    """The motion by the depth now and that of each minute before, oldest first."""
    if len(values) < 2:
        return Motion(name, depth, None, None, None)
    before, minutes = values[0], len(values)
    change = depth - before
    if abs(change) <= _STEADY * max(depth, before):
        return Motion(name, depth, round(before), 0.0, None)
    per_minute = change / minutes
    empty_s = round(depth / -per_minute * 60) if per_minute < 0 else None
    return Motion(name, depth, round(before), round(per_minute, 1), empty_s)
