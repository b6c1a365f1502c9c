"""What the patches report to: traces and metrics of one engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtp.local.metrics import Metrics
from rtp.local.tracing.store import TraceStore


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Traces and metrics of one engine."""

    traces: TraceStore = field(default_factory=TraceStore)
    metrics: Metrics = field(default_factory=Metrics)

    def clear(self) -> None:
        """Forget everything, as the engine does when it is reset."""
        self.traces.clear()
        for _ in self.metrics.take():
            pass
