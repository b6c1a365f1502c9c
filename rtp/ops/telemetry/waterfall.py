"""A trace as rows: segments, their exceptions, and log lines below them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.telemetry.logevent import LogEvent
    from rtp.ops.telemetry.segments import Problem, Segment, Trace

_FRACTION_MS = 0.5  # the average that a log line's time in whole milliseconds omits


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a segment with its exceptions, or a log line. Exactly one of segment and log is set."""

    depth: int
    offset_ms: float
    segment: Segment | None = None
    log: LogEvent | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Exceptions of the segment."""
        return self.segment.exceptions if self.segment else ()


def rows(trace: Trace, logs: Sequence[LogEvent] = ()) -> list[Row]:
    """Rows in depth-first order; the calls and log lines of a segment by time."""
    start = trace.start_ms
    walked = trace.walk()
    placed: dict[str, list[LogEvent]] = {}
    for log in logs:
        placed.setdefault(_home(walked, log, start), []).append(log)
    rows: list[Row] = []
    waiting = _inside(0, trace.segments, placed.get("", ()), start)
    while waiting:
        row = waiting.pop()
        rows.append(row)
        if row.segment is not None:
            waiting += _inside(row.depth + 1, row.segment.segments, placed.pop(row.segment.id, ()), start)
    return rows


def split(trace: Trace, logs: Sequence[LogEvent]) -> tuple[list[LogEvent], list[tuple[Trace, list[LogEvent]]]]:
    """The log lines of a trace itself, and its linked traces, each with its own.

    A line belongs to the linked trace whose requests it names, or the only one with a segment of its function.
    """
    own, others = list(logs), []
    here = {segment.name for _, segment in trace.walk()}
    for linked in trace.linked:
        requests = {s.request_id for _, s in linked.walk() if s.request_id}
        names = {segment.name for _, segment in linked.walk()} - here
        theirs = [
            log for log in own if log.request_id in requests or any(name.endswith(f"-{log.function}") for name in names)
        ]
        own = [log for log in own if log not in theirs]
        others.append((linked, theirs))
    return own, others


def is_framework(frame: str) -> bool:
    """Whether a frame of a stack, `file:line in function`, is rtp's, a package's or Python's and not the user's."""
    return frame.startswith(("rtp/runtime/", "/")) or "site-packages/" in frame


def bar(offset_ms: float, duration_ms: float | None, total_ms: float, width: int) -> tuple[int, int]:
    """Column and length of a bar: at least one column, within `width`. Without a duration it reaches the end."""
    if width <= 0:
        return 0, 0
    if total_ms <= 0:
        return 0, width
    first = int(min(width - 1.0, max(0.0, offset_ms / total_ms * width)))
    if duration_ms is None:
        return first, width - first
    last = min(float(width), max(0.0, (offset_ms + duration_ms) / total_ms * width))
    return first, max(1, min(width - first, round(last - first)))


def _inside(depth: int, segments: Sequence[Segment], logs: Sequence[LogEvent], start: int) -> list[Row]:
    """The rows directly below a segment, the last one first."""
    rows = [Row(depth, s.offset_ms, segment=s) for s in segments]
    # A line's time lacks its fraction: one of the same millisecond as the start of a call goes below the call.
    rows += [Row(depth, _offset(log, start) + _FRACTION_MS, log=log) for log in logs]
    return sorted(rows, key=lambda row: row.offset_ms, reverse=True)


def _home(walked: list[tuple[int, Segment]], log: LogEvent, start: int) -> str:
    """Id of the innermost segment of the line's function at its time, without calls of AWS; empty if there is none."""
    offset = _offset(log, start)
    first, best, best_depth = "", "", -1
    services: list[tuple[int, str]] = []  # depth and name of the enclosing services
    for depth, segment in walked:
        while services and depth <= services[-1][0]:
            services.pop()
        if segment.origin or not services:
            services.append((depth, segment.name))
        if segment.namespace == "aws" or not services[-1][1].endswith(f"-{log.function}"):
            continue
        first = first or segment.id
        end = segment.offset_ms + (segment.duration_ms if segment.duration_ms is not None else float("inf"))
        runs = segment.offset_ms - _FRACTION_MS * 2 <= offset <= end + _FRACTION_MS * 2
        if runs and depth > best_depth and not (log.kind == "platform" and best):
            best, best_depth = segment.id, depth
    return best or first


def _offset(log: LogEvent, start: int) -> float:
    return float(log.when - start)
