"""Traces of this stack: a list of them, one as a tree, those of an event, and the log lines that belong in one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rtp.aws import records, traces
from rtp.contract import API_STAGE, Output
from rtp.errors import AwsError, NotFoundError, UsageError
from rtp.ops.telemetry.segments import Problem, Segment, Trace, trace
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import FollowPace, every
from rtp.runtime import wire
from rtp.text import suggest, times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.ops.work.clock import Clock

__all__ = ["Problem", "Segment", "Summary", "Trace", "TraceQuery", "Traces"]

_ID = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
DAY_MS = 86_400_000
LATE_MS = 120_000  # how late a trace may be told of and still be followed
PARTIAL_MS = 15_000  # a trace that is not complete by then is told as it is


@dataclass(frozen=True, slots=True)
class Summary:
    """A trace in a list.

    id: the trace's. start: ISO 8601. duration_ms: from its start to its end. error: a client's mistake (4xx).
    fault: a failure of the pipeline (5xx). throttle: a request was throttled.
    method, path, http_status: of the API request; null without one. entry: the service at which it begins.
    partial: something in it is in progress.
    """

    id: str
    start: str
    duration_ms: float
    error: bool
    fault: bool
    throttle: bool
    event_id: str | None
    event_type: str | None
    method: str | None
    path: str | None
    http_status: int | None
    entry: str | None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces of the stack.

    traces: newest first. more: whether there are more than the limit.
    """

    traces: list[Summary]
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceQuery:
    """Which traces. Times in epoch ms. slow_ms: at least so long. expression: X-Ray's filter expression, on top."""

    since: int
    until: int
    errors: bool = False
    slow_ms: int | None = None
    expression: str | None = None
    limit: int = 50


def find(aws: Aws, stack: str, query: TraceQuery) -> Traces:
    """The newest traces of this stack. A long time takes several calls, which stop once there are enough."""
    found: list[Summary] = []
    for window in _windows(aws, stack, query):
        found += sorted(window, key=lambda s: (s.start, s.id), reverse=True)  # X-Ray gives them in no order
        if len(found) > query.limit:
            break
    return Traces(found[: query.limit], more=len(found) > query.limit)


def follow(
    aws: Aws,
    stack: str,
    query: TraceQuery,
    *,
    notify: Callable[[str], None] = lambda _: None,
    now: Callable[[], int] = times.now_ms,
    clock: Clock = SYSTEM,
) -> Iterator[Summary]:
    """Traces as they end, each once, oldest first; those since `query.since` to begin with. Until the caller stops."""
    pace = FollowPace(0.5, 2.0, notify) if aws.local else FollowPace(2.0, 10.0, notify)
    shown: dict[str, int] = {}  # trace id -> start, epoch ms
    since = query.since
    for _ in every(pace, clock=clock):
        moment = now()
        try:
            windows = _windows(aws, stack, replace(query, since=since, until=moment))
            summaries = sorted((s for window in windows for s in window), key=lambda s: s.start)
        except AwsError as error:
            pace.failed(error)
            continue
        before = len(shown)
        for summary in summaries:
            started = times.parse_when(summary.start)
            if summary.id not in shown and (not summary.partial or moment - started > PARTIAL_MS):
                shown[summary.id] = started
                yield summary
        pace.succeeded(has_news=len(shown) > before)
        since = max(query.since, moment - LATE_MS)
        shown = {i: at for i, at in shown.items() if at >= since - LATE_MS}


def get(aws: Aws, trace_id: str) -> Trace:
    """One trace. Raises NotFoundError where X-Ray has none of that id."""
    found = traces.whole(aws, [trace_id])
    if not found:
        raise NotFoundError(
            f"X-Ray has no trace {trace_id}.",
            hint="A trace is kept for 30 days and appears some seconds after its event; `rtp traces` lists them.",
            code="no-trace",
        )
    return _tree(found[0])


def resolve(aws: Aws, outputs: Mapping[str, str], stack: str, text: str) -> Trace:
    """The trace of a trace id, or the newest one of an event id. Raises NotFoundError."""
    if is_trace_id(text):
        return get(aws, text)
    if not 0 < len(text) <= wire.MAX_NAME:
        raise UsageError("That is neither a trace's id nor an event's.", hint="`rtp traces` lists both.")
    known = trace_ids(records.by_id(aws, outputs[Output.TABLE], text))
    found = for_event(aws, stack, text, known=known)
    if not found:
        raise NotFoundError(
            f"There is no trace of an event {text}.",
            hint=suggest.sentence("{} shows what is known of it. ", suggest.command("rtp", "show", values=(text,)))
            + "A trace appears some seconds after its event.",
            code="no-trace",
        )
    return found[-1]


