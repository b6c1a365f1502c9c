"""Metrics and alarms: what the services and functions do is measured, and an alarm reaches its subscriber."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.engine.conftest import Lab

MEASURING = """
import json, sys
def handler(event, context):
    if event.get("fail"):
        raise RuntimeError("no")
    print(json.dumps({"_aws": {"Timestamp": 0, "CloudWatchMetrics": [{"Namespace": "rtp", "Dimensions": [["env"]],
        "Metrics": [{"Name": "EventsProcessed", "Unit": "Count"}]}]}, "env": event["env"], "EventsProcessed": 3}))
    return {"statusCode": 500 if event.get("broken") else 200, "body": "{}"}
"""
PERIOD = 60
SPEED = 30  # a minute becomes two seconds


@pytest.fixture(scope="module")
def fast(make_lab: Callable[..., Lab]) -> Lab:
    """An engine whose alarms do not wait for minutes."""
    return make_lab(RTP_LOCAL_ALARM_SPEED=str(SPEED))


def total(lab: Lab, namespace: str, metric: str, statistic: str = "Sum", **dimensions: str) -> float | None:
    now = time.time()
    points = lab.call(
        "cloudwatch",
        "get_metric_statistics",
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - 3600,
        EndTime=now + 60,
        Period=7200,
        Statistics=[statistic],
    )["Datapoints"]
    return points[0][statistic] if points else None


def test_functions_are_measured_whatever_invokes_them(lab: Lab, wait_for: Callable[..., Any]) -> None:
    # Given
    function = lab.function(MEASURING)
    _, queue_arn = lab.queue()
    base = lab.api({"process": lab.to_function(function)})
    # When
    lab.invoke(function, {"env": lab.name})
    lab.invoke(function, {"fail": True})
    lab.post(f"{base}/process", "{}")
    # Then
    name = f"{lab.name}-function"
    assert wait_for(lambda: total(lab, "AWS/Lambda", "Invocations", FunctionName=name) == 3)
    assert total(lab, "AWS/Lambda", "Errors", FunctionName=name) == 2
    assert total(lab, "AWS/Lambda", "Throttles", FunctionName=name) == 0
    assert total(lab, "AWS/Lambda", "Duration", "Maximum", FunctionName=name) > 0  # type: ignore[operator]
    assert queue_arn


def test_embedded_metrics_become_metrics(lab: Lab, wait_for: Callable[..., Any]) -> None:
    function = lab.function(MEASURING)
    for _ in range(4):
        lab.invoke(function, {"env": lab.name})
    assert wait_for(lambda: total(lab, "rtp", "EventsProcessed", env=lab.name) == 12)
    assert total(lab, "rtp", "EventsProcessed", "SampleCount", env=lab.name) == 4


def test_requests_are_measured_by_api_and_stage(lab: Lab, wait_for: Callable[..., Any]) -> None:
    # Given
    base = lab.api({"events": lab.to_queue(lab.queue()[1])})
    # When
    lab.post(f"{base}/events", "{}")
    lab.post(f"{base}/nowhere", "{}")
    # Then
    name = f"{lab.name}-api"
    assert wait_for(lambda: total(lab, "AWS/ApiGateway", "Count", ApiName=name) == 2)
    assert total(lab, "AWS/ApiGateway", "4XXError", ApiName=name, Stage="prod") == 1
    assert total(lab, "AWS/ApiGateway", "5XXError", ApiName=name) == 0
    assert total(lab, "AWS/ApiGateway", "Latency", "SampleCount", ApiName=name) == 2


def test_queues_are_measured(lab: Lab, wait_for: Callable[..., Any]) -> None:
    # Given
    url, _ = lab.queue(VisibilityTimeout="60")
    for _ in range(3):
        lab.call("sqs", "send_message", QueueUrl=url, MessageBody="x")
    # When
    handle = lab.call("sqs", "receive_message", QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    lab.call("sqs", "delete_message", QueueUrl=url, ReceiptHandle=handle)
    # Then
    name = f"{lab.name}-queue"
    assert wait_for(lambda: total(lab, "AWS/SQS", "NumberOfMessagesDeleted", QueueName=name) == 1)
    assert total(lab, "AWS/SQS", "NumberOfMessagesSent", QueueName=name) == 3
    assert total(lab, "AWS/SQS", "NumberOfMessagesReceived", QueueName=name) == 1
    assert total(lab, "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", QueueName=name) == 2
    assert wait_for(lambda: total(lab, "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", QueueName=name))


def alarm(lab: Lab, queue: str, topic: str) -> str:
    name = f"{queue}-alarm"
    lab.call(
        "cloudwatch",
        "put_metric_alarm",
        AlarmName=name,
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": queue}],
        Statistic="Maximum",
        Period=PERIOD,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[topic],
        OKActions=[topic],
    )
    return name


def state(lab: Lab, name: str) -> str:
    return str(lab.call("cloudwatch", "describe_alarms", AlarmNames=[name])["MetricAlarms"][0]["StateValue"])


def test_an_alarm_reaches_its_subscriber_and_recovers(fast: Lab, wait_for: Callable[..., Any]) -> None:
    # Given a queue with an alarm, another one that is as full, and a subscriber
    watched, _ = fast.queue("watched")
    other, _ = fast.queue("other")
    told, told_arn = fast.queue("notified")
    topic = fast.call("sns", "create_topic", Name=fast.name)["TopicArn"]
    fast.call("sns", "subscribe", TopicArn=topic, Protocol="sqs", Endpoint=told_arn)
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": "*",
            }
        ],
    }
    fast.call("sqs", "set_queue_attributes", QueueUrl=told, Attributes={"Policy": json.dumps(policy)})
    name = alarm(fast, f"{fast.name}-watched", topic)
    quiet = alarm(fast, f"{fast.name}-notified", topic)
    assert wait_for(lambda: state(fast, name) == "OK")

    def news() -> list[str]:
        found = fast.call("sqs", "receive_message", QueueUrl=told, MaxNumberOfMessages=10).get("Messages", [])
        messages = [json.loads(json.loads(m["Body"])["Message"]) for m in found]
        return [m["NewStateValue"] for m in messages if m["AlarmName"] == name]

    # When only the other queue fills
    fast.call("sqs", "send_message", QueueUrl=other, MessageBody="x")
    time.sleep(PERIOD / SPEED + 3)
    # Then nothing is said
    assert state(fast, name) == "OK"
    news()
    # When the watched one does
    fast.call("sqs", "send_message", QueueUrl=watched, MessageBody="x")
    # Then it is notified
    assert wait_for(lambda: "ALARM" in news())
    reason = fast.call("cloudwatch", "describe_alarms", AlarmNames=[name])["MetricAlarms"][0]["StateReason"]
    assert reason == "Threshold Crossed: 1 datapoint [1] was greater than or equal to the threshold (1)."
    # When it is empty again
    fast.call("sqs", "purge_queue", QueueUrl=watched)
    # Then it is notified of that too
    assert wait_for(lambda: "OK" in news(), 15)
    history = fast.call("cloudwatch", "describe_alarm_history", AlarmName=name)["AlarmHistoryItems"]
    assert [h["HistorySummary"] for h in history].count("Alarm updated from OK to ALARM") == 1
    assert quiet
