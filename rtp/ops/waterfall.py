"""A trace as rows, each where it belongs: segments, what they raised, and the log lines written meanwhile. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.loglines import LogEvent
    from rtp.ops.segments import Problem, Segment, Trace

_TOLERANCE_MS = 1.5  # a log line's time has whole milliseconds


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a segment with what it raised, or a log line within one. Exactly one of segment and log is given."""

    depth: int
    offset_ms: float
    segment: Segment | None = None
    log: LogEvent | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Exceptions of the segment."""
        return self.segment.exceptions if self.segment else ()


def rows(trace: Trace, logs: Sequence[LogEvent] = ()) -> list[Row]:
    """Rows in the order in which they are drawn. Log lines stand under the innermost segment that ran just then."""
    walked = trace.walk()
    start = trace.start_ms
    placed: dict[int, list[LogEvent]] = {}
    for log in logs:
        placed.setdefault(_home(walked, log, start), []).append(log)
    found: list[Row] = []
    for index, (depth, segment) in enumerate(walked):
        found.append(Row(depth, segment.offset_ms, segment=segment))
        found += [Row(depth + 1, _offset(log, start), log=log) for log in _sorted(placed.get(index, ()))]
    found += [Row(0, _offset(log, start), log=log) for log in _sorted(placed.get(-1, ()))]
    return found


def bar(offset_ms: float, duration_ms: float | None, total_ms: float, width: int) -> tuple[int, int]:
    """Column and length of a bar: at least one column wide, never outside of `width`. Unended bars reach the end."""
    if width <= 0:
        return 0, 0
    if total_ms <= 0:
        return 0, width
    first = min(width - 1, max(0, int(offset_ms / total_ms * width)))
    if duration_ms is None:
        return first, width - first
    last = min(float(width), (offset_ms + duration_ms) / total_ms * width)
    return first, max(1, min(width - first, round(last - first)))


def _home(walked: list[tuple[int, Segment]], log: LogEvent, start: int) -> int:
    """Index of the innermost segment of the line's function that ran at its time; -1 for none."""
    offset = _offset(log, start)
    best, best_depth, function_depth = -1, -1, -1
    for index, (depth, segment) in enumerate(walked):
        if function_depth >= 0 and depth <= function_depth:
            function_depth = -1
        if function_depth < 0:
            if not segment.name.endswith(f"-{log.function}"):
                continue
            function_depth = depth
        end = segment.offset_ms + (segment.duration_ms if segment.duration_ms is not None else float("inf"))
        runs = segment.offset_ms - _TOLERANCE_MS <= offset <= end + _TOLERANCE_MS
        if (runs and depth > best_depth) or best < 0:
            best, best_depth = index, depth if runs else -1
    return best


def _offset(log: LogEvent, start: int) -> float:
    return float(times.parse_when(log.timestamp) - start)


def _sorted(logs: Sequence[LogEvent]) -> list[LogEvent]:
    return sorted(logs, key=lambda log: log.timestamp)
