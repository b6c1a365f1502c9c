"""Metrics of AWS's services and of functions, collected here and put to the engine's CloudWatch every few seconds."""

from __future__ import annotations

import json
import math
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_VALUES = 150  # distinct values in one datum, PutMetricData's own limit
MAX_DATA = 1000  # metrics in one call, likewise
MEASUREMENTS = ("Seconds", "Milliseconds", "Microseconds", "None")  # other units count, and counts are exact


class Place(NamedTuple):
    """The account and region that metrics belong to."""

    account: str
    region: str


class _Key(NamedTuple):
    place: Place
    namespace: str
    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]


class Metrics:
    """Values since the last put. Equal values are counted, so a busy queue costs no more than an idle one."""

    def __init__(self) -> None:
        self._values: dict[_Key, dict[float, int]] = {}
        self._lock = threading.Lock()

    def record(
        self, place: Place, namespace: str, name: str, value: float, unit: str, dimensions: Mapping[str, str]
    ) -> None:
        """Record one value. A measurement is rounded within one per cent, so that similar ones count as equal."""
        key = _Key(place, namespace, name, unit, tuple(sorted(dimensions.items())))
        exact = unit not in MEASUREMENTS or (value == int(value) and abs(value) < 1000)
        rounded = float(value) if exact else _near(value)
        with self._lock:
            counts = self._values.setdefault(key, {})
            counts[rounded] = counts.get(rounded, 0) + 1

    def take(self) -> Iterator[tuple[Place, str, list[dict[str, Any]]]]:
        """Remove and return all values, as MetricData by account, region and namespace."""
        with self._lock:
            taken, self._values = self._values, {}
        now = time.time()
        grouped: dict[tuple[Place, str], list[dict[str, Any]]] = {}
        for key, counts in taken.items():
            for part in _parts(counts):
                grouped.setdefault((key.place, key.namespace), []).append(
                    {
                        "MetricName": key.name,
                        "Dimensions": [{"Name": name, "Value": value} for name, value in key.dimensions],
                        "Timestamp": now,
                        "Unit": key.unit,
                        "Values": list(part),
                        "Counts": list(part.values()),
                    }
                )
        for (place, namespace), data in grouped.items():
            for start in range(0, len(data), MAX_DATA):
                yield place, namespace, data[start : start + MAX_DATA]


def record_embedded(metrics: Metrics, place: Place, line: str) -> None:
    """Record the metrics of a log line in the embedded metric format; other lines have none.

    CloudWatch ignores what has not its form, such as an event that a processor prints.
    """
    if '"_aws"' not in line:
        return
    with suppress(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        body = json.loads(line)
        for directive in body["_aws"]["CloudWatchMetrics"]:
            _record_directive(metrics, place, directive, body)


def _record_directive(metrics: Metrics, place: Place, directive: dict[str, Any], body: dict[str, Any]) -> None:
    for names in directive.get("Dimensions") or [[]]:
        if all(name in body for name in names):
            dimensions = {name: str(body[name]) for name in names}
            for metric in directive.get("Metrics") or ():
                for value in _numbers(body.get(metric.get("Name"))):
                    metrics.record(
                        place,
                        str(directive.get("Namespace")),
                        str(metric["Name"]),
                        value,
                        str(metric.get("Unit") or "None"),
                        dimensions,
                    )


def _near(value: float) -> float:
    """The nearest of 116 steps in each power of ten."""
    return float(f"{1.02 ** round(math.log(value, 1.02)):.4g}") if value > 0 else 0.0


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]


def _parts(counts: dict[float, int]) -> Iterator[dict[float, int]]:
    items = list(counts.items())
    for start in range(0, len(items), MAX_VALUES):
        yield dict(items[start : start + MAX_VALUES])
