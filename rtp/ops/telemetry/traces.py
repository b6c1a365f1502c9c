"""Traces of this stack: a list, one as a tree, and those of an event."""

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
LATE_MS = 120_000  # how late X-Ray may report a trace that is still shown by `follow`
PARTIAL_MS = 15_000  # after this time an incomplete trace is shown as it is


@dataclass(frozen=True, slots=True)
class Summary:
    """A trace in a list.

    id: id of the trace. start: ISO 8601. duration_ms: from its start to its end. error: client error (4xx).
    fault: error of the pipeline (5xx). throttle: a request was throttled.
    method, path, http_status: of the API request; null without one. entry: the service at which it begins.
    partial: a segment is in progress.
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
    """Which traces. Times in epoch ms. slow_ms: minimum duration. expression: further X-Ray filter expression."""

    since: int
    until: int
    errors: bool = False
    slow_ms: int | None = None
    expression: str | None = None
    limit: int = 50


def find(aws: Aws, stack: str, query: TraceQuery) -> Traces:
    """The newest traces of this stack. A long window takes several calls, which end as soon as there are enough."""
    summaries: list[Summary] = []
    for window in _windows(aws, stack, query):
        summaries += sorted(window, key=lambda s: (s.start, s.id), reverse=True)  # X-Ray returns them unordered
        if len(summaries) > query.limit:
            break
    return Traces(summaries[: query.limit], more=len(summaries) > query.limit)


def follow(
    aws: Aws,
    stack: str,
    query: TraceQuery,
    *,
    notify: Callable[[str], None] = lambda _: None,
    now: Callable[[], int] = times.now_ms,
    clock: Clock = SYSTEM,
) -> Iterator[Summary]:
    """Traces since `query.since`, then new ones as they end, each once, oldest first, without end."""
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
    """One trace. Raises NotFoundError where X-Ray has none with this id."""
    documents = traces.whole(aws, [trace_id])
    if not documents:
        raise NotFoundError(
            f"X-Ray has no trace {trace_id}.",
            hint="X-Ray shows a trace some seconds after its event and keeps it for 30 days; `rtp traces` lists them.",
            code="no-trace",
        )
    return _tree(documents[0])


def resolve(aws: Aws, outputs: Mapping[str, str], stack: str, text: str) -> Trace:
    """The trace with this id, or the newest trace of the event with this id. Raises NotFoundError."""
    if is_trace_id(text):
        return get(aws, text)
    if not 0 < len(text) <= wire.MAX_NAME:
        raise UsageError("This is neither the id of a trace nor of an event.", hint="`rtp traces` lists both.")
    ids = trace_ids(records.by_id(aws, outputs[Output.TABLE], text))
    candidates = for_event(aws, stack, text, trace_ids=ids)
    if not candidates:
        raise NotFoundError(
            f"X-Ray has no trace of event {text}.",
            hint=suggest.sentence("{} shows its record and log lines. ", suggest.command("rtp", "show", values=(text,)))
            + "A trace appears some seconds after its event.",
            code="no-trace",
        )
    return candidates[-1]


def for_event(
    aws: Aws,
    stack: str,
    event_id: str,
    *,
    trace_ids: Iterable[str] = (),
    since: int | None = None,
    until: int | None = None,
) -> list[Trace]:
    """An event's traces, oldest first: those of `trace_ids`, or those found by event id where X-Ray has none.

    since, until: limits of that search, epoch ms; by default the last 24 hours.
    """
    documents = traces.whole(aws, trace_ids)
    if not documents:
        until = times.now_ms() if until is None else until
        query = TraceQuery(
            since=until - DAY_MS if since is None else since,
            until=until,
            expression=f"annotation.event_id = {quoted(event_id)}",
        )
        documents = traces.whole(aws, [s.id for s in find(aws, stack, query).traces])
    return sorted((_tree(t) for t in documents), key=lambda t: t.start)


def trace_ids(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The trace ids in records and their attempts, oldest first."""
    ids: dict[str, None] = {}
    for record in records:
        attempts = record.get("attempts")
        for attempt in attempts if isinstance(attempts, list) else ():
            ids[str(attempt.get("trace_id") or "")] = None
        ids[str(record.get("trace_id") or "")] = None
    return [i for i in ids if is_trace_id(i)]


def is_trace_id(text: str) -> bool:
    """Whether the text has the form of an X-Ray trace id."""
    return _ID.fullmatch(text) is not None


def quoted(text: str) -> str:
    """The text as a string of a filter expression."""
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
    previous: set[str] = set()  # a trace at the edge of two windows is in both
    for window in traces.windows(aws, since=query.since, until=query.until, expression=expression):
        yield [_summary(raw) for raw in window if raw["Id"] not in previous]
        previous = {raw["Id"] for raw in window}


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
    for annotation in (raw.get("Annotations") or {}).get(key) or ():
        values = annotation.get("AnnotationValue") or {}
        for value in values.values():
            return str(value)
    return None


def _seconds_of(trace_id: str) -> float:
    """The time in a trace id, epoch s."""
    return float(int(trace_id[2:10], 16)) if is_trace_id(trace_id) else 0.0


def _tree(raw: Mapping[str, Any]) -> Trace:
    return trace(str(raw["Id"]), [str(s.get("Document") or "") for s in raw["Segments"]])
