"""Alarms: each evaluates its own metric, period by period, and treats missing data as it is set to."""

from __future__ import annotations

import json
import operator
import os
import time
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

SPEED = "RTP_LOCAL_ALARM_SPEED"  # divides every period, so that tests do not wait for minutes
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_WORDS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import cloudwatch

    require(cloudwatch, "_metrics", "_alarms", "_dims_key", "_calc_stats", "_stat_value", "_record_history")
    require(cloudwatch, "_dispatch_alarm_actions", "_evaluate_parent_alarms", "_evaluate_all_alarms")
    replace(cloudwatch, "_evaluate_alarm", evaluate, "alarm")


PATCH = Patch(
    name="alarms",
    aws="An alarm evaluates its own metric, period by period, and treats missing data as it is set to.",
    engine=(
        "An alarm takes all metrics of a name together, whatever their dimensions, so that a full queue fires the "
        "alarm of the DLQ. All periods count as one. Missing data is ignored, and nothing returns to OK. Alarms "
        "are evaluated only when a metric is put."
    ),
    test="tests/local/engine/test_patches.py::an_alarm_evaluates_other_metrics",
    install=install,
)


def evaluate(alarm: dict[str, Any]) -> None:
    """Evaluate the alarm's metric now, and run its actions when the state changes."""
    from ministack.services import cloudwatch

    compare = _COMPARE.get(alarm.get("ComparisonOperator", ""))
    if compare is None or not alarm.get("MetricName"):  # metric math and anomaly detection keep the state that is set
        return
    values = _values(cloudwatch, alarm)
    threshold = float(alarm.get("Threshold") or 0)
    state = new_state(alarm, [None if v is None else compare(v, threshold) for v in values])
    before = alarm["StateValue"]
    if state is None or state == before:
        return
    reason = _reason(alarm, values, threshold, state)
    now = time.time()
    alarm |= {
        "StateValue": state,
        "StateReason": reason,
        "StateUpdatedTimestamp": int(now),
        "StateReasonData": json.dumps(
            {
                "version": "1.0",
                "statistic": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
                "period": alarm.get("Period"),
                "recentDatapoints": [v for v in values if v is not None],
                "threshold": threshold,
            }
        ),
    }
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _values(cloudwatch: Any, alarm: dict[str, Any]) -> list[float | None]:
    """The statistic of each period, the latest first."""
    dimensions = {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or ()}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    points = cloudwatch._metrics.get(key) or []
    period = float(alarm.get("Period") or 60) / float(os.environ.get(SPEED, "1"))
    count = int(alarm.get("EvaluationPeriods") or 1)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    now = time.time()
    within: list[list[Any]] = [[] for _ in range(count)]
    for point in reversed(points):
        index = max(int((now - point["Timestamp"]) / period), 0)
        if index < count:
            within[index].append(point)
        elif index > count:  # points are nearly in order of time
            break
    return [cloudwatch._stat_value(cloudwatch._calc_stats(part), statistic, part) if part else None for part in within]


def new_state(alarm: dict[str, Any], breaching: list[bool | None]) -> str | None:
    """ALARM, OK or INSUFFICIENT_DATA; None to keep the state."""
    missing = alarm.get("TreatMissingData") or "missing"
    if missing in ("breaching", "notBreaching"):
        breaching = [missing == "breaching" if b is None else b for b in breaching]
    present = [b for b in breaching if b is not None]
    if not present:
        return None if missing == "ignore" else "INSUFFICIENT_DATA"
    needed = min(int(alarm.get("DatapointsToAlarm") or alarm.get("EvaluationPeriods") or 1), len(present))
    return "ALARM" if sum(present) >= needed else "OK"


def _reason(alarm: dict[str, Any], values: list[float | None], threshold: float, state: str) -> str:
    present = [v for v in values if v is not None]
    words = _WORDS[alarm["ComparisonOperator"]]
    if not present:
        treated = alarm.get("TreatMissingData") or "missing"
        return f"Threshold Crossed: no datapoints were received for {len(values)} period(s), treated as [{treated}]."
    shown = ", ".join(f"{v:g}" for v in present)
    relation = words if state == "ALARM" else f"not {words}"
    noun = "datapoint" if len(present) == 1 else "datapoints"
    verb = "was" if len(present) == 1 else "were"
    return f"Threshold Crossed: {len(present)} {noun} [{shown}] {verb} {relation} the threshold ({threshold:g})."
