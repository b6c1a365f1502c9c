"""The metrics that the alarms watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from rtp.runtime import wire

if TYPE_CHECKING:
    from rtp.infra.plan import Plan

FIVE_MINUTES = Duration.minutes(5)
ONE_MINUTE = Duration.minutes(1)


def of_functions(plan: Plan, metric: str, statistic: str, period: Duration = FIVE_MINUTES) -> cloudwatch.IMetric:
    """Both functions as one series: their sum, or for anything but Sum the worse of the two.

    The local engine has no metric math: the series is that of the processor there, and the alarms `worker-failures`,
    `queue-age` and `dlq-messages` cover the worker.
    """
    processor = of_function(plan.names.processor, metric, statistic, period)
    if plan.local:
        return processor
    both = (
        "FILL(processor, 0) + FILL(worker, 0)" if statistic == "Sum" else "MAX([FILL(processor, 0), FILL(worker, 0)])"
    )
    return cloudwatch.MathExpression(
        expression=both,
        label=f"{metric} of both functions",
        period=period,
        using_metrics={
            "processor": processor,
            "worker": of_function(plan.names.worker, metric, statistic, period),
        },
    )


def of_function(name: str, metric: str, statistic: str, period: Duration = FIVE_MINUTES) -> cloudwatch.Metric:
    """Of one function."""
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name=metric,
        dimensions_map={"FunctionName": name},
        statistic=statistic,
        period=period,
    )


def of_version(name: str, alias: str, version: str, metric: str, statistic: str) -> cloudwatch.Metric:
    """One version of a function, while an alias shifts traffic to it; a point a minute."""
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name=metric,
        dimensions_map={"FunctionName": name, "Resource": f"{name}:{alias}", "ExecutedVersion": version},
        statistic=statistic,
        period=ONE_MINUTE,
    )


def of_api(plan: Plan, metric: str, statistic: str = "Sum") -> cloudwatch.Metric:
    """A metric of the API."""
    return cloudwatch.Metric(
        namespace="AWS/ApiGateway",
        metric_name=metric,
        dimensions_map={"ApiName": plan.names.api},
        statistic=statistic,
        period=FIVE_MINUTES,
    )


def of_queue(name: str, metric: str) -> cloudwatch.Metric:
    """The maximum of a metric of a queue."""
    return cloudwatch.Metric(
        namespace="AWS/SQS",
        metric_name=metric,
        dimensions_map={"QueueName": name},
        statistic="Maximum",
        period=ONE_MINUTE,
    )


def of_events(plan: Plan, metric: str, statistic: str = "Sum") -> cloudwatch.Metric:
    """A metric of the runtime. Lambda counts no error where a batch fails in part, so the runtime counts events."""
    return cloudwatch.Metric(
        namespace=wire.METRIC_NAMESPACE,
        metric_name=metric,
        dimensions_map={"env": plan.env, "project": plan.project},
        statistic=statistic,
        period=FIVE_MINUTES,
    )
