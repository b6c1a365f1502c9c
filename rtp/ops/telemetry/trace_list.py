"""The list of this stack's traces, and their following."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rtp.aws import traces
from rtp.contract import API_STAGE
from rtp.errors import AwsError, RtpError
from rtp.ops.telemetry import transaction_search
from rtp.ops.telemetry.segments import Trace, trace
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import FollowPace, every
from rtp.text import times
from rtp.text.json_values import OMITTED, Omitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.ops.work.clock import Clock

LATE_MS = 120_000  # how late X-Ray may report a change that `follow` still shows
PARTIAL_MS = 15_000  # after this time an incomplete trace is shown as it is
_EXPRESSION = " A filter expression is X-Ray's own: only the traces that it indexes are listed."


@dataclass(frozen=True, slots=True)
class Summary:
    """A trace in a list.

    id: id of the trace. start: ISO 8601. updated: of its latest change, ISO 8601.
    duration_ms: from its start to its end. error: client error (4xx).
    fault: error of the pipeline (5xx). throttle: a request was throttled.
    method, path, http_status: of the API request; null without one. entry: the service at which it begins.
    partial: a segment is in progress. cause: type and message of its first exception; null without one.
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
    updated: str = ""
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces of the stack.

    traces: the latest changed first. more: whether there are more than the limit.
    note: why X-Ray itself does not have all, and what was read instead.
    """

    traces: list[Summary]
    more: bool = False
    note: str | Omitted = OMITTED


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
    """The traces of this stack that changed last, read backwards until there are enough.

    Where X-Ray indexes a part of the traces only, the others are read from their spans.
    """
    by_id: dict[str, Summary] = {}
    for window, _ in _windows(aws, stack, query, enough=query.limit):
        for summary in sorted(window, key=_by_update, reverse=True):  # X-Ray returns them unordered
            by_id.setdefault(summary.id, summary)
        if len(by_id) > query.limit:
            break
    note = ""
    if len(by_id) <= query.limit:
        note = _add_spans(aws, stack, query, by_id)
    summaries = sorted(by_id.values(), key=_by_update, reverse=True)
    return Traces(summaries[: query.limit], more=len(summaries) > query.limit, note=note or OMITTED)


def follow(
    aws: Aws,
    stack: str,
    query: TraceQuery,
    *,
    notify: Callable[[str], None] = lambda _: None,
    now: Callable[[], int] = times.now_ms,
    clock: Clock = SYSTEM,
) -> Iterator[Summary]:
    """Yield traces since `query.since`, then new ones as they end, oldest first. One that changes is yielded again.

    Uses the service's clock where it is reported, so this machine's may be wrong.
    """
    partial = transaction_search.why_partial(aws)
    with_spans = bool(partial) and query.expression is None
    if partial:
        notify(partial + (transaction_search.READS if with_spans else _EXPRESSION))
    shortest, longest = (10.0, 30.0) if with_spans else (0.5, 2.0) if aws.local else (2.0, 10.0)
    pace = FollowPace(shortest, longest, notify)
    shown: dict[str, Summary] = {}
    since = first = query.since
    age, ahead = max(0, now() - first), 0  # of the first trace to show; how far this machine's clock is ahead
    for _ in every(pace, clock=clock):
        asked = now()
        moment = asked - ahead
        part = replace(query, since=since, until=moment)
        try:
            by_id: dict[str, Summary] = {}
            for window, server_ms in _windows(aws, stack, part):
                by_id |= {s.id: s for s in window}
                if server_ms is not None:
                    ahead = asked - server_ms
                    first = first if first <= server_ms + 1000 else server_ms - age  # else nothing until then
            if with_spans:
                by_id = {s.id: s for s in _of_spans(aws, stack, part)} | by_id
        except AwsError as error:
            pace.failed(error)
            continue
        news = [s for s in sorted(by_id.values(), key=_by_update) if _is_news(s, shown.get(s.id), moment)]
        for summary in news:
            shown[summary.id] = summary
            yield summary
        pace.succeeded(has_news=bool(news))
        since = max(first, min(moment, asked - ahead) - LATE_MS)
        shown = {i: s for i, s in shown.items() if times.parse_when(s.updated) >= since - LATE_MS}


def _is_news(summary: Summary, shown: Summary | None, now: int) -> bool:
    """Whether the trace is to be shown: it has ended or runs for long, and differs from what was shown of it."""
    if summary.partial and now - times.parse_when(summary.start) <= PARTIAL_MS:
        return False
    return shown is None or replace(summary, updated=shown.updated) != shown


def _add_spans(aws: Aws, stack: str, query: TraceQuery, by_id: dict[str, Summary]) -> str:
    """Add the traces that X-Ray does not index; returns why it does not have them all, and what was read."""
    partial = transaction_search.why_partial(aws)
    if not partial:
        return ""
    if query.expression is not None:
        return partial + _EXPRESSION
    try:
        for summary in _of_spans(aws, stack, query):
            by_id.setdefault(summary.id, summary)
    except RtpError as error:
        return f"{partial} The spans could not be read: {error.message}"
    return partial + transaction_search.READS


def _of_spans(aws: Aws, stack: str, query: TraceQuery) -> Iterator[Summary]:
    """Traces from their spans, with the query's own conditions."""
    documents = transaction_search.between(aws, stack, since=query.since, until=query.until)
    for trace_id, texts in documents.items():
        whole = trace(trace_id, texts)
        slow_enough = query.slow_ms is None or whole.duration_ms >= query.slow_ms
        if slow_enough and (not query.errors or whole.error or whole.fault):
            yield _summary_of(whole)


