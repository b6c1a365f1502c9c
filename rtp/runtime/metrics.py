"""CloudWatch metrics in embedded metric format: a log line per event type and invocation, no API call.

Namespace rtp; dimensions (project, env), (project, env, function) and (project, env, type). The number of types is
bounded: those that have a processor, and `other`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rtp.runtime import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.runtime.settings import Settings

OTHER = "other"
_MAX_VALUES = 100  # of one metric in one line, EMF's own limit
_UNITS = {"ProcessingTime": "Milliseconds", "AgeAtProcessing": "Milliseconds"}


class Metrics:
    """The metrics of one invocation; `lines` returns their EMF documents."""

    def __init__(
        self, settings: Settings, has_processor: Callable[[str], bool], clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._has_processor = has_processor
        self._clock = clock
        self._by_type: dict[str, dict[str, list[float]]] = {}

    def add(self, type: str, name: str, value: float = 1) -> None:
        """Add a value of a metric for an event of a type."""
        values = self._by_type.setdefault(type if self._has_processor(type) else OTHER, {})
        if name in _UNITS:
            values.setdefault(name, []).append(value)
        else:
            values.setdefault(name, [0])[0] += value

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield one document per type, and forget the values."""
        counted, self._by_type = self._by_type, {}
        settings = self._settings
        for type, metrics in counted.items():
            yield {
                "_aws": {
                    "Timestamp": int(self._clock() * 1000),
                    "CloudWatchMetrics": [
                        {
                            "Namespace": wire.METRIC_NAMESPACE,
                            "Dimensions": [
                                ["project", "env"],
                                ["project", "env", "function"],
                                ["project", "env", "type"],
                            ],
                            "Metrics": [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in metrics],
                        }
                    ],
                },
                "project": settings.project,
                "env": settings.env,
                "function": settings.function,
                "type": wire.metric_dimension(type),
                **({"release": settings.release} if settings.release else {}),  # a property: a dimension would cost
                **({} if type == wire.metric_dimension(type) else {"event_type": type}),
                **{name: values[:_MAX_VALUES] if name in _UNITS else values[0] for name, values in metrics.items()},
            }
