"""One event in several traces: its message's, and those of the invocations for it. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rtp.ops.telemetry.segments import Segment, Trace


def of_event(trace: Trace, event_id: str) -> Trace:
    """The trace without the parts of other events: an invocation's has those of a whole batch."""
    if not set(trace.event_ids) - {event_id}:
        return trace
    segments = tuple(own for segment in trace.segments if (own := _without_others(segment, event_id)) is not None)
    reduced = replace(trace, segments=segments, event_id=event_id, event_ids=(event_id,))
    every = [segment for _, segment in reduced.walk()]
    return replace(
        reduced,
        error=any(s.error for s in every),
        fault=any(s.fault for s in every),
        throttle=any(s.throttle for s in every),
        partial=any(s.end is None for s in every),
    )


def with_linked(trace: Trace, others: Iterable[Trace]) -> Trace:
    """Join a trace without an event of its own to the invocations' traces that its links name.

    Of those with the parts of several events, only what is linked with this trace stays.
    """
    linked = []
    for other in others:
        events = [e for e in other.event_ids if _links(e, [other]).get(other.id) == trace.id]
        linked += [of_event(other, event) for event in (events or other.event_ids[:1])]
    return replace(trace, linked=tuple(sorted(linked, key=lambda t: t.start)))


def joined(event_id: str, traces: Iterable[Trace], message_of: Mapping[str, str]) -> list[Trace]:
    """The event's traces, oldest first, with no part of it twice.

    message_of: id of an invocation's trace -> id of the message's trace, as the record has them. An invocation's trace
    is left out where the message's has the same part, and otherwise joined to it as `linked`.
    """
    by_id = {trace.id: of_event(trace, event_id) for trace in traces}
    message_of = {**_links(event_id, by_id.values()), **message_of}
    invocations: dict[str, list[Trace]] = {}
    for trace in by_id.values():
        if message_of.get(trace.id) in by_id and message_of[trace.id] != trace.id:
            invocations.setdefault(message_of[trace.id], []).append(trace)
    inside = {trace.id for linked in invocations.values() for trace in linked}
    tops = [_with_linked(t, event_id, invocations.get(t.id, ())) for t in by_id.values() if t.id not in inside]
    return sorted(tops, key=lambda trace: trace.start)


def _with_linked(trace: Trace, event_id: str, invocations: Sequence[Trace]) -> Trace:
    links = tuple(dict.fromkeys((*trace.links, *(t.id for t in invocations))))
    # The event's segments in the message's trace name the invocations whose parts they repeat.
    copied = {link for _, s in trace.walk() if s.annotations.get("event_id") == event_id for link in s.links}
    linked = sorted((t for t in invocations if t.id not in copied), key=lambda t: t.start)
    return replace(trace, links=links, linked=tuple(linked))


def _links(event_id: str, traces: Iterable[Trace]) -> dict[str, str]:
    """Invocation's trace -> message's trace, by the links of the event's own parts in invocations."""
    pairs = {}
    for trace in traces:
        for _, segment in trace.walk():
            if segment.name == "event" and segment.annotations.get("event_id") == event_id and segment.links:
                pairs[trace.id] = segment.links[0]
    return pairs


def _without_others(segment: Segment, event_id: str) -> Segment | None:
    if segment.annotations.get("event_id", event_id) != event_id:
        return None
    calls = tuple(reduced for call in segment.segments if (reduced := _without_others(call, event_id)) is not None)
    return replace(segment, segments=calls)
