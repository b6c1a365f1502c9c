"""The log lines of a trace: those that name it, and the prints and reports of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rtp.ops.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws import Aws
    from rtp.ops.telemetry.logs import LogEvent
    from rtp.ops.telemetry.segments import Trace

BEFORE_MS, AFTER_MS = 5_000, 60_000  # around the trace: clocks differ, and Lambda reports after the end
MOST = 2_000  # lines
REQUESTS = 10


class TraceLines(NamedTuple):
    """Log lines in time order, each once. more: whether there are more than were read."""

    lines: list[LogEvent]
    more: bool = False


def of(aws: Aws, outputs: Mapping[str, str], trace: Trace) -> TraceLines:
    """The log lines of a trace and of its linked traces."""
    lines: dict[tuple[str, int, str], LogEvent] = {}
    more = False
    for one in (trace, *trace.linked):
        more |= _read(aws, outputs, one, lines)
    return TraceLines(sorted(lines.values(), key=lambda e: (e.timestamp, e.at)), more)


def _read(aws: Aws, outputs: Mapping[str, str], trace: Trace, lines: dict[tuple[str, int, str], LogEvent]) -> bool:
    """Add the lines of a trace; returns whether there are more."""
    since = trace.start_ms - BEFORE_MS
    until = trace.start_ms + int(trace.duration_ms) + AFTER_MS
    requests = list(dict.fromkeys(s.request_id for _, s in trace.walk() if s.request_id and "Lambda" in s.origin))
    queries = [logs.LogQuery(since=since, until=until, trace_id=trace.id)]
    queries += [logs.LogQuery(since=since, until=until, request_id=r) for r in requests[:REQUESTS]]
    for query in queries:
        for event in logs.read(aws, outputs, query):
            # An invocation's trace has the events of a batch, whose lines name the traces of their messages.
            is_own = event.trace_id in (None, trace.id) or event.id in trace.event_ids
            if event.kind == "metrics" or not is_own:
                continue
            if len(lines) >= MOST:
                return True
            lines.setdefault((event.function, event.at, event.raw), event)
    return len(requests) > REQUESTS
