"""The load of a running pipeline, from its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.aws import metrics
from rtp.aws.metrics import Series
from rtp.runtime import wire
from rtp.text import times

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.contract import Names
    from rtp.ops.capacity.load import Via

_MINUTE_S = 60
_MEAN = (
    "Sum",
    "SampleCount",
)  # their quotient is the mean of all; a mean of averages counts a quiet minute as a busy one
_LONGEST = ((6 * 3600, 60), (3 * 86_400, 300))  # (window, period) in seconds; longer windows have periods of an hour
_MISSING = {
    "rate": "No event was sent to {} in this time.",
    "size_bytes": "The size of events was not measured: SQS has no SentMessageSize of this time.",
    "duration_ms": "The duration of processors was not measured: there is no ProcessingTime of this time.",
    "failing": "The share of failed attempts was not measured: no attempt ended in this time.",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What the metrics say; None for what they do not.

    missing: a sentence for each value that is not there, by its name. rate_note: of which time rate and average are.
    """

    rate: float | None = None
    average: float | None = None
    size_bytes: int | None = None
    duration_ms: float | None = None
    failing: float | None = None
    via: Via | None = None
    missing: dict[str, str] = field(default_factory=dict)
    rate_note: str = ""


def measure(aws: Aws, names: Names, *, since_s: int, until_s: int) -> Measured:
    """The load between two times in epoch s. Raises AwsError where the metrics cannot be read."""
    window = max(_MINUTE_S, until_s - since_s)
    period = next((p for longest, p in _LONGEST if window <= longest), 3600)
    events = (("env", names.env), ("project", names.project))
    queue, function = (("QueueName", names.queue),), (("FunctionName", names.processor),)
    series = [
        Series("AWS/SQS", "NumberOfMessagesSent", queue, "Sum"),
        Series("AWS/Lambda", "Invocations", function, "Sum"),
        Series("AWS/ApiGateway", "Count", (("ApiName", names.api),), "Sum"),
        *(Series("AWS/SQS", "SentMessageSize", queue, statistic) for statistic in _MEAN),
        *(Series(wire.METRIC_NAMESPACE, "ProcessingTime", events, statistic) for statistic in _MEAN),
        *(Series(wire.METRIC_NAMESPACE, f"Events{n}", events, "Sum") for n in ("Processed", "Failed", "Rejected")),
    ]
    results = metrics.values(aws, series, since_s=since_s, until_s=until_s, period_s=period)
    sent, direct, requests = results[:3]
    size, duration = _quotient(*results[3:5]), _quotient(*results[5:7])
    processed, failed, rejected = (sum(values) for values in results[7:])
    total, attempts = sum(sent) + sum(direct), processed + failed + rejected
    values: dict[str, Any] = {
        "rate": (max(sent, default=0.0) + max(direct, default=0.0)) / period if total else None,
        "size_bytes": None if size is None else round(size),
        "duration_ms": duration,
        "failing": failed / attempts if attempts else None,
    }
    length = "minute" if period == _MINUTE_S else f"{period // 60} minutes"
    return Measured(
        **values,
        average=total / window if total else None,
        via=_via(sum(sent), sum(direct), sum(requests)) if total else None,
        missing={name: text.format(names.stack) for name, text in _MISSING.items() if values[name] is None},
        rate_note=f"The rate is that of the busiest {length}, the average that of {times.span(window * 1000)}.",
    )


def _quotient(sums: list[float], counts: list[float]) -> float | None:
    return sum(sums) / sum(counts) if sum(counts) else None


def _via(sent: float, direct: float, requests: float) -> Via:
    """The way that most events took."""
    if direct > sent:
        return "process"
    return "events" if requests - direct > sent / 2 else "queue"
