"""The engine's periodic tasks: every few seconds it measures queues, puts metrics and evaluates alarms."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from rtp.local.message_list import messages_of
from rtp.local.metrics import Place

if TYPE_CHECKING:
    from rtp.local.message_list import Messages
    from rtp.local.metrics import Metrics

log = logging.getLogger("rtp.sampling")

INTERVAL_S = 2.0
UNCHANGED_INTERVAL_S = 30.0  # an unchanged value is reported again then; the shortest period is a minute
COMPACT_INTERVAL_S = 60.0
FINE_S = 120.0  # older points are merged by minute and value
COARSE_S = 3600.0  # points older than this are merged by minute, without percentiles
KEEP_S = 24 * 3600.0


class Clockwork:
    """Runs on the server's event loop; one round takes a few milliseconds."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reported: dict[tuple[Place, str, str], tuple[float, float]] = {}
        self._compacted = time.monotonic()

    async def run(self) -> None:
        """Run rounds until cancelled; a round that fails does not end the loop."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.run_once()
            except Exception:
                log.exception("a round of the periodic tasks failed")

    async def run_once(self) -> None:
        """One round: measure, put metrics, evaluate alarms."""
        self._measure_queues()
        for place, namespace, data in self._metrics.take():
            await _put_metric_data(place, namespace, data)
        _evaluate_alarms()
        if time.monotonic() - self._compacted >= COMPACT_INTERVAL_S:
            self._compacted = time.monotonic()
            _compact_all()

    def _measure_queues(self) -> None:
        from ministack.services import sqs

        for (account, region, _), queue in list(sqs._queues._data.items()):
            name = queue["attributes"].get("QueueArn", "").rpartition(":")[2]
            for metric, value, unit in measured(messages_of(queue), time.time()):
                self._report(Place(account, region), name, metric, value, unit)

    def _report(self, place: Place, queue: str, metric: str, value: float, unit: str) -> None:
        now = time.monotonic()
        key = (place, queue, metric)
        last, at = self._reported.get(key, (None, 0.0))
        if value != last or now - at >= UNCHANGED_INTERVAL_S:
            self._reported[key] = (value, now)
            self._metrics.record(place, "AWS/SQS", metric, value, unit, {"QueueName": queue})


def measured(messages: Messages, now: float) -> list[tuple[str, float, str]]:
    """The metrics of a queue as SQS reports them: name, value and unit."""
    visible, in_flight, delayed = messages.counts(now)
    oldest = messages.oldest()
    return [
        ("ApproximateNumberOfMessagesVisible", visible, "Count"),
        ("ApproximateNumberOfMessagesNotVisible", in_flight, "Count"),
        ("ApproximateNumberOfMessagesDelayed", delayed, "Count"),
        ("ApproximateAgeOfOldestMessage", 0 if oldest is None else max(0, int(now - oldest)), "Seconds"),
    ]


async def _put_metric_data(place: Place, namespace: str, data: list[dict[str, Any]]) -> None:
    """Call PutMetricData of the engine's own API."""
    import ministack.app
    from ministack.core.responses import request_scope

    headers = {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "GraniteServiceVersion20100801.PutMetricData",
    }
    body = json.dumps({"Namespace": namespace, "MetricData": data}).encode()
    with request_scope(*place):
        status, _, answer = await ministack.app.SERVICE_HANDLERS["monitoring"]("POST", "/", headers, body, {})
    if status != 200:
        log.error("PutMetricData answered %s: %s", status, answer[:200])


def _evaluate_alarms() -> None:
    from ministack.core.responses import request_scope
    from ministack.services import cloudwatch

    for account, region in {key[:2] for key in list(cloudwatch._alarms._data)}:
        with request_scope(account, region):
            cloudwatch._evaluate_all_alarms()


def _compact_all() -> None:
    from ministack.services import cloudwatch

    now = time.time()
    for key, points in list(cloudwatch._metrics._data.items()):
        cloudwatch._metrics._data[key] = compact(points, now)


def compact(points: list[dict[str, Any]], now: float) -> list[dict[str, Any]]:
    """Merge older points, and drop those that are a day old."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    fine = []
    for point in points:
        at = point["Timestamp"]
        if at > now - FINE_S:
            fine.append(point)
        elif at > now - COARSE_S and "_stat" not in point:
            like = (int(at // 60), point.get("Unit"), point["Value"])
            if like in merged:
                merged[like]["Count"] += point.get("Count", 1.0)
            else:
                merged[like] = {**point, "Count": point.get("Count", 1.0)}
        elif at > now - KEEP_S:
            minute = (int(at // 60), point.get("Unit"))
            merged[minute] = _summed(merged[minute], point) if minute in merged else _summed(point)
    return [*merged.values(), *fine]


def _summed(*points: dict[str, Any]) -> dict[str, Any]:
    """Points as one statistic set."""
    sets = [_statistics(point) for point in points]
    count, total = sum(s["SampleCount"] for s in sets), sum(s["Sum"] for s in sets)
    summed = {
        "SampleCount": count,
        "Sum": total,
        "Minimum": min(s["Minimum"] for s in sets),
        "Maximum": max(s["Maximum"] for s in sets),
    }
    common = {key: value for key, value in points[0].items() if key != "Count"}
    return {**common, "Value": total / count if count else 0.0, "_stat": summed}


def _statistics(point: dict[str, Any]) -> dict[str, float]:
    if "_stat" in point:
        return {name: float(value) for name, value in point["_stat"].items()}
    count, value = float(point.get("Count", 1.0)), float(point["Value"])
    return {"SampleCount": count, "Sum": value * count, "Minimum": value, "Maximum": value}
