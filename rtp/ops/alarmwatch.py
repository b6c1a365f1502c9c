"""Alarms that may take an update back while it settles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.contract import Alarm

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.contract import Names

# What a bad version shows in, worst first. CloudFormation takes five at most.
_WATCHED = (Alarm.LAMBDA_ERRORS, Alarm.API_5XX, Alarm.WORKER_FAILURES, Alarm.DLQ_MESSAGES, Alarm.LAMBDA_DURATION)


def triggers(aws: Aws, names: Names) -> tuple[tuple[str, ...], str]:
    """ARNs of the watched alarms; and a warning that names those left out since they are in ALARM already."""
    found = aws.call("cloudwatch", "describe_alarms", AlarmNames=[names.alarm(a) for a in _WATCHED])["MetricAlarms"]
    ringing = [a["AlarmName"] for a in found if a["StateValue"] == "ALARM"]
    warning = f"Not watched, since in ALARM already: {', '.join(ringing)}." if ringing else ""
    return tuple(a["AlarmArn"] for a in found if a["StateValue"] != "ALARM"), warning
