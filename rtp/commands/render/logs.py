"""Render log lines: short, in one row, or detailed. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

from rtp.ops import releases
from rtp.ops.telemetry.frames import TASK
from rtp.terminal import width as width_of
from rtp.text import json_values, times
from rtp.text.elements import HUES, Block, Element, Line, Style, Text, dim, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rtp.ops.telemetry.logevent import LogEvent
    from rtp.text.regexes import Regex

    Renderer = Callable[[LogEvent], list[Element] | None]

_LEVELS = {
    "TRACE": Text("TRACE ", Style.DIM),
    "DEBUG": Text("DEBUG ", Style.DIM),
    "INFO": Text("INFO  "),
    "WARNING": Text("WARN  ", Style.WARN),
    "ERROR": Text("ERROR ", Style.BAD),
    "CRITICAL": Text("CRIT  ", Style.BAD),
}
_LOUD = ("WARNING", "ERROR", "CRITICAL")
_HIDDEN = ("start", "end", "runtimeDone", "initStart", "extension")  # platform steps of no use to an operator
_AFTER_TIME = 17  # columns of the level, the function and the spaces around them
_ID_INDENT = 2  # of an id that does not fit beside its name: it stays whole
_INDENT = 13  # aligns with the level of a line of today
_FRAMES = 8


def short(width: int, highlight: Regex | None = None) -> Renderer:
    """Renderer of one row per line, with the stack of errors; metrics and routine platform lines are omitted.

    highlight: what to mark in the messages.
    """

    def render(event: LogEvent) -> list[Element] | None:
        if event.kind == "metrics" or (event.step in _HIDDEN and event.kind == "platform" and event.level == "INFO"):
            return None
        head, *rest = message(event).split("\n")
        below: list[Element] = [line(*marked(r, Style.PLAIN, highlight), indent=_INDENT) for r in rest]
        row = [*_prefix(event), *marked(head, _message_style(event), highlight)]
        tail = event.id or ""
        used = len(row[0].text) + _AFTER_TIME - 1 + width_of.columns(head)
        if tail and used + 2 + width_of.columns(tail) <= width:
            row.append(dim("  " + tail))
        elif tail and event.level in _LOUD:
            below.append(Line((dim(f"event {tail}"),), indent=_INDENT, hang=_ID_INDENT))
        elif tail and used + 11 <= width:
            row.append(dim("  …" + tail[-8:]))
        return [Line(tuple(row)), *below, *(_stack(event, most=_FRAMES) if event.stack else ())]

    return render


def detailed(width: int, highlight: Regex | None = None) -> Renderer:
    """Renderer of one row per line, with all other fields below. highlight: what to mark in the messages."""

    def render(event: LogEvent) -> list[Element] | None:
        head, *rest = message(event).split("\n")
        elements: list[Element] = [Line((*_prefix(event), *marked(head, _message_style(event), highlight)))]
        elements += [line(*marked(r, Style.PLAIN, highlight), indent=_INDENT) for r in rest]
        ids = {
            "event": event.id,
            "type": event.event_type,
            "step": event.step,
            "release": releases.label(event.release or ""),
            "request": event.request_id,
            "trace": event.trace_id,
        }
        pairs = [f"{k}={v}" for k, v in ids.items() if v]
        pairs += [f"{k}={_value(v)}" for k, v in event.fields.items()]
        elements += [line(dim(row), indent=_INDENT) for row in wrapped(pairs, width - _INDENT)]
        return [*elements, *_stack(event, most=None)]

    return render


def marked(text: str, style: Style, highlight: Regex | None) -> list[Text]:
    """A text of one style, in pieces where parts of it are marked."""
    if highlight is None:
        return [Text(text, style)]
    pieces, end = list[Text](), 0
    for start, stop in highlight.spans(text):
        pieces += [Text(text[end:start], style), Text(text[start:stop], Style.MARK)]
        end = stop
    return [piece for piece in [*pieces, Text(text[end:], style)] if piece.text]


def wrapped(words: Iterable[str], width: int) -> list[str]:
    """Rows of at most `width` columns, words two spaces apart; a longer word gets its own row."""
    rows: list[str] = []
    for word in words:
        if rows and width_of.columns(rows[-1]) + 2 + width_of.columns(word) <= width:
            rows[-1] += "  " + word
        else:
            rows.append(word)
    return rows


def message(event: LogEvent) -> str:
    """The line's message; of an error also its type."""
    text, fields = event.message, event.fields
    if fields and event.kind != "platform":
        kind, error = fields.get("error_type") or fields.get("errorType"), fields.get("error")
        text = f"{text}: {error}" if isinstance(error, str) and error not in text else text
        text = f"{kind}: {text}" if isinstance(kind, str) and kind not in text else text
    return text


def frames(event: LogEvent) -> list[str]:
    """The rows of the stack trace, outermost first, with paths relative to the project."""
    return [TASK.sub("", row) for row in (event.stack or "").split("\n") if row.strip()]


def _prefix(event: LogEvent) -> tuple[Text, ...]:
    return (dim(times.clock(event.when) + " "), _LEVELS[event.level], _function(event.function, _hue(event.id)))


def _hue(event_id: str | None) -> Style:
    """The colour of an event, so that its lines are seen among those of others."""
    return Style.NAME if event_id is None else HUES[crc32(event_id.encode("utf-8", "replace")) % len(HUES)]


@cache
def _function(name: str, style: Style) -> Text:
    return Text(width_of.left(name, 9) + " ", style)


def _message_style(event: LogEvent) -> Style:
    if event.level in ("ERROR", "CRITICAL"):
        return Style.BAD
    if event.level == "WARNING":
        return Style.WARN
    return Style.DIM if event.kind == "platform" or event.level in ("DEBUG", "TRACE") else Style.PLAIN


def _stack(event: LogEvent, *, most: int | None) -> list[Element]:
    rows = frames(event)
    if most is not None:
        own = [row for row in rows if not row.startswith("rtp/runtime/")] or rows
        omitted = len(own) - most
        # The cause is innermost.
        rows = own if omitted < 2 else [f"… {omitted} more above (--format detailed)", *own[-most:]]
    return [Block("\n".join(rows), Style.DIM, indent=_INDENT)] if rows else []


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json_values.dumps(value)
