"""Render all that is known of an event: first its state, then how it got there."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from rtp.commands.render.logs import short
from rtp.commands.render.trace import waterfall
from rtp.ops import releases
from rtp.ops.events.denied import missing_permission
from rtp.text import json_values, suggest, times
from rtp.text.elements import (
    Block,
    Column,
    Element,
    Fields,
    Heading,
    Style,
    Table,
    Text,
    bad,
    cause,
    dim,
    line,
    name,
    next_step,
    warn,
)

if TYPE_CHECKING:
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.telemetry.logevent import LogEvent
    from rtp.ops.telemetry.story import Story

_STATUS = {"processed": Style.GOOD, "dead": Style.BAD, "failed": Style.WARN, "processing": Style.WARN}
_OUTCOME = {"processed": Style.GOOD, "failed": Style.WARN, "rejected": Style.BAD, "interrupted": Style.WARN}
_CHARACTERS = 4000  # of data or a result


def story(event: Story, *, width: int, block: str = "█", stack: str = "") -> list[Element]:
    """The record, its data and attempts, the newest trace with log lines, and the next step."""
    elements = _head(event)
    record = event.record
    if record is not None:
        elements += _values(record)
        if event.attempts:
            elements += [Heading("Attempts"), _attempts(event)]
    if event.dlq_message is not None and record is None:
        elements += [Heading("Body"), Block(_cut(event.dlq_message.body), indent=2)]
    elements += _how(event, width, block, stack)
    elements += [line(warn("not read: "), gap) for gap in event.gaps]
    return elements + _next(event)


def _head(event: Story) -> list[Element]:
    record, dlq_message = event.record, event.dlq_message
    if record is None:
        where = "no record; in the dead-letter queue" if dlq_message else "no record"
        return [line(name(event.id), "  ", warn(where)), *_dlq_message(dlq_message)]
    status = str(record.get("status"))
    count = int(record.get("attempt_count", 0))
    elements: list[Element] = [
        line(
            name(event.id),
            f"  {record.get('type', '')}  ",
            Text(status, _STATUS.get(status, Style.PLAIN)),
            dim(f"  after {count} attempts" if count > 1 else ""),
        )
    ]
    error = record.get("error")
    if isinstance(error, dict):
        elements.append(line(bad(cause(error)), indent=2))
        elements += _permission(error)
    pairs: list[tuple[str, Any]] = [("timestamp", f"{record['timestamp']}  {_moment(record['timestamp'])}")]
    for label, key in (("accepted", "accepted_at"), ("processed", "processed_at")):
        if record.get(key):
            pairs.append((label, _moment(record[key])))
    pairs += [(label, str(record[key])) for label, key in _DETAILS if record.get(key)]
    elements.append(Fields(pairs, indent=2))
    if len(event.records) > 1:
        others = ", ".join(str(r["timestamp"]) for r in event.records[:-1])
        elements.append(line(warn(f"{len(event.records) - 1} more events have this id"), f", at {others}", indent=2))
    return elements + _dlq_message(dlq_message)


def _permission(error: dict[str, Any]) -> list[Element]:
    missing = missing_permission(str(error.get("message", "")))
    where = "under [defaults] or [env.NAME] in rtp.toml, then deploy"
    return [line(dim("fix: "), f"{missing}  {where}", indent=2)] if missing else []


_DETAILS = (
    ("source", "source"),
    ("trace", "trace_id"),
    ("invocation", "invocation_trace_id"),
    ("raw", "raw_key"),
)


def _dlq_message(dlq_message: DlqMessage | None) -> list[Element]:
    if dlq_message is None:
        return []
    since = times.ago(dlq_message.accepted_at)
    cause = (
        f"{dlq_message.error.type}: {dlq_message.error.message}"
        if dlq_message.error.type
        else dlq_message.error.message
    )
    return [line(bad("in the dead-letter queue"), f"  accepted {since} ago  ", dim(cause), indent=2)]


def _values(record: dict[str, Any]) -> list[Element]:
    elements: list[Element] = []
    for title, key in (("Data", "data"), ("Result", "result")):
        if record.get(key) is not None:
            elements += [Heading(title), Block(_json(record[key]), indent=2)]
    return elements


def _attempts(event: Story) -> Table:
    rows = [
        (
            str(a.get("n", "")),
            _moment(a["at"]) if a.get("at") else None,
            Text(str(a.get("outcome", "")), _OUTCOME.get(str(a.get("outcome")), Style.PLAIN)),
            times.span(int(a["duration_ms"])) if a.get("duration_ms") is not None else None,
            releases.label(str(a.get("release") or "")),
            cause(a.get("error")),
        )
        for a in event.attempts
    ]
    return Table(
        (
            Column("#", right=True),
            Column("AT", whole=True, drop=2),
            Column("OUTCOME", whole=True),
            Column("TOOK", right=True, drop=1),
            Column("RELEASE", drop=3),
            Column("ERROR", long=True),
        ),
        rows,
    )


def _how(event: Story, width: int, block: str, stack: str) -> list[Element]:
    """The newest trace with its log lines in place, then the other log lines."""
    trace = event.trace
    ids = {None, trace.id, *(t.id for t in trace.linked)} if trace is not None else set()
    inside = [e for e in event.lines if e.trace_id in ids]
    rest = [e for e in event.lines if e not in inside] if trace is not None else event.lines
    elements: list[Element] = []
    if trace is not None:
        drawn = waterfall(trace, inside, width=width, block=block, stack=stack)
        # The head of the trace repeats the id and the time.
        elements += dropwhile(lambda element: not isinstance(element, Heading), drawn)
    if rest:
        elements += [Heading("Earlier log lines" if trace is not None else "Log lines"), *_lines(rest, width)]
    return elements


def _lines(entries: list[LogEvent], width: int) -> list[Element]:
    render = short(width)
    return [element for entry in entries for element in render(entry) or ()]


def _next(event: Story) -> list[Element]:
    """The command to run next."""
    status = (event.record or {}).get("status")
    if event.dlq_message is not None:
        step, why = suggest.command("rtp", "dlq", "redrive", id=event.id), "once the cause is fixed"
    elif status in ("failed", "processing"):
        step, why = suggest.command("rtp", "show", values=(event.id,)), "again: it is still being processed"
    elif status == "dead":
        step, why = suggest.command("rtp", "replay", id=event.id), "its message is not in the queue any more"
    else:
        return []
    return ["", *next_step("next  ", step, why)] if step else []


def _moment(ms: Any) -> str:
    try:
        return times.stamp(int(ms))
    except (ValueError, OverflowError, OSError):
        return "-"


def _json(value: object) -> str:
    return _cut(json_values.dumps(value, indent=2))


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else text[:_CHARACTERS] + f"\n… {len(text) - _CHARACTERS:,} more characters"
