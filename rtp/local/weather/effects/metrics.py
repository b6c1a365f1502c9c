"""Metrics arrive minutes late, and alarms change their state late."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.weather.call import Call, Response


class Metrics(Effect):
    """The latest data points are missing."""

    name = "metrics"
    summary = f"A data point can be read only some time after its period has begun ({delays.METRIC})."
    source = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/publishingMetrics.html"

    async def after(self, call: Call, response: Response) -> Response:
        """The response without the latest points."""
        if not response.ok or call.protocol != "json" or call.service != "cloudwatch":
            return response
        latest = self.now() - delays.METRIC.draw(self.random)
        document = response.document
        if call.operation == "GetMetricStatistics":
            points = document.get("Datapoints", [])
            shown = [p for p in points if float(p["Timestamp"]) <= latest]
            return response if len(shown) == len(points) else response.with_document({**document, "Datapoints": shown})
        if call.operation == "GetMetricData":
            results = document.get("MetricDataResults", [])
            cut = [_until(result, latest) for result in results]
            return response if cut == results else response.with_document({**document, "MetricDataResults": cut})
        return response


class AlarmStates(Effect):
    """An alarm shows its previous state for a while."""

    name = "alarm-states"
    summary = f"An alarm shows a new state only some time after the change ({delays.ALARM})."
    source = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html"

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._seen: dict[str, dict[str, Any]] = {}

    async def after(self, call: Call, response: Response) -> Response:
        """The states that were seen before, of alarms that have just changed."""
        if not response.ok or call.protocol != "json" or not call.named("cloudwatch", "DescribeAlarms"):
            return response
        document, changed = dict(response.document), False
        for key in ("MetricAlarms", "CompositeAlarms"):
            alarms = document.get(key) or []
            shown = [self._as_seen(alarm) for alarm in alarms]
            changed |= shown != alarms
            document[key] = shown
        return response.with_document(document) if changed else response

    def _as_seen(self, alarm: dict[str, Any]) -> dict[str, Any]:
        name, updated = str(alarm.get("AlarmName")), float(alarm.get("StateUpdatedTimestamp") or 0)
        previous = self._seen.get(name)
        if previous is None or self.now() >= updated + delays.ALARM.of(f"{name} {updated}"):
            names = ("StateValue", "StateReason", "StateUpdatedTimestamp")
            self._seen[name] = {n: alarm[n] for n in names if n in alarm}
            return alarm
        return {**alarm, **previous}


def _until(result: dict[str, Any], latest: float) -> dict[str, Any]:
    pairs = zip(result.get("Timestamps") or (), result.get("Values") or (), strict=True)
    shown = [(time, value) for time, value in pairs if float(time) <= latest]
    return {**result, "Timestamps": [time for time, _ in shown], "Values": [value for _, value in shown]}
