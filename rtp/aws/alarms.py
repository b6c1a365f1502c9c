"""CloudWatch alarms: their states, and the history of those."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.aws import metrics
from rtp.runtime import partial
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class Alarm:
    """A CloudWatch alarm.

    state: OK, ALARM or INSUFFICIENT_DATA. since: when it changed to that state. description: what it means.
    metric: the metric's name. threshold: the value at which it fires. muted: whether its actions are off.
    period_s, periods: it looks at so many periods of so many seconds. is_sum: whether a value is a period's sum.
    queries: CloudWatch's queries of its values.
    """

    name: str
    state: str
    reason: str
    since: datetime | None
    description: str
    metric: str
    threshold: float | None
    muted: bool
    period_s: int = field(default=60, metadata=HIDDEN)
    periods: int = field(default=1, metadata=HIDDEN)
    is_sum: bool = field(default=False, metadata=HIDDEN)
    queries: tuple[dict[str, Any], ...] = field(default=(), metadata=HIDDEN)


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change of an alarm's state.

    alarm: its name. at: when. before: the state it left. after: the state it took. reason: why, as CloudWatch says it.
    """

    alarm: str
    at: datetime
    before: str
    after: str
    reason: str


def alarms(aws: Aws, names: Sequence[str]) -> list[Alarm]:
    """The alarms of these names, without those that do not exist."""
    return [
        Alarm(
            name=str(a["AlarmName"]),
            state=str(a.get("StateValue", "")),
            reason=str(a.get("StateReason", "")),
            since=a.get("StateTransitionedTimestamp") or a.get("StateUpdatedTimestamp"),
            description=str(a.get("AlarmDescription", "")),
            metric=str(a.get("MetricName", "")),
            threshold=float(a["Threshold"]) if a.get("Threshold") is not None else None,
            muted=not a.get("ActionsEnabled", True),
            period_s=_period_s(a),
            periods=int(a.get("EvaluationPeriods") or 1),
            is_sum=all(stat == "Sum" for stat in _statistics(a)),
            queries=_queries(a),
        )
        for a in aws.pages(
            "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNames=list(names), AlarmTypes=["MetricAlarm"]
        )
    ]


def levels(aws: Aws, alarm: Alarm, *, since_s: int, until_s: int) -> list[tuple[int, float]] | None:
    """The values of an alarm's metric, as (start of the period in epoch s, value), oldest first; None if not known."""
    returned = {query["Id"] for query in alarm.queries if query.get("ReturnData", True)}
    points: dict[int, float] = {}

    def read(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Read the values; returns the queries again where the answer is not complete."""
        by_id = metrics.data(aws, queries, since_s=since_s, until_s=until_s)
        answers = [by_id[query_id] for query_id in returned]
        for answer in answers:
            points.update(zip(answer.starts, answer.values, strict=False))
        return queries if any(answer.status != "Complete" for answer in answers) else []

    return None if partial.complete(read, list(alarm.queries), calls=3) else sorted(points.items())


def _queries(described: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """CloudWatch's queries of an alarm's values: its own, of an expression, or one of its metric."""
    if described.get("Metrics"):
        return tuple(described["Metrics"])
    if not described.get("MetricName"):
        return ()
    metric = {key: described[key] for key in ("Namespace", "MetricName", "Dimensions") if key in described}
    stat = described.get("Statistic") or described.get("ExtendedStatistic")
    return ({"Id": "value", "MetricStat": {"Metric": metric, "Period": _period_s(described), "Stat": stat}},)


def _statistics(described: dict[str, Any]) -> list[str]:
    parts = [query["MetricStat"]["Stat"] for query in described.get("Metrics") or () if "MetricStat" in query]
    return parts or [str(described.get("Statistic") or described.get("ExtendedStatistic") or "")]


def _period_s(described: dict[str, Any]) -> int:
    queries = described.get("Metrics") or ()
    periods = [query.get("Period") or query.get("MetricStat", {}).get("Period") for query in queries]
    return int(described.get("Period") or next((period for period in periods if period), 60))


def history(aws: Aws, alarm: str, *, since_ms: int) -> Iterator[StateChange]:
    """An alarm's changes of state since a time (epoch ms), newest first. Its creation is left out."""
    items = aws.pages(
        "cloudwatch",
        "describe_alarm_history",
        "AlarmHistoryItems",
        AlarmName=alarm,
        HistoryItemType="StateUpdate",
        StartDate=since_ms / 1000,
        ScanBy="TimestampDescending",
    )
    for item in items:
        change = _change(str(item.get("AlarmName", alarm)), item["Timestamp"], str(item.get("HistoryData")))
        if change.before != change.after:
            yield change


def _change(alarm: str, at: datetime, data: str) -> StateChange:
    try:
        document = json.loads(data)
        before, after = document.get("oldState") or {}, document.get("newState") or {}
        states = str(before.get("stateValue", "")), str(after.get("stateValue", ""))
        return StateChange(alarm, at, *states, str(after.get("stateReason", "")))
    except (ValueError, AttributeError):
        return StateChange(alarm, at, "", "?", "")
