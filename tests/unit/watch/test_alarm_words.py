"""CloudWatch's reason for an alarm's state is said in words, with the metric's unit, the period and the limit."""

from __future__ import annotations

import pytest

from rtp.contract import Alarm
from rtp.ops.telemetry.alarm_words import explained, measured

ONE = "Threshold Crossed: 1 out of the last 1 datapoints [{} (27/11/26 20:15:00)] was {}greater than or equal to the "
ONE += "threshold ({}) (minimum 1 datapoint for OK -> ALARM transition)."
LOCAL = "Threshold Crossed: 1 datapoint [{}] was greater than or equal to the threshold ({})."
MORE = "Threshold Crossed: 3 out of the last 3 datapoints [25000.0 (27/11/26 20:17:00), 21000.0 (27/11/26 20:16:00), "
MORE += "20000.0 (27/11/26 20:15:00)] were greater than or equal to the threshold (20000.0)."


@pytest.mark.parametrize(
    ("alarm", "reason", "words"),
    [
        (Alarm.DLQ_MESSAGES, LOCAL.format("1", "1"), "1 message in the DLQ, limit 1"),
        (Alarm.DLQ_MESSAGES, ONE.format("1200.0", "", "1.0"), "1,200 messages in the DLQ, limit 1"),
        (Alarm.WORKER_FAILURES, LOCAL.format("8", "5"), "8 failed attempts in 5 minutes, limit 5"),
        (Alarm.LAMBDA_ERRORS, ONE.format("0.0", "not ", "5.0"), "0 function errors in 5 minutes, limit 5"),
        (Alarm.QUEUE_AGE, ONE.format("360.0", "", "300.0"), "the oldest message waited 6m, limit 5m"),
        (Alarm.LAMBDA_DURATION, MORE, "the slowest 5 % of runs took 25s, 21s and 20s, limit 20s"),
        ("worker-rollout-errors", LOCAL.format("3", "1"), "3, limit 1"),
    ],
    ids=lambda value: "" if value.startswith("Threshold") else value,
)
def test_a_crossed_threshold_is_said_with_its_unit_and_limit(alarm: str, reason: str, words: str) -> None:
    assert explained(alarm, reason, 300) == words


@pytest.mark.parametrize("rest", ["1 period and 1 missing datapoint was treated as [NonBreaching].", "3 period(s)."])
def test_missing_data_counts_as_ok(rest: str) -> None:
    reason = f"Threshold Crossed: no datapoints were received for {rest}"
    assert explained(Alarm.API_4XX, reason, 300) == "no data, which counts as OK"


@pytest.mark.parametrize("reason", ["set by hand.", "Unchecked: Initial alarm creation", "", "Threshold Crossed: [x]."])
def test_another_reason_stays_as_it_is(reason: str) -> None:
    assert explained(Alarm.API_5XX, reason, 300) == reason.rstrip(".")


def test_the_metric_is_named_with_its_period() -> None:
    assert measured("EventsFailed", 300, 1) == "EventsFailed over 5 minutes"
    assert measured("Duration", 60, 3) == "Duration over 1 minute, 3 times in a row"
    assert measured("", 300, 1) == ""
