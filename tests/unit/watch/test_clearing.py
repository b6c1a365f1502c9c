"""What an alarm that fires measures now, when it clears, when the last attempt failed, and whose code runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.aws.alarms import Alarm, alarms
from rtp.aws.functions import Function
from rtp.ops.local_release import LocalCode
from rtp.ops.telemetry import clearing, running_code
from rtp.text import times
from tests.unit.watch.test_status import ENV, NOW, FakeAws, alarm, drawn, read

if TYPE_CHECKING:
    from rtp.aws import Aws

NOW_S = NOW // 1000
SUM = Alarm("shop-dev-worker-failures", "ALARM", "", None, "", "EventsFailed", 5.0, False, 300, 1, True, ({"Id": "m"},))
LEVEL = replace(SUM, name="shop-dev-dlq-messages", threshold=1.0, is_sum=False, period_s=60)
METRIC = {
    "Namespace": "AWS/SQS",
    "MetricName": "ApproximateNumberOfMessagesVisible",
    "Dimensions": [{"Name": "QueueName", "Value": "shop-dev-dlq"}],
    "Statistic": "Maximum",
    "Period": 300,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
}


def test_a_sum_clears_when_the_periods_above_its_limit_are_over() -> None:
    start = NOW_S - 400
    found = clearing.of(SUM, [(start - 300, 9.0), (start, 7.0), (start + 300, 0.0)], now=NOW)
    assert (found.value, found.limit) == (0.0, 5.0)
    assert found.clears == times.iso((start + 600 + 60) * 1000)


def test_a_level_above_its_limit_has_to_fall_first() -> None:
    assert clearing.of(LEVEL, [(NOW_S - 60, 10.0)], now=NOW) == clearing.Clearing(LEVEL.name, 10.0, 1.0, None)
    assert clearing.of(LEVEL, [(NOW_S - 120, 10.0), (NOW_S - 30, 0.0)], now=NOW).clears == times.iso(NOW + 60_000)


def test_without_data_an_alarm_clears_at_the_next_evaluation() -> None:
    assert clearing.of(SUM, [], now=NOW) == clearing.Clearing(SUM.name, 0.0, 5.0, times.iso(NOW + 60_000))


def test_the_values_of_an_alarm_are_read_by_its_own_queries() -> None:
    described: dict[str, Any] = {
        **alarm("a", "ALARM"),
        "Threshold": 1.0,
        "EvaluationPeriods": 3,
        "Metrics": [
            {"Id": "both", "Expression": "FILL(x, 0)", "Period": 60, "ReturnData": True},
            {"Id": "x", "MetricStat": {"Metric": {}, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
        ],
    }
    moment = datetime.fromtimestamp(NOW_S - 60, UTC)
    answer = [
        {"Id": "both", "Timestamps": [moment], "Values": [3.0], "StatusCode": "Complete"},
        {"Id": "x", "Timestamps": [moment], "Values": [1.0], "StatusCode": "Complete"},
    ]
    fake = FakeAws(describe_alarms=[described], get_metric_data=answer)
    (found,) = alarms(cast("Aws", fake), ["a"])
    assert (found.period_s, found.periods, found.is_sum) == (60, 3, True)
    (cleared,) = clearing.read(cast("Aws", fake), [found], now=NOW)
    assert cleared.value == 3.0
    assert fake.asked[-1][1]["MetricDataQueries"] == described["Metrics"]
    partial = FakeAws(get_metric_data=[answer[0] | {"StatusCode": "InternalError"}])
    assert clearing.read(cast("Aws", partial), [found], now=NOW) == []


def test_status_shows_the_present_number_beside_its_limit_and_when_the_last_attempt_failed() -> None:
    records = [
        {
            "id": {"S": "e1"},
            "timestamp": {"N": str(NOW - 90_000)},
            "attempted_at": {"N": str(NOW - 60_000)},
            "status": {"S": "dead"},
            "error": {"M": {"type": {"S": "KeyError"}, "message": {"S": "'a'"}, "signature": {"S": "KeyError: *"}}},
        }
    ]
    firing = {**alarm("shop-dev-dlq-messages", "ALARM", "fired"), **METRIC}

    def values(params: dict[str, Any]) -> list[dict[str, Any]]:
        moment = datetime.fromtimestamp(NOW_S - 60, UTC)
        return [{"Id": q["Id"], "Timestamps": [moment], "Values": [10.0]} for q in params["MetricDataQueries"]]

    found = read(FakeAws(describe_alarms=[firing], get_metric_data=values, query=records))
    assert found.last_failure == times.iso(NOW - 60_000)
    shown = drawn(found)
    assert "✗ alarm dlq-messages: fired\n    10 now; clears once it is below 1\n" in shown
    assert "last failed attempt 1m ago" in shown
    assert "dead in 14 days: KeyError: 'a'" in shown


@pytest.mark.parametrize(("local", "differs"), [("same", False), ("other", True), ("", None)])
def test_the_code_is_compared_with_the_folders(local: str, differs: bool | None) -> None:
    function = Function("f", "Active", "Successful", "", "python3.12", 256, 30, "2027-01-15T08:00:00.000+0000", "same")
    code = running_code.code([function], LocalCode(local, "0123456789ab", {"same": "ba9876543210"}))
    assert (code.changed, code.differs) == ("2027-01-15T08:00:00.000Z", differs)
    assert code.release == "ba9876543210"
    assert running_code.code([replace(function, code_sha256="", changed="")], LocalCode("x")).differs is None


def test_a_change_after_the_deploy_and_other_code_are_said_below_the_deploy() -> None:
    found = read(FakeAws())
    later = times.iso(NOW - 60_000)
    deployed = replace(found.stack, deployed=times.iso(NOW - 3_600_000))
    shown = drawn(replace(found, stack=deployed, code=running_code.Code(later, True, "ba9876543210", "0123456789ab")))
    assert "functions changed" in shown and "(1m ago) after the deploy, such as by a hotswap" in shown
    assert "release ba9876543210; " in shown
    assert "the code differs from this folder, which is 0123456789ab" in shown
    quiet = drawn(replace(found, stack=deployed, code=running_code.Code(deployed.deployed, False)))
    assert "functions changed" not in quiet and "differs" not in quiet
    assert ENV.name == found.env
