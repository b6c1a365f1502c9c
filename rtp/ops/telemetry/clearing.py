"""What an alarm that fires measures now, beside its limit, and when it will clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import alarms
from rtp.ops.work import pool
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.aws.alarms import Alarm

_LATE_S = 60  # CloudWatch evaluates an alarm once a minute
_LEAST_S = 900  # of metrics that are read


@dataclass(frozen=True, slots=True)
class Clearing:
    """An alarm that fires.

    alarm: its name. value: of its metric now; 0 without data, which clears it. limit: the value at which it fires.
    clears: by when it clears if nothing more happens, ISO 8601; null where its value has to fall below the limit first.
    """

    alarm: str
    value: float
    limit: float
    clears: str | None


def read(aws: Aws, firing: Sequence[Alarm], *, now: int) -> list[Clearing]:
    """The clearing of alarms that fire, without those whose values are not known."""
    chosen = [a for a in firing if a.queries and a.threshold is not None]
    until_s = now // 60_000 * 60 + 60
    if not chosen:
        return []

    def points(alarm: Alarm) -> list[tuple[int, float]] | None:
        since_s = until_s - max(_LEAST_S, alarm.period_s * (alarm.periods + 3))
        return alarms.levels(aws, alarm, since_s=since_s, until_s=until_s)

    read_points = pool.map(points, chosen, threads=len(chosen))
    return [of(alarm, found, now=now) for alarm, found in zip(chosen, read_points, strict=True) if found is not None]


def of(alarm: Alarm, points: Sequence[tuple[int, float]], *, now: int) -> Clearing:
    """The clearing by the values of each period, as (its start in epoch s, value), oldest first.

    Without data an alarm of rtp is OK. A sum falls by itself, once the periods that were above the limit are over; a
    level, such as the depth of a queue, stays until something lowers it.
    """
    limit = alarm.threshold or 0.0
    period_s, now_s = alarm.period_s, now // 1000
    latest = points[-1] if points and points[-1][0] + period_s + _LATE_S > now_s else None
    value = latest[1] if latest is not None else 0.0
    if value >= limit and not alarm.is_sum:
        return Clearing(alarm.name, value, limit, None)
    above = [start for start, each in points if each >= limit]
    end_s = max(above, default=now_s) + period_s * (alarm.periods + 1) + _LATE_S if above else now_s + _LATE_S
    return Clearing(alarm.name, value, limit, times.iso(max(end_s, now_s + _LATE_S) * 1000))
