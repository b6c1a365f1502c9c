"""The message that an alarm sends to a topic, and what an alarm is described with."""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any

from rtp.local.models import region_name
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

MAX_SUBJECT = 100
_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_STATISTICS = {"SampleCount": "SAMPLE_COUNT"}
log = logging.getLogger("rtp.alarms")

Alarm = dict[str, Any]


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import cloudwatch

    require(cloudwatch, "_is_sns_action_arn", "_alarms", "get_region", "get_account_id")
    replace(cloudwatch, "_dispatch_alarm_actions", dispatch, "alarm old_state new_state reason")

    def put(params: Any, document: Any, is_cbor: bool, is_json: bool = False) -> Any:
        answer = put_one(params, document, is_cbor, is_json)
        name = document.get("AlarmName") or _first(params, "AlarmName")
        alarm = cloudwatch._alarms.get(name)
        if answer[0] < 300 and alarm is not None:
            for optional in ("AlarmDescription", "TreatMissingData"):
                if not document.get(optional) and not _first(params, optional):
                    alarm.pop(optional, None)
            alarm.setdefault("StateTransitionedTimestamp", alarm["StateUpdatedTimestamp"])
        return answer

    put_one = replace(cloudwatch, "_put_metric_alarm", put, "params cbor_data is_cbor is_json")


PATCH = Patch(
    name="alarm_messages",
    aws=(
        "An alarm's message has its ARN, its actions, the time of its last change, and a trigger with names in "
        "Lambda's and e-mail's form; Region is the region's long name. An alarm is described without a description "
        "and a treatment of missing data that it was not given."
    ),
    engine="The message lacks these, and the description has empty and default values.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)


def dispatch(alarm: Alarm, old_state: str, new_state: str, reason: str) -> None:
    """Note the time of an alarm's change, and send its message to the topics of its new state."""
    from ministack.services import cloudwatch, sns

    alarm["StateTransitionedTimestamp"] = alarm["StateUpdatedTimestamp"]
    topics = [arn for arn in alarm.get(_ACTIONS.get(new_state, "")) or () if cloudwatch._is_sns_action_arn(arn)]
    if not alarm.get("ActionsEnabled", True) or not topics:
        return
    region = region_name(cloudwatch.get_region())
    text = json.dumps(message(alarm, old_state, new_state, reason, cloudwatch.get_account_id(), region))
    subject = f'{new_state}: "{alarm.get("AlarmName", "")}" in {region}'[:MAX_SUBJECT]
    for arn in topics:
        try:
            sns._fanout(arn, str(uuid.uuid4()), text, subject)
        except Exception:  # one topic that fails must not keep the others, or the alarm's state, from changing
            log.exception("the message of %s could not be sent to %s", alarm.get("AlarmName"), arn)


def message(alarm: Alarm, old_state: str, new_state: str, reason: str, account: str, region: str) -> dict[str, Any]:
    """The message of a change of state."""
    common = {
        "AlarmName": alarm.get("AlarmName", ""),
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _time(alarm.get("AlarmConfigurationUpdatedTimestamp") or time.time()),
        "NewStateValue": new_state,
        "NewStateReason": reason,
        "StateChangeTime": _time(time.time()),
        "Region": region,
        "AlarmArn": alarm.get("AlarmArn", ""),
        "OldStateValue": old_state,
        "OKActions": alarm.get("OKActions") or [],
        "AlarmActions": alarm.get("AlarmActions") or [],
        "InsufficientDataActions": alarm.get("InsufficientDataActions") or [],
    }
    if alarm.get("AlarmRule"):
        return common | {"AlarmRule": alarm["AlarmRule"]}
    return common | {"Trigger": _trigger(alarm)}


def _trigger(alarm: Alarm) -> dict[str, Any]:
    statistic = str(alarm.get("Statistic") or "Average")
    extended = alarm.get("ExtendedStatistic")
    kind = (
        {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": extended}
        if extended
        else {"StatisticType": "Statistic", "Statistic": _STATISTICS.get(statistic, statistic.upper())}
    )
    points = {"DatapointsToAlarm": alarm["DatapointsToAlarm"]} if alarm.get("DatapointsToAlarm") else {}
    return {
        "MetricName": alarm.get("MetricName"),
        "Namespace": alarm.get("Namespace"),
        **kind,
        "Unit": alarm.get("Unit"),
        "Dimensions": [{"value": each["Value"], "name": each["Name"]} for each in alarm.get("Dimensions") or ()],
        "Period": alarm.get("Period"),
        "EvaluationPeriods": alarm.get("EvaluationPeriods"),
        **points,
        "ComparisonOperator": alarm.get("ComparisonOperator"),
        "Threshold": alarm.get("Threshold"),
        "TreatMissingData": alarm.get("TreatMissingData") or "",
        "EvaluateLowSampleCountPercentile": alarm.get("EvaluateLowSampleCountPercentile") or "",
    }


def _time(seconds: float) -> str:
    """A time as in CloudWatch's messages, such as 2019-05-29T21:44:37.391+0000."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}+0000"


def _first(params: Any, name: str) -> str:
    value = params.get(name) or ""
    return str(value[0] if isinstance(value, list) else value)
