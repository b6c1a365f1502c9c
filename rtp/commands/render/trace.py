"""Render a trace as a waterfall with its exceptions and log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.commands.render.logs import frames, message
from rtp.ops.telemetry import timeline
from rtp.ops.telemetry.waterfall import Row, is_framework, rows, split
from rtp.terminal import width as width_of
from rtp.text import times
from rtp.text.elements import Element, Heading, Line, Style, Text, bad, dim, line, name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.telemetry.logevent import LogEvent
    from rtp.ops.telemetry.segments import Problem, Segment, Trace
    from rtp.ops.telemetry.timeline import Axis

_TIME = 8  # columns of a duration
_FRAMES = 3
_LOUD = {"WARNING": Style.WARN, "ERROR": Style.BAD, "CRITICAL": Style.BAD}


def waterfall(
    trace: Trace, logs: Sequence[LogEvent], *, width: int, block: str = "█", stack: str = ""
) -> list[Element]:
    """Render a trace in `width` columns, and its linked traces below it.

    block: character of the bars; stack: prefix to leave out of resource names.
    """
    own, others = split(trace, logs)
    elements = [*_head(trace), *_waterfall(trace, own, width=width, block=block, stack=stack)]
    for linked, lines in others:
        elements += [Heading(f"Linked trace {linked.id}")]
        elements += _waterfall(linked, lines, width=width, block=block, stack=stack)[1:]
    if not logs:
        elements.append(line(dim("no log lines of this trace")))
    return elements


def _waterfall(trace: Trace, logs: Sequence[LogEvent], *, width: int, block: str, stack: str) -> list[Element]:
    shown = rows(trace, logs)
    raised = {p.message for row in shown for p in row.problems}
    labels = [width_of.columns(_label(row, stack)) for row in shown if row.segment]
    label_width = min(max([*labels, 20]) + 1, max(20, width * 55 // 100))
    bar_width = width - label_width - _TIME - 2
    elements: list[Element] = [Heading("Waterfall")]
    bar_width = bar_width if bar_width >= 8 else 0
    axis = timeline.axis(trace, bar_width)
    elements += [line(dim(parts))] if (parts := axis.parts()) else []
    begun = 1
    for row in shown:
        if row.log is not None:
            elements += _log(row.log, "  " * row.depth, raised)
        elif row.segment is not None:
            elements += _waits(axis, begun, row, label_width)
            begun = max(begun, axis.begun(row.segment.offset_ms))
            elements += _segment(row, row.segment, _label(row, stack), axis, label_width, block)
    if not trace.segments:
        elements.append(line(dim("no segments")))
    return elements


def _waits(axis: Axis, begun: int, row: Row, label_width: int) -> list[Element]:
    """The waits before the attempts that begin with this row, in the queue or for the next attempt."""
    elements: list[Element] = []
    for n in range(begun, axis.begun(row.offset_ms) if axis.width else 0):
        first, length = axis.gap(n - 1)
        label = width_of.left(width_of.cut("  " * row.depth + "waits", label_width - 1), label_width)
        took = times.span(axis.waits()[n - 1]).rjust(_TIME)
        elements.append(line(dim(f"{label}{took}  {' ' * first}{'·' * length}")))
    return elements


def outcome(*, fault: bool, error: bool, throttle: bool, partial: bool = False) -> Text:
    """The outcome of a trace or segment in a word."""
    if throttle:
        return Text("throttle", Style.WARN)
    if fault:
        return bad("fault")
    if error:
        return Text("error", Style.WARN)
    return dim("running") if partial else Text("ok", Style.GOOD)


def _head(trace: Trace) -> list[Element]:
    how = outcome(fault=trace.fault, error=trace.error, throttle=trace.throttle, partial=trace.partial)
    began = times.stamp(trace.start_ms)
    elements: list[Element] = [line(name(trace.id), f"  {began}  {times.span(trace.duration_ms)}  ", how)]
    if trace.event_ids:
        more = len(trace.event_ids) - 3
        shown = ", ".join(trace.event_ids[:3]) + (f" and {more} more" if more > 0 else "")
        elements.append(line(dim("event "), shown))
    shown_below = {linked.id for linked in trace.linked}
    if others := [link for link in trace.links if link not in shown_below]:
        more = len(others) - 3
        elements.append(line(dim("linked "), ", ".join(others[:3]) + (f" and {more} more" if more > 0 else "")))
    return elements


def _segment(row: Row, segment: Segment, label: str, axis: Axis, label_width: int, block: str) -> list[Element]:
    label = width_of.cut(label, label_width - 1)
    took = times.span(segment.duration_ms) if segment.duration_ms is not None else "running"
    parts = [Text(width_of.left(label, label_width), _style(segment, Style.STRONG if row.depth == 0 else Style.PLAIN))]
    parts.append(dim(took.rjust(_TIME) + "  "))
    if axis.width:
        first, length = axis.place(segment.offset_ms, segment.duration_ms)
        drawn = "".join("·" if axis.is_wait(n) else block for n in range(first, first + length))
        parts.append(Text(" " * first + drawn, _style(segment, Style.NAME)))
    return [Line(tuple(parts)), *(v for p in row.problems for v in _problem(p, "  " * (row.depth + 1)))]


def _label(row: Row, stack: str) -> str:
    segment = row.segment
    if segment is None:
        return ""
    what = segment.name
    if stack and what.startswith(f"{stack}-"):
        what = what[len(stack) + 1 :]
    if segment.origin == "AWS::Lambda":
        what += " (Lambda)"
    operation = segment.aws.get("operation")
    if isinstance(operation, str) and operation:
        what += f" {operation}"
    answer = segment.http.get("response")
    code = answer.get("status") if isinstance(answer, dict) else None
    if isinstance(code, int) and code >= 400:
        what += f" {code}"
    return "  " * row.depth + what


def _style(segment: Segment, fine: Style) -> Style:
    if segment.fault:
        return Style.BAD
    return Style.WARN if segment.error or segment.throttle else fine


def _problem(problem: Problem, indent: str) -> list[Element]:
    elements: list[Element] = [line(f"{indent}", bad(f"✗ {problem.type}: {problem.message}"))]
    inner = problem.stack[-_FRAMES:]
    if len(problem.stack) > len(inner):
        elements.append(line(dim(f"{indent}  … {len(problem.stack) - len(inner)} more")))
    return elements + [_frame(frame, f"{indent}  ") for frame in inner]


def _frame(frame: str, indent: str) -> Line:
    """A frame of a stack: dimmed where it is the framework's and not the user's."""
    return line(dim(f"{indent}{frame}") if is_framework(frame) else f"{indent}{frame}")


def _log(log: LogEvent, indent: str, raised: set[str]) -> list[Element]:
    if log.kind == "platform" and log.level == "INFO" and log.step != "report":
        return []
    clock = times.clock(log.when)
    first, *rest = message(log).split("\n")
    # The segment that raised an exception shows its stack, so the log line does not repeat it.
    stack = [] if log.message in raised else frames(log)
    below = [line(dim(f"{indent}  {row}")) for row in [*rest, *stack[-_FRAMES:]] if row.strip()]
    return [line(dim(f"{indent}· {clock} "), Text(first, _LOUD.get(log.level, Style.DIM))), *below]
