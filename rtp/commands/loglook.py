"""How a log line looks: in one row for the eye, in detail, or as it is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp import plain, times
from rtp.view import Block, Line, Style, Text, View, dim, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rtp.ops.loglines import LogEvent

    Look = Callable[[LogEvent], list[View] | None]

_LEVELS = {
    "TRACE": ("TRACE", Style.DIM),
    "DEBUG": ("DEBUG", Style.DIM),
    "INFO": ("INFO ", Style.PLAIN),
    "WARNING": ("WARN ", Style.WARN),
    "ERROR": ("ERROR", Style.BAD),
    "CRITICAL": ("CRIT ", Style.BAD),
}
_LOUD = ("WARNING", "ERROR", "CRITICAL")
_SILENT = ("start", "end", "runtimeDone", "initStart", "extension")  # platform steps that say nothing to an operator
_INDENT = 13  # under the level, clear of the time
_FRAMES = 8


def short(width: int) -> Look:
    """One row a line, errors with their stack; what only machines read is left out."""

    def look(event: LogEvent) -> list[View] | None:
        if event.kind == "metrics" or (event.step in _SILENT and event.kind == "platform" and event.level == "INFO"):
            return None
        head, *rest = _message(event).split("\n")
        row = [*_prefix(event), Text(head, _message_style(event))]
        below: list[View] = [line(r, indent=_INDENT) for r in rest]
        tail = event.id or ""
        used = sum(len(part.text) for part in row)
        if tail and used + 2 + len(tail) <= width:
            row.append(dim("  " + tail))
        elif tail and event.level in _LOUD:
            below.append(line(dim(f"event {tail}"), indent=_INDENT))
        elif tail and used + 11 <= width:
            row.append(dim("  …" + tail[-8:]))
        return [Line(tuple(row)), *below, *_stack(event, most=_FRAMES)]

    return look


def detailed(width: int) -> Look:
    """One row a line, and below it all that the line says beside its message."""

    def look(event: LogEvent) -> list[View] | None:
        head, *rest = _message(event).split("\n")
        views: list[View] = [Line((*_prefix(event), Text(head, _message_style(event))))]
        views += [line(r, indent=_INDENT) for r in rest]
        known = {
            "event": event.id,
            "type": event.event_type,
            "step": event.step,
            "request": event.request_id,
            "trace": event.trace_id,
        }
        pairs = [f"{k}={v}" for k, v in known.items() if v]
        pairs += [f"{k}={_value(v)}" for k, v in event.fields.items()]
        views += [line(dim(row), indent=_INDENT) for row in wrapped(pairs, width - _INDENT)]
        return [*views, *_stack(event, most=None)]

    return look


def wrapped(words: Iterable[str], width: int) -> list[str]:
    """Words in rows of at most `width`, two spaces apart; a longer word has a row of its own."""
    rows: list[str] = []
    for word in words:
        if rows and len(rows[-1]) + 2 + len(word) <= width:
            rows[-1] += "  " + word
        else:
            rows.append(word)
    return rows


def _prefix(event: LogEvent) -> tuple[Text, ...]:
    label, style = _LEVELS.get(event.level, (event.level[:5].ljust(5), Style.PLAIN))
    return (
        dim(times.clock(times.parse_when(event.timestamp)) + " "),
        Text(label + " ", style),
        Text(event.function.ljust(9) + " ", Style.NAME),
    )


def _message(event: LogEvent) -> str:
    error = event.fields.get("error")
    kind = event.fields.get("error_type") or event.fields.get("errorType")
    said = ": ".join(str(part) for part in (kind, error) if part and str(part) not in event.message)
    return f"{event.message}: {said}" if said and event.kind != "platform" else event.message


def _message_style(event: LogEvent) -> Style:
    if event.level in ("ERROR", "CRITICAL"):
        return Style.BAD
    if event.level == "WARNING":
        return Style.WARN
    return Style.DIM if event.kind == "platform" or event.level in ("DEBUG", "TRACE") else Style.PLAIN


def _stack(event: LogEvent, *, most: int | None) -> list[View]:
    if not event.stack:
        return []
    rows = [row for row in event.stack.split("\n") if row.strip()]
    left = len(rows) - most if most is not None else 0
    if most is not None and left > 1:  # the innermost frames tell the cause
        rows = [f"… {left} more above (--format detailed)", *rows[-most:]]
    return [Block("\n".join(rows), Style.DIM, indent=_INDENT)]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else plain.dumps(value)
