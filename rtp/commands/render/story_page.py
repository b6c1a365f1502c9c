"""Render all that is known of an event as one self-contained HTML page, every text escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.commands.render.trace_page import document, log_line, text, waterfall
from rtp.text import json_values, times
from rtp.text.elements import cause

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.ops.telemetry.story import Story

_STATUS = {"processed": "good", "dead": "bad", "failed": "warn", "processing": "warn", "rejected": "bad"}
_FACTS = (
    "timestamp",
    "source",
    "accepted_at",
    "processed_at",
    "request_id",
    "trace_id",
    "invocation_trace_id",
    "raw_key",
    "message_id",
)
_MOMENTS = ("timestamp", "accepted_at", "processed_at")


def page(story: Story) -> str:
    """Make the page."""
    record = story.record or {}
    status = str(record.get("status") or ("in the dead-letter queue" if story.dlq_message else "no record"))
    about = f'<b class="{_STATUS.get(status, "warn")}">{text(status)}</b> · {text(str(record.get("type", "")))}'
    parts = [_error(record), _facts(record), _dlq_message(story)]
    parts += [_value(title, record[key]) for title, key in (("Data", "data"), ("Result", "result")) if key in record]
    if story.attempts:
        parts.append(
            _section("Attempts", _table(("#", "at", "outcome", "took", "error"), map(_attempt, story.attempts)))
        )
    shown = set()
    for trace in reversed(story.traces):
        ids = {trace.id, *(linked.id for linked in trace.linked)}
        inside = [e for e in story.lines if e.trace_id in ids]
        shown |= {id(e) for e in inside}
        parts.append(_section(f"Trace {trace.id}", waterfall(trace, inside)))
    rest = [log_line(e) for e in story.lines if id(e) not in shown]
    parts.append(_section("Log lines", "\n".join(rest)) if rest else "")
    parts += [f'<p class="warn">not read: {text(gap)}</p>' for gap in story.gaps]
    return document(f"event {story.id}", story.id, about, "\n".join(p for p in parts if p))


def _section(title: str, body: str) -> str:
    return f"<h2>{text(title)}</h2>\n{body}"


def _error(record: dict[str, Any]) -> str:
    return f'<p class="problem">{text(cause(record.get("error")))}</p>' if record.get("error") else ""


def _facts(record: dict[str, Any]) -> str:
    rows = [
        (name, _moment(record[name]) if name in _MOMENTS else str(record[name])) for name in _FACTS if name in record
    ]
    return _table((), rows) if rows else ""


def _dlq_message(story: Story) -> str:
    dlq_message = story.dlq_message
    if dlq_message is None:
        return ""
    rows = [
        ("message", dlq_message.message_id),
        ("first seen", dlq_message.first_seen),
        ("error", cause(json_values.to_json_types(dlq_message.error))),
    ]
    return _section("In the dead-letter queue", _table((), rows) + f"<pre>{text(dlq_message.body)}</pre>")


def _value(title: str, value: Any) -> str:
    return _section(title, f"<pre>{text(json_values.dumps(value, indent=2))}</pre>")


def _attempt(attempt: dict[str, Any]) -> tuple[str, ...]:
    took = attempt.get("duration_ms")
    return (
        str(attempt.get("n", "")),
        _moment(attempt["at"]) if attempt.get("at") else "",
        str(attempt.get("outcome", "")),
        "" if took is None else times.span(int(took)),
        cause(attempt.get("error")),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """An HTML table. Without a head, the first column names the second."""
    first = "td" if head else "th"
    body = "".join(
        f"<tr><{first}>{text(row[0])}</{first}>{''.join(f'<td>{text(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    top = f"<tr>{''.join(f'<th>{text(title)}</th>' for title in head)}</tr>" if head else ""
    return f"<table>{top}{body}</table>"


def _moment(ms: Any) -> str:
    try:
        return f"{int(ms)}  {times.iso(int(ms))}"
    except (ValueError, OverflowError, OSError):
        return str(ms)
