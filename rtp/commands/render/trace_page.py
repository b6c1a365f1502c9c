"""Render a trace as one self-contained HTML page: no script, no network, every text escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rtp.commands.render.html_page import document, stamp, text
from rtp.commands.render.logs import frames, message
from rtp.ops.telemetry import timeline
from rtp.ops.telemetry.waterfall import Row, is_framework, rows, split
from rtp.text import json_values, times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.telemetry.logevent import LogEvent
    from rtp.ops.telemetry.segments import Problem, Segment, Trace
    from rtp.ops.telemetry.timeline import Axis

_WIDTH, _WAIT = 1000, 20  # units across, and of a wait between two attempts
_LEAST = 3  # units of a bar
_TICKS = 4  # of a trace with one attempt
_CLOSEST = 90  # units between two ticks with a label


def page(trace: Trace, logs: Sequence[LogEvent]) -> str:
    """Make the page."""
    running = "running" if trace.partial else "ok"
    how = "fault" if trace.fault else "error" if trace.error else "throttle" if trace.throttle else running
    events = f" · event {text(', '.join(trace.event_ids[:20]))}" if trace.event_ids else ""
    about = f"{stamp(trace.start_ms)} · {text(times.span(trace.duration_ms))} · {how}{events}"
    return document(f"trace {trace.id}", trace.id, about, waterfall(trace, logs))


def waterfall(trace: Trace, logs: Sequence[LogEvent]) -> str:
    """The trace's rows as HTML, then those of its linked traces, which get the log lines of their time."""
    own, others = split(trace, logs)
    body = _waterfall(trace, own)
    for linked, lines in others:
        body += f"\n<h2>Linked trace {text(linked.id)}</h2>\n{_waterfall(linked, lines)}"
    return body


def log_line(log: LogEvent) -> str:
    """A log line as HTML."""
    return _log(log, 0, set())


def _waterfall(trace: Trace, logs: Sequence[LogEvent]) -> str:
    shown = rows(trace, logs)
    if not shown:
        return "<p>no segments</p>"
    axis = timeline.axis(trace, _WIDTH, _WAIT)
    # The segment that raised an exception shows its stack, so the log line does not repeat it.
    raised = {problem.message for row in shown for problem in row.problems}
    parts = f'<p class="sub">{text(axis.parts())}</p>\n' if axis.parts() else ""
    return parts + _ticks(trace, axis) + "\n".join(_row(row, axis, raised) for row in shown)


def _ticks(trace: Trace, axis: Axis) -> str:
    """The time axis: the clock at its start, and how much later the others are."""
    starts = [start for start, _ in axis.spans]
    is_divided = len(starts) > 1
    offsets = starts if is_divided else [axis.total_ms * n / _TICKS for n in range(_TICKS)]
    labels, free = "", 0
    for offset in offsets:
        column, _ = axis.place(offset, 0)
        if column < free or column > _WIDTH - (0 if is_divided else _CLOSEST):
            continue
        label = stamp(trace.start_ms + int(offset))[11:] if not labels else f"+{times.span(offset)}"
        free = column + (_CLOSEST if labels else 2 * _CLOSEST)
        labels += f'<span style="left:{column / 10:.1f}%">{text(label)}</span>'
    if not is_divided:
        labels += f'<span class="last">+{text(times.span(axis.total_ms))}</span>'
    return f'<div class="axis"><span></span><span></span><div class="ticks">{labels}</div></div>\n'


def _row(row: Row, axis: Axis, raised: set[str]) -> str:
    if row.log is not None:
        return _log(row.log, row.depth, raised)
    return _segment(row.segment, row.depth, axis) if row.segment is not None else ""


def _segment(segment: Segment, depth: int, axis: Axis) -> str:
    how = "fault" if segment.fault else "error" if segment.error or segment.throttle else "ok"
    took = times.span(segment.duration_ms) if segment.duration_ms is not None else "running"
    operation = segment.aws.get("operation")
    label = f"{segment.name} {operation}" if isinstance(operation, str) else segment.name
    opened = " open" if segment.exceptions else ""
    return (
        f'<details class="{how}"{opened}><summary>'
        f'<span class="name" style="padding-left:{depth * 0.9:.1f}rem">{text(label)}</span>'
        f'<span class="took">{text(took)}</span>{_bar(segment, axis)}</summary>'
        f'<div class="more">{"".join(_problem(p) for p in segment.exceptions)}{_details(segment)}</div></details>'
    )


def _bar(segment: Segment, axis: Axis) -> str:
    """The bar of a segment, with a thin line where nothing runs between two attempts."""
    first, length = axis.place(segment.offset_ms, segment.duration_ms)
    first = min(first, _WIDTH - _LEAST)
    end = first + max(_LEAST, min(length, _WIDTH - first))
    pieces, at = "", first
    for start, stop in ((start, start + wide) for start, wide in map(axis.gap, range(len(axis.spans) - 1))):
        if start < end and stop > first:
            pieces += _piece(at, start) + _piece(max(at, start), min(stop, end), "wait")
            at = min(stop, end)
    return (
        f'<svg class="bar" viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">'
        f"{pieces}{_piece(at, end)}</svg>"
    )


def _piece(start: int, end: int, kind: str = "") -> str:
    if end <= start:
        return ""
    shape = 'class="wait" y="4" height="2"' if kind else 'height="10"'
    return f'<rect x="{start}" width="{end - start}" {shape}/>'


def _details(segment: Segment) -> str:
    facts: dict[str, Any] = {
        "id": segment.id,
        "origin": segment.origin,
        "start": segment.start,
        "end": segment.end,
        "annotations": segment.annotations,
        "http": segment.http,
        "aws": segment.aws,
        "metadata": segment.metadata,
    }
    return f"<pre>{text(json_values.dumps({k: v for k, v in facts.items() if v}, indent=2))}</pre>"


def _problem(problem: Problem) -> str:
    return f'<p class="problem">{text(problem.type)}: {text(problem.message)}</p>{_stack(problem.stack)}'


def _stack(stack: Sequence[str]) -> str:
    """The frames of an exception, outermost first; those that are not the user's are dimmed."""
    lines = [f'<span class="dim">{text(frame)}</span>' if is_framework(frame) else text(frame) for frame in stack]
    return f'<pre class="stack">{chr(10).join(lines)}</pre>' if lines else ""


def _log(log: LogEvent, depth: int, raised: set[str]) -> str:
    stack = "" if log.message in raised else _stack(frames(log))
    level = re.sub(r"\W", "", log.level)
    return (
        f'<div class="log {level}" style="margin-left:{depth * 0.9:.1f}rem"><span>{stamp(log.when)}</span>'
        f'<span>{text(log.level)}</span><span class="text">{text(message(log))}{stack}</span></div>'
    )