def _summary_of(whole: Trace) -> Summary:
    first = whole.segments[0] if whole.segments else None
    request = next((s.http for _, s in whole.walk() if isinstance(s.http.get("request"), dict)), {})
    about, answer = request.get("request") or {}, request.get("response")
    status = answer.get("status") if isinstance(answer, dict) else None
    kind = next((s.annotations.get("event_type") for _, s in whole.walk() if "event_type" in s.annotations), None)
    return Summary(
        id=whole.id,
        start=whole.start,
        duration_ms=whole.duration_ms,
        error=whole.error,
        fault=whole.fault,
        throttle=whole.throttle,
        event_id=whole.event_id,
        event_type=None if kind is None else str(kind),
        method=str(about["method"]) if about.get("method") else None,
        path=urlsplit(str(about.get("url") or "")).path or None,
        http_status=status if isinstance(status, int) else None,
        entry=first.name if first else None,
        partial=whole.partial,
        updated=times.iso(whole.start_ms + whole.duration_ms),
        cause=next((f"{p.type}: {p.message}" for _, s in whole.walk() for p in s.exceptions), None),
    )


def _by_update(summary: Summary) -> tuple[str, str]:
    return (summary.updated, summary.id)


def _windows(
    aws: Aws, stack: str, query: TraceQuery, *, enough: int | None = None
) -> Iterator[tuple[list[Summary], int | None]]:
    """The summaries of each window, and the service's clock, epoch ms. enough: how many of the newest are needed."""
    services = (f"{stack}-processor", f"{stack}-worker", f"{stack}-api/{API_STAGE}")
    terms = ["(" + " OR ".join(f"service({traces.quoted(name)})" for name in services) + ")"]
    if query.errors:
        terms.append("(error = true OR fault = true)")
    if query.slow_ms is not None:
        terms.append(f"duration >= {query.slow_ms / 1000:g}")
    if query.expression:
        terms.append(f"({query.expression})")
    expression = " AND ".join(terms)
    period = traces.windows(aws, since=query.since, until=query.until, expression=expression, enough=enough)
    for window in period:
        yield [_summary(raw) for raw in window.summaries], window.server_ms


def _summary(raw: Mapping[str, Any]) -> Summary:
    http = raw.get("Http") or {}
    entry = raw.get("EntryPoint") or {}
    url = urlsplit(str(http.get("HttpURL") or ""))
    changed, status = raw.get("MatchedEventTime"), http.get("HttpStatus")
    started = raw.get("StartTime") or changed
    seconds = started.timestamp() if isinstance(started, datetime) else _seconds_of(str(raw["Id"]))
    ended = seconds + float(raw.get("Duration") or 0)
    updated = max(ended, changed.timestamp()) if isinstance(changed, datetime) else ended
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
        updated=times.iso(updated * 1000),
        cause=_cause(raw),
    )


def _cause(raw: Mapping[str, Any]) -> str | None:
    """The exception at which a fault or an error began: the innermost entity of X-Ray's root causes has it."""
    causes = [*(raw.get("FaultRootCauses") or ()), *(raw.get("ErrorRootCauses") or ())]
    entities = [
        e for cause in causes for service in cause.get("Services") or () for e in service.get("EntityPath") or ()
    ]
    exceptions = [x for entity in reversed(entities) for x in entity.get("Exceptions") or ()]
    if not exceptions:
        return None
    return ": ".join(str(exceptions[0][key]) for key in ("Name", "Message") if exceptions[0].get(key))


def _annotation(raw: Mapping[str, Any], key: str) -> str | None:
    for annotation in (raw.get("Annotations") or {}).get(key) or ():
        values = annotation.get("AnnotationValue") or {}
        for value in values.values():
            return str(value)
    return None


def _seconds_of(trace_id: str) -> float:
    """The time in a trace id, epoch s."""
    return float(int(trace_id[2:10], 16)) if traces.is_trace_id(trace_id) else 0.0
