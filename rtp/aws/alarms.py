"""CloudWatch alarms: their states, and the history of those."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class Alarm:
    """A CloudWatch alarm.

    state: OK, ALARM or INSUFFICIENT_DATA. since: when it changed to that state. description: what it means.
    metric: the metric's name. threshold: the value at which it fires. muted: whether its actions are off.
    """

    name: str
    state: str
    reason: str
    since: datetime | None
    description: str
    metric: str
    threshold: float | None
    muted: bool


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
        )
        for a in aws.pages(
            "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNames=list(names), AlarmTypes=["MetricAlarm"]
        )
    ]


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
