"""The dashboard's body, in CloudWatch's own form: the alarms, and a graph for each question of an on-call engineer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.runtime import wire

if TYPE_CHECKING:
    from rtp.infra.plan import Plan

_WIDTH, _HEIGHT, _COLUMNS = 8, 6, 3
_Series = list[Any]


def body(plan: Plan) -> str:
    """The dashboard's body as JSON."""
    names = plan.names
    processor, worker = ("FunctionName", names.processor), ("FunctionName", names.worker)
    api, queue, dlq = ("ApiName", names.api), ("QueueName", names.queue), ("QueueName", names.dlq)
    events = ("env", plan.env, "project", plan.project)
    graphs = [
        ("Requests", "Sum", [_series("AWS/ApiGateway", m, *api) for m in ("Count", "4XXError", "5XXError")]),
        (
            "Latency of the API, ms",
            "p95",
            [_series("AWS/ApiGateway", m, *api) for m in ("Latency", "IntegrationLatency")],
        ),
        (
            "Events",
            "Sum",
            [
                _series(wire.METRIC_NAMESPACE, f"Events{m}", *events)
                for m in ("Processed", "Failed", "Rejected", "Dead", "Duplicate")
            ],
        ),
        (
            "Queues, messages",
            "Maximum",
            [_series("AWS/SQS", "ApproximateNumberOfMessagesVisible", *name) for name in (queue, dlq)],
        ),
        ("Oldest message, s", "Maximum", [_series("AWS/SQS", "ApproximateAgeOfOldestMessage", *queue)]),
        (
            "Processing time and age at processing, ms",
            "p95",
            [_series(wire.METRIC_NAMESPACE, m, *events) for m in ("ProcessingTime", "AgeAtProcessing")],
        ),
        ("Duration of functions, ms", "p95", [_series("AWS/Lambda", "Duration", *f) for f in (processor, worker)]),
        (
            "Errors and throttles of functions",
            "Sum",
            [_series("AWS/Lambda", m, *f) for m in ("Errors", "Throttles") for f in (processor, worker)],
        ),
        (
            "Functions running",
            "Maximum",
            [_series("AWS/Lambda", "ConcurrentExecutions", *f) for f in (processor, worker)],
        ),
    ]
    alarms = {
        "type": "alarm",
        "x": 0,
        "y": 0,
        "width": _WIDTH * _COLUMNS,
        "height": 3,
        "properties": {
            "title": names.stack,
            "alarms": [plan.arn("cloudwatch", f"alarm:{names.alarm(alarm)}") for alarm in plan.alarms],
        },
    }
    widgets = [
        {
            "type": "metric",
            "x": index % _COLUMNS * _WIDTH,
            "y": 3 + index // _COLUMNS * _HEIGHT,
            "width": _WIDTH,
            "height": _HEIGHT,
            "properties": {
                "title": title,
                "region": plan.region,
                "stat": statistic,
                "period": 60,
                "view": "timeSeries",
                "metrics": series,
            },
        }
        for index, (title, statistic, series) in enumerate(graphs)
    ]
    return json.dumps({"widgets": [alarms, *widgets]})


def _series(namespace: str, metric: str, *dimensions: str) -> _Series:
    return [namespace, metric, *dimensions]
