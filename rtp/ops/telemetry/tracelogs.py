"""The log lines of a trace: those that name it, and the prints and reports of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.ops.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws import Aws
    from rtp.ops.telemetry.logs import LogEvent
    from rtp.ops.telemetry.segments import Trace

BEFORE_MS, AFTER_MS = 5_000, 60_000  # around the trace: clocks differ, and Lambda reports after the end
MOST = 2_000  # lines
REQUESTS = 10


def of(aws: Aws, outputs: Mapping[str, str], trace: Trace) -> list[LogEvent]:
    """The lines in time order, each once."""
    since = trace.start_ms - BEFORE_MS
    until = trace.start_ms + int(trace.duration_ms) + AFTER_MS
    requests = dict.fromkeys(s.request_id for _, s in trace.walk() if s.request_id and "Lambda" in s.origin)
    queries = [logs.LogQuery(since=since, until=until, trace_id=trace.id)]
    queries += [logs.LogQuery(since=since, until=until, request_id=r) for r in list(requests)[:REQUESTS]]
    lines: dict[tuple[str, int, str], LogEvent] = {}
    for query in queries:
        for event in logs.read(aws, outputs, query):
            if event.kind != "metrics" and (event.trace_id in (None, trace.id)):
                lines.setdefault((event.function, event.at, event.raw), event)
            if len(lines) >= MOST:
                break
    return sorted(lines.values(), key=lambda e: (e.timestamp, e.at))
