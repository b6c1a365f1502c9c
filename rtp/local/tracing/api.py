"""The X-Ray API on the engine's port, which MiniStack lacks."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

from rtp.local.tracing import header
from rtp.local.tracing.filters import FilterError, compile_filter
from rtp.local.tracing.store import InvalidSegmentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.asgi import App, Receive, Scope, Send
    from rtp.local.tracing.store import TraceStore
    from rtp.local.tracing.tree import Node, Trace

    Answer = dict[str, Any]

PAGE = 200  # summaries in one answer
TIME_RANGE_TYPES = ("TraceId", "Event", "Service")
MAX_TRACE_IDS = 5  # of one BatchGetTraces, as on AWS
MAX_RANGE_S = 24 * 3600 + 60
_DEPTH = 100  # entities on the way to a cause
_DEFAULT_RULE = {
    "RuleName": "Default",
    "Priority": 10000,
    "FixedRate": 1.0,
    "ReservoirSize": 1000,
    "ServiceName": "*",
    "ServiceType": "*",
    "Host": "*",
    "HTTPMethod": "*",
    "URLPath": "*",
    "ResourceARN": "*",
    "Version": 1,
    "Attributes": {},
}


class RequestError(Exception):
    """A request that X-Ray refuses."""


class XRayApi:
    """ASGI middleware that answers X-Ray's requests and forwards all others."""

    def __init__(self, app: App, store: TraceStore) -> None:
        self._app = app
        self._store = store
        self._calls: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "/TraceSegments": self._put_segments,
            "/TraceSummaries": self._summaries,
            "/Traces": self._traces,
            "/TelemetryRecords": lambda _: {},
            "/GetSamplingRules": lambda _: {"SamplingRuleRecords": [{"SamplingRule": _DEFAULT_RULE}]},
            "/GetTraceSegmentDestination": lambda _: {"Destination": "XRay", "Status": "ACTIVE"},
            "/GetIndexingRules": lambda _: {"IndexingRules": []},
            "/SamplingTargets": lambda _: {"SamplingTargetDocuments": [], "UnprocessedStatistics": []},
            "/Groups": lambda _: {"Groups": []},
            "/EncryptionConfig": lambda _: {"EncryptionConfig": {"Status": "ACTIVE", "Type": "NONE"}},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an X-Ray request; its paths are no valid bucket names, so no other request is hidden."""
        call = self._calls.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if call is None:
            await self._app(scope, receive, send)
            return
        try:
            request = json.loads(await _body(receive) or b"{}")
            status, answer = 200, await asyncio.to_thread(call, request)  # summaries of many traces are slow
        except (RequestError, FilterError, ValueError) as error:
            status, answer = 400, {"__type": "InvalidRequestException", "Message": str(error)}
        await _answer(send, status, answer)

    def _put_segments(self, request: dict[str, Any]) -> Answer:
        unprocessed = []
        for document in request.get("TraceSegmentDocuments") or ():
            try:
                self._store.put(document)
            except InvalidSegmentError as error:
                unprocessed.append({"ErrorCode": error.code, "Message": f"Invalid segment. ErrorCode: {error.code}"})
        return {"UnprocessedTraceSegments": unprocessed}

    def _traces(self, request: dict[str, Any]) -> Answer:
        trace_ids = request.get("TraceIds") or []
        if len(trace_ids) > MAX_TRACE_IDS:
            raise RequestError(f"At most {MAX_TRACE_IDS} trace ids are allowed.")
        traces, unprocessed = [], []
        for trace_id in trace_ids:
            if header.parse(f"Root={trace_id}") is None:
                raise RequestError(f"{trace_id} is not a trace id.")
            trace = self._store.get(trace_id)
            if trace is None:
                unprocessed.append(trace_id)
            else:
                traces.append(_whole(trace))
        return {"Traces": traces, "UnprocessedTraceIds": unprocessed}

    def _summaries(self, request: dict[str, Any]) -> Answer:
        start, end = float(request["StartTime"]), float(request["EndTime"])
        if end < start:
            raise RequestError("EndTime is before StartTime.")
        if end - start > MAX_RANGE_S:
            raise RequestError("The time range is longer than 24 hours.")
        kind = request.get("TimeRangeType") or "TraceId"
        if kind not in TIME_RANGE_TYPES:
            raise RequestError(f"TimeRangeType is none of {', '.join(TIME_RANGE_TYPES)}.")
        passes = compile_filter(request.get("FilterExpression"))
        after = _read_token(request.get("NextToken"))
        summaries: list[Answer] = []
        scanned = 0
        last = None
        for matched, trace_id in self._store.between(start, after or end, kind):
            trace = self._store.get(trace_id)
            if trace is None:
                continue
            if len(summaries) >= PAGE and matched != last:
                return {**_page(summaries, scanned), "NextToken": _token(matched)}
            scanned += 1
            if passes(trace):
                last = matched
                summaries.append(summary(trace, matched))
        return _page(summaries, scanned)


def summary(trace: Trace, matched: float | None = None) -> Answer:
    """A trace as GetTraceSummaries returns it. matched: the time by which it was found."""
    http = trace.entry.http
    return {
        "Id": trace.id,
        "StartTime": trace.start,
        "MatchedEventTime": trace.start if matched is None else matched,
        "Duration": round(trace.duration, 6),
        "ResponseTime": round(trace.entry.response_time, 6),
        "HasFault": any(node.fault for node in trace.nodes),
        "HasError": any(node.error for node in trace.nodes),
        "HasThrottle": any(node.throttle for node in trace.nodes),
        "IsPartial": trace.partial,
        "Http": {
            name: http[key]
            for name, key in (
                ("HttpURL", "url"),
                ("HttpStatus", "status"),
                ("HttpMethod", "method"),
                ("UserAgent", "user_agent"),
                ("ClientIp", "client_ip"),
            )
            if key in http
        },
        "Annotations": {
            key: [{"AnnotationValue": _value(value), "ServiceIds": [_service(node)]} for value, node in values]
            for key, values in trace.annotations.items()
        },
        "Users": [{"UserName": n.user, "ServiceIds": [_service(n)]} for n in trace.nodes if n.user],
        "ServiceIds": list({(node.name, node.type): _service(node) for node in trace.nodes}.values()),
        "FaultRootCauses": _root_causes(trace, "fault"),
        "ErrorRootCauses": _root_causes(trace, "error"),
        "EntryPoint": _service(trace.entry),
        "Revision": len(trace.segments),
    }


def _root_causes(trace: Trace, flag: str) -> list[Answer]:
    """The path of entities from a segment with a fault or an error to the innermost one with exceptions."""
    causes: list[Answer] = []
    for segment in trace.segments:
        path: list[Answer] = []
        entity = segment if segment.get(flag) else None
        while entity is not None and len(path) < _DEPTH:
            cause = entity.get("cause")
            exceptions = cause.get("exceptions") or [] if isinstance(cause, dict) else []
            raised = [{"Name": str(e.get("type") or ""), "Message": str(e.get("message") or "")} for e in exceptions]
            path.append({"Name": str(entity.get("name") or ""), "Exceptions": raised, "Remote": False})
            entity = next((s for s in entity.get("subsegments") or () if s.get(flag)), None)
        if any(step["Exceptions"] for step in path):
            service = {"Name": str(segment.get("name") or ""), "EntityPath": path, "Inferred": False}
            causes.append({"Services": [service], "ClientImpacting": True})
    return causes


def _whole(trace: Trace) -> Answer:
    return {
        "Id": trace.id,
        "Duration": round(trace.duration, 6),
        "LimitExceeded": False,
        "Segments": [
            {"Id": segment["id"], "Document": json.dumps(segment, separators=(",", ":"))} for segment in trace.segments
        ],
    }


def _service(node: Node) -> Answer:
    account = {"AccountId": node.account} if node.account else {}
    return {"Name": node.name, "Names": [node.name], "Type": node.type, **account}


def _value(value: Any) -> Answer:
    if isinstance(value, bool):
        return {"BooleanValue": value}
    return {"NumberValue": value} if isinstance(value, int | float) else {"StringValue": str(value)}


def _page(summaries: list[Answer], scanned: int) -> Answer:
    return {"TraceSummaries": summaries, "TracesProcessedCount": scanned}


def _token(start: float) -> str:
    return base64.urlsafe_b64encode(repr(start).encode()).decode()


def _read_token(token: str | None) -> float | None:
    try:
        return float(base64.urlsafe_b64decode(token)) if token else None
    except ValueError as error:
        raise RequestError("The NextToken is invalid.") from error


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _answer(send: Send, status: int, answer: Answer) -> None:
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status != 200:
        headers.append((b"x-amzn-errortype", b"InvalidRequestException"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