def for_event(
    aws: Aws,
    stack: str,
    event_id: str,
    *,
    known: Iterable[str] = (),
    since: int | None = None,
    until: int | None = None,
) -> list[Trace]:
    """An event's traces, oldest first: those of the `known` ids, or where none is known or kept, a search by event id.

    since and until bound the search, epoch ms; by default the last 24 hours.
    """
    found = traces.whole(aws, known)
    if not found:
        until = times.now_ms() if until is None else until
        query = TraceQuery(
            since=until - DAY_MS if since is None else since,
            until=until,
            expression=f"annotation.event_id = {quoted(event_id)}",
        )
        found = traces.whole(aws, [s.id for s in find(aws, stack, query).traces])
    return sorted((_tree(t) for t in found), key=lambda t: t.start)


def trace_ids(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Trace ids that records and their attempts name, oldest first."""
    ids: dict[str, None] = {}
    for record in found:
        attempts = record.get("attempts")
        for attempt in attempts if isinstance(attempts, list) else ():
            ids[str(attempt.get("trace_id") or "")] = None
        ids[str(record.get("trace_id") or "")] = None
    return [i for i in ids if is_trace_id(i)]


def is_trace_id(text: str) -> bool:
    """Whether it has the form of X-Ray's trace ids."""
    return _ID.fullmatch(text) is not None


def quoted(text: str) -> str:
    """A string in a filter expression."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _windows(aws: Aws, stack: str, query: TraceQuery) -> Iterator[list[Summary]]:
    services = (f"{stack}-processor", f"{stack}-worker", f"{stack}-api/{API_STAGE}")
    terms = ["(" + " OR ".join(f"service({quoted(name)})" for name in services) + ")"]
    if query.errors:
        terms.append("(error = true OR fault = true)")
    if query.slow_ms is not None:
        terms.append(f"duration >= {query.slow_ms / 1000:g}")
    if query.expression:
        terms.append(f"({query.expression})")
    expression = " AND ".join(terms)
    known: set[str] = set()  # on the edge of two windows a trace is told of twice
    for window in traces.windows(aws, since=query.since, until=query.until, expression=expression):
        yield [_summary(raw) for raw in window if raw["Id"] not in known]
        known = {raw["Id"] for raw in window}


def _summary(raw: Mapping[str, Any]) -> Summary:
    http = raw.get("Http") or {}
    entry = raw.get("EntryPoint") or {}
    url = urlsplit(str(http.get("HttpURL") or ""))
    started = raw.get("StartTime") or raw.get("MatchedEventTime")
    seconds = started.timestamp() if isinstance(started, datetime) else _seconds_of(str(raw["Id"]))
    status = http.get("HttpStatus")
    return Summary(
        id=str(raw["Id"]),
        start=times.iso(seconds * 1000),
        duration_ms=round(float(raw.get("Duration") or 0) * 1000, 3),
        error=bool(raw.get("HasError")),
        fault=bool(raw.get("HasFault")),
        throttle=bool(raw.get("HasThrottle")),
        event_id=_annotation(raw, "event_id"),
        event_type=_annotation(raw, "event_type"),
        method=http.get("HttpMethod") or None,
        path=url.path or None,
        http_status=int(status) if status else None,
        entry=str(entry.get("Name") or "") or None,
        partial=bool(raw.get("IsPartial")),
    )


def _annotation(raw: Mapping[str, Any], key: str) -> str | None:
    for found in (raw.get("Annotations") or {}).get(key) or ():
        values = found.get("AnnotationValue") or {}
        for value in values.values():
            return str(value)
    return None


def _seconds_of(trace_id: str) -> float:
    """The time in a trace id itself, epoch s."""
    return float(int(trace_id[2:10], 16)) if is_trace_id(trace_id) else 0.0


def _tree(raw: Mapping[str, Any]) -> Trace:
    return trace(str(raw["Id"]), [str(s.get("Document") or "") for s in raw["Segments"]])
