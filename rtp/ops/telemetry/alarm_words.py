"""CloudWatch's reason for an alarm's state in words, such as `8 failed attempts in 5 minutes, limit 5`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rtp.contract import Alarm
from rtp.text import times
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMES: dict[str, tuple[str, int]] = {  # milliseconds of the metric's unit
    Alarm.LAMBDA_DURATION: ("the slowest 5 % of runs took", 1),
    Alarm.QUEUE_AGE: ("the oldest message waited", 1000),
}
_NOUNS: dict[str, str] = {
    Alarm.LAMBDA_ERRORS: "function error",
    Alarm.NOTIFIER_ERRORS: "failed notification",
    Alarm.LAMBDA_THROTTLES: "throttled run",
    Alarm.DLQ_MESSAGES: "message",
    Alarm.API_4XX: "refused request",
    Alarm.API_5XX: "failed request",
    Alarm.WORKER_FAILURES: "failed attempt",
}
# "Threshold Crossed: 3 out of the last 3 datapoints [8.0 (27/11/26 20:15:00), 6.0 (…), …] was greater than or equal to
# the threshold (5.0) (minimum 3 datapoints for OK -> ALARM transition)."
_CROSSED = re.compile(
    r"Threshold Crossed: .*?\[([^\]]*)\] (?:was|were) (?:not )?greater .*? threshold \(([-+.eE\d]+)\)"
)
_NO_DATA = re.compile(r"Threshold Crossed: no datapoints were received")
_POINT = re.compile(r"^\s*([-+.eE\d]+)")


def explained(alarm: str, reason: str, period_s: int = 0) -> str:
    """The reason for the state of an alarm, by the last part of its name; CloudWatch's own text in any other form.

    period_s: the length of a period, over which most alarms count; 0 where not known.
    """
    if _NO_DATA.match(reason):
        return "no data, which counts as OK"
    crossed = _CROSSED.match(reason)
    points = [_POINT.match(point) for point in crossed[1].split(",")] if crossed else []
    values = [float(point[1]) for point in points if point]
    if not crossed or not values:
        return reason.strip().rstrip(".")
    limit = float(crossed[2])
    if alarm in _TIMES:
        text, ms = _TIMES[alarm]
        return f"{text} {_listed([times.span(v * ms) for v in values])}, limit {times.span(limit * ms)}"
    noun = _NOUNS.get(alarm, "")
    where = " in the DLQ" if alarm == Alarm.DLQ_MESSAGES else f" in {_period(period_s)}" if period_s and noun else ""
    if noun and values[1:] == [] and values[0].is_integer():
        return f"{many(int(values[0]), noun)}{where}, limit {limit:,g}"
    return f"{_listed([f'{v:,g}' for v in values])}{f' {noun}s' if noun else ''}{where}, limit {limit:,g}"


def measured(metric: str, period_s: int, periods: int) -> str:
    """What an alarm looks at, such as `EventsFailed over 5 minutes`; empty where the metric has no name."""
    if not metric:
        return ""
    return f"{metric} over {_period(period_s)}" + (f", {periods} times in a row" if periods > 1 else "")


def _listed(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


def _period(seconds: int) -> str:
    return many(seconds // 60, "minute") if seconds % 60 == 0 else many(seconds, "second")
