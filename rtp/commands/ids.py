"""Ids that an operator gives to a command that reads: whole, or a part that only one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import UsageError
from rtp.text import times
from rtp.text.elements import Column, Table, name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from rtp.commands.session import Session
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.events.partial_ids import Candidate
    from rtp.ops.telemetry.trace_list import Summary

_EVENT_ID, _TRACE_ID = 36, 35  # characters of the ids that rtp and X-Ray make
_HINT = "Give more of the id: a beginning or an end that only one has."


def event_id(session: Session, text: str) -> str:
    """The whole id of the event that a text stands for; the text itself where no other event fits.

    Raises UsageError where several do, after it has listed them.
    """
    from rtp.ops import shown
    from rtp.ops.events import partial_ids

    part = shown.stripped(text)
    if not shown.is_part(part, _EVENT_ID):
        return part or text
    known = [e.id for e in shown.recall(session.environment) if e.kind == "event" and shown.matches(e.id, part)]
    shards = session.environment.settings.index_shards
    candidates = partial_ids.find(
        session.aws, session.outputs_to_read, part, shown=known, shards=shards, now=times.now_ms()
    )
    if len(candidates) > 1:
        raise _several(session, part, candidates)
    return candidates[0].id if candidates else part


def trace_or_event_id(session: Session, text: str) -> str:
    """The whole id of the trace or event that a text stands for. Raises UsageError where several fit."""
    from rtp.ops import shown

    part = shown.stripped(text)
    if not shown.is_part(part, _TRACE_ID):
        return part or text
    traces = [e.id for e in shown.recall(session.environment) if e.kind == "trace" and shown.matches(e.id, part)]
    if len(traces) == 1:
        return traces[0]
    if traces:
        listed = ", ".join(traces[:5])
        raise UsageError(f"{part} stands for {len(traces)} traces: {listed}.", hint=_HINT, code="ambiguous-id")
    return event_id(session, part)


def remember(session: Session, records: Iterable[Mapping[str, Any]]) -> None:
    """Remember the records that are shown."""
    from rtp.ops import shown

    shown.remember(
        session.environment,
        [
            shown.Shown(str(r["id"]), "event", int(r["timestamp"]), str(r.get("status", "")), str(r.get("type", "")))
            for r in records
        ],
    )


def remember_messages(session: Session, messages: Iterable[DlqMessage]) -> None:
    """Remember the events of the DLQ messages that are shown."""
    from rtp.ops import shown

    shown.remember(session.environment, [shown.Shown(m.id, "event", m.timestamp, "dead", m.type) for m in messages])


def remember_traces(session: Session, traces: Iterable[Summary]) -> None:
    """Remember the traces that are shown, and their events."""
    from rtp.ops import shown

    entries = [shown.Shown(t.id, "trace", times.parse_when(t.start), "", t.event_type or "") for t in traces]
    shown.remember(session.environment, entries)


def _several(session: Session, part: str, candidates: list[Candidate]) -> UsageError:
    from rtp.ops.events import partial_ids

    some = candidates[: partial_ids.MOST]
    count = f"more than {len(some)}" if len(candidates) > len(some) else f"{len(some)}"
    listed = ": " + ", ".join(c.id for c in some) if session.out.json else ""
    if not session.out.json:
        columns = (
            Column("ID", whole=True),
            Column("AGE", right=True, drop=2),
            Column("STATUS", whole=True),
            Column("TYPE", drop=1),
        )
        rows = [(name(c.id), times.ago(c.at) if c.at else "-", c.status, c.type) for c in some]
        session.out.say(Table(columns, rows))
    return UsageError(f"{part} stands for {count} events{listed}.", hint=_HINT, code="ambiguous-id")
