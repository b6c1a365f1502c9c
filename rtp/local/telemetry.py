"""Traces and metrics of one engine, to which the patches report."""

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
        """Delete everything, as a reset of the engine does."""
        self.traces.clear()
        for _ in self.metrics.take():
            pass
