"""Metrics on their way to CloudWatch, and what an alarm makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtp.local.message_list import Messages
from rtp.local.metrics import MAX_VALUES, Metrics, Place, record_embedded
from rtp.local.patches.alarms import new_state
from rtp.local.sampling import compact, measured

HERE = Place("000000000000", "us-east-1")


def taken(metrics: Metrics) -> list[dict[str, Any]]:
    return [datum for _, _, data in metrics.take() for datum in data]


def test_equal_values_are_counted_and_taken_once() -> None:
    metrics = Metrics()
    for value in (1, 1, 2, 1):
        metrics.record(HERE, "N", "M", value, "Count", {"D": "x"})
    (datum,) = taken(metrics)
    assert dict(zip(datum["Values"], datum["Counts"], strict=True)) == {1.0: 3, 2.0: 1}
    assert datum["Dimensions"] == [{"Name": "D", "Value": "x"}]
    assert taken(metrics) == []


def test_many_values_are_split_at_the_limit_of_put_metric_data() -> None:
    metrics = Metrics()
    for value in range(MAX_VALUES * 2 + 1):
        metrics.record(HERE, "N", "M", value, "Count", {})
    assert [len(datum["Values"]) for datum in taken(metrics)] == [MAX_VALUES, MAX_VALUES, 1]


@pytest.mark.parametrize("value", [0, 0.001, 1.23456, 999.9, 123456])
def test_a_measurement_is_rounded_within_a_per_cent_and_a_count_is_exact(value: float) -> None:
    metrics = Metrics()
    metrics.record(HERE, "N", "M", value, "Milliseconds", {})
    metrics.record(HERE, "N", "C", value, "Count", {})
    measured_value, counted = (datum["Values"] for datum in taken(metrics))
    assert measured_value == pytest.approx([value], rel=0.011)
    assert counted == [value]


def test_similar_measurements_are_counted_together() -> None:
    metrics = Metrics()
    for n in range(1000):
        metrics.record(HERE, "N", "M", 10 + n / 100, "Milliseconds", {})
    assert len(taken(metrics)[0]["Values"]) < 50


def embedded(**changes: Any) -> str:
    body: dict[str, Any] = {
        "_aws": {
            "CloudWatchMetrics": [
                {
                    "Namespace": "rtp",
                    "Dimensions": [["env"], ["env", "function"]],
                    "Metrics": [{"Name": "Processed", "Unit": "Count"}, {"Name": "Time"}],
                }
            ]
        },
        "env": "local",
        "function": "worker",
        "Processed": 2,
        "Time": [1, 2.0],
    }
    return json.dumps(body | changes)


def test_embedded_metrics_are_recorded_by_every_set_of_dimensions() -> None:
    metrics = Metrics()
    record_embedded(metrics, HERE, embedded())
    data = taken(metrics)
    assert len(data) == 4
    time = next(d for d in data if d["MetricName"] == "Time" and len(d["Dimensions"]) == 2)
    assert (time["Values"], time["Unit"]) == ([1.0, 2.0], "None")


@pytest.mark.parametrize(
    "line",
    [
        "plain text",
        '{"_aws": 3}',
        '"_aws"',
        '{"_aws": {"CloudWatchMetrics": 7}}',
        "{not json _aws",
        embedded(Processed="many", Time=None),
        embedded(Processed=True, Time="x"),
        embedded(Processed=10**400, Time=[]),
        embedded(Processed=float("inf"), Time=float("nan")),
        '{"_aws": {"CloudWatchMetrics": [7, "x", {"Metrics": 3}]}}',
        '{"_aws": {"CloudWatchMetrics": [{"Metrics": [{"Unit": {}}], "Dimensions": [[[]]]}]}}',
        '{"_aws": ' + "[" * 60_000,
    ],
    ids=range(12),
)
def test_other_lines_have_no_metrics(line: str) -> None:
    metrics = Metrics()
    record_embedded(metrics, HERE, line)
    assert taken(metrics) == []


@pytest.mark.parametrize(
    ("missing", "needed", "periods", "expected"),
    [
        ("notBreaching", 1, [None], "OK"),
        ("notBreaching", 1, [True], "ALARM"),
        ("notBreaching", 2, [True, None], "OK"),
        ("notBreaching", 2, [True, True], "ALARM"),
        ("breaching", 2, [True, None], "ALARM"),
        ("missing", 1, [None, None], "INSUFFICIENT_DATA"),
        ("missing", 2, [True, None], "ALARM"),
        ("missing", 2, [True, False], "OK"),
        ("ignore", 1, [None], None),
        ("ignore", 1, [False], "OK"),
    ],
)
def test_an_alarm_s_state(missing: str, needed: int, periods: list[bool | None], expected: str | None) -> None:
    alarm = {"TreatMissingData": missing, "EvaluationPeriods": len(periods), "DatapointsToAlarm": needed}
    assert new_state(alarm, periods) == expected


def test_a_queue_is_measured() -> None:
    now = 1000.0
    messages = [
        {"visible_at": 900, "sent_at": 900, "receive_count": 0},
        {"visible_at": 2000, "sent_at": 950, "receive_count": 1},
        {"visible_at": 2000, "sent_at": 960, "receive_count": 0},
        {"visible_at": 990, "sent_at": 10, "receive_count": 9},
    ]
    assert {name: value for name, value, _ in measured(Messages(messages), now)} == {
        "ApproximateNumberOfMessagesVisible": 2,
        "ApproximateNumberOfMessagesNotVisible": 1,
        "ApproximateNumberOfMessagesDelayed": 1,
        "ApproximateAgeOfOldestMessage": 100,
    }


def test_old_points_are_merged_and_very_old_ones_dropped() -> None:
    now = 200_000.0
    old = [{"Timestamp": now - 2000 + n / 10, "Value": 1.0, "Unit": "Count"} for n in range(100)]
    new = [{"Timestamp": now - n, "Value": 1.0, "Unit": "Count"} for n in range(10)]
    gone = [{"Timestamp": now - 100_000, "Value": 1.0, "Unit": "Count"}]
    kept = compact([*gone, *old, *new], now)
    assert len(kept) <= 12
    assert sum(p.get("Count", 1) for p in kept) == 110
    assert compact(kept, now) == kept


def test_after_an_hour_only_sums_remain() -> None:
    now = 200_000.0
    points = [{"Timestamp": now - 7200 + n / 10, "Value": float(n), "Unit": "Count"} for n in range(100)]
    kept = compact(compact(points, now - 6000), now)
    sets = [p["_stat"] for p in kept]
    assert len(sets) <= 2
    assert sum(s["SampleCount"] for s in sets) == 100
    assert sum(s["Sum"] for s in sets) == sum(range(100))
    assert max(s["Maximum"] for s in sets) == 99
    assert compact(kept, now) == kept
