"""The load of a running pipeline, from its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import metrics
from rtp.aws.metrics import Series
from rtp.runtime import wire

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.contract import Names
    from rtp.ops.capacity.load import Via

_MINUTE_S = 60
_LONGEST = ((6 * 3600, 60), (3 * 86_400, 300))  # (window, period) in seconds; longer windows have periods of an hour


@dataclass(frozen=True, slots=True)
class Measured:
    """What the metrics say; None for what they do not. notes: what is missing, and what the numbers are."""

    rate: float | None = None
    average: float | None = None
    size_bytes: int | None = None
    duration_ms: float | None = None
    failing: float | None = None
    via: Via | None = None
    notes: list[str] = field(default_factory=list)


def measure(aws: Aws, names: Names, *, since_s: int, until_s: int) -> Measured:
    """The load between two times in epoch s. Raises AwsError where the metrics cannot be read."""
    window = max(_MINUTE_S, until_s - since_s)
    period = next((p for longest, p in _LONGEST if window <= longest), 3600)
    events = (("env", names.env), ("project", names.project))
    queue, function = (("QueueName", names.queue),), (("FunctionName", names.processor),)
    series = [
        Series("AWS/SQS", "NumberOfMessagesSent", queue, "Sum"),
        Series("AWS/SQS", "SentMessageSize", queue, "Average"),
        Series("AWS/Lambda", "Invocations", function, "Sum"),
        Series("AWS/ApiGateway", "Count", (("ApiName", names.api),), "Sum"),
        Series(wire.METRIC_NAMESPACE, "ProcessingTime", events, "Average"),
        *(Series(wire.METRIC_NAMESPACE, f"Events{n}", events, "Sum") for n in ("Processed", "Failed", "Rejected")),
    ]
    results = metrics.values(aws, series, since_s=since_s, until_s=until_s, period_s=period)
    sent, sizes, direct, requests, durations = results[:5]
    processed, failed, rejected = (sum(values) for values in results[5:])
    notes = []
    total = sum(sent) + sum(direct)
    if not total:
        notes.append(f"No event was sent to {names.stack} in this time.")
    peak = (max(sent, default=0.0) + max(direct, default=0.0)) / period
    if not sizes:
        notes.append("The size of events was not measured: SQS has no SentMessageSize of this time.")
    if not durations:
        notes.append("The duration of processors was not measured: there is no ProcessingTime of this time.")
    attempts = processed + failed + rejected
    if not attempts:
        notes.append("The share of failed attempts was not measured: no attempt ended in this time.")
    if total:
        length = "minute" if period == _MINUTE_S else f"{period // 60} minutes"
        notes.append(f"The rate is that of the busiest {length}.")
    return Measured(
        rate=peak if total else None,
        average=total / window if total else None,
        size_bytes=round(sum(sizes) / len(sizes)) if sizes else None,
        duration_ms=sum(durations) / len(durations) if durations else None,
        failing=failed / attempts if attempts else None,
        via=_via(sum(sent), sum(direct), sum(requests)) if total else None,
        notes=notes,
    )


def _via(sent: float, direct: float, requests: float) -> Via:
    """The way that most events took."""
    if direct > sent:
        return "process"
    return "events" if requests - direct > sent / 2 else "queue"
