"""Render all that is known of an event as one self-contained HTML page, every text escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.commands.render.html_page import document, facts, moment, section, stamp, table, text
from rtp.commands.render.trace_page import log_line, waterfall
from rtp.ops import releases
from rtp.text import json_values, times
from rtp.text.elements import cause

if TYPE_CHECKING:
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
            section(
                "Attempts", table(("#", "at", "outcome", "took", "release", "error"), map(_attempt, story.attempts))
            )
        )
    shown = set()
    for trace in reversed(story.traces):
        ids = {trace.id, *(linked.id for linked in trace.linked)}
        inside = [e for e in story.lines if e.trace_id in ids]
        shown |= {id(e) for e in inside}
        parts.append(section(f"Trace {trace.id}", waterfall(trace, inside)))
    rest = [log_line(e) for e in story.lines if id(e) not in shown]
    parts.append(section("Log lines", "\n".join(rest)) if rest else "")
    parts += [f'<p class="warn">not read: {text(gap)}</p>' for gap in story.gaps]
    return document(f"event {story.id}", story.id, about, "\n".join(p for p in parts if p))


def _error(record: dict[str, Any]) -> str:
    return f'<p class="problem">{text(cause(record.get("error")))}</p>' if record.get("error") else ""


def _facts(record: dict[str, Any]) -> str:
    return facts(
        (name, moment(record[name]) if name in _MOMENTS else text(str(record[name])))
        for name in _FACTS
        if name in record
    )


def _dlq_message(story: Story) -> str:
    dlq_message = story.dlq_message
    if dlq_message is None:
        return ""
    rows = [
        ("message", text(dlq_message.message_id)),
        ("first seen", moment(dlq_message.accepted_at)),
        ("error", text(cause(json_values.to_json_types(dlq_message.error)))),
    ]
    return section("In the dead-letter queue", facts(rows) + f"<pre>{text(dlq_message.body)}</pre>")


def _value(title: str, value: Any) -> str:
    return section(title, f"<pre>{text(json_values.dumps(value, indent=2))}</pre>")


def _attempt(attempt: dict[str, Any]) -> tuple[str, ...]:
    took, outcome = attempt.get("duration_ms"), str(attempt.get("outcome", ""))
    return (
        text(str(attempt.get("n", ""))),
        stamp(int(attempt["at"])) if attempt.get("at") else "",
        f'<span class="{_STATUS.get(outcome, "warn")}">{text(outcome)}</span>',
        "" if took is None else text(times.span(int(took))),
        text(releases.label(str(attempt.get("release") or ""))),
        text(cause(attempt.get("error"))),
    )
