"""OpenTelemetry spans, as CloudWatch's Transaction Search stores them, as X-Ray's segment documents. Pure.

X-Ray converts the segments that it gets into spans of OpenTelemetry's semantic conventions. Nothing in a span is
trusted; what it lacks is left out.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rtp.aws import resource_types

_TRACE = re.compile(r"[0-9a-f]{32}")
_ANNOTATIONS = "aws.xray.annotations"  # attribute with the names of those that are annotations
_OF_RTP = ("event_id", "event_type")
_PREFIXES = ("annotation.", "annotations.", f"{_ANNOTATIONS}.", "aws.xray.annotation.")
_FRAME = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<label>.+)')


def trace_id_of(span_trace_id: str) -> str:
    """X-Ray's form of a span's trace id: `1-6b045e5f-7a5a88bd9818ebcad589f3dd`; empty where it has none."""
    text = span_trace_id.lower().removeprefix("1-").replace("-", "")
    return f"1-{text[:8]}-{text[8:]}" if _TRACE.fullmatch(text) else ""


def span_trace_id(trace_id: str) -> str:
    """A span's form of X-Ray's trace id: 32 hexadecimal digits."""
    return trace_id.removeprefix("1-").replace("-", "")


def documents(lines: list[str]) -> dict[str, list[str]]:
    """Segment documents by trace id, from the log lines of spans; other lines are skipped."""
    by_trace: dict[str, list[str]] = {}
    for line in lines:
        span = _loaded(line)
        trace_id = trace_id_of(_text(span.get("traceId")))
        document = _document(span, trace_id) if trace_id else None
        if document is not None:
            by_trace.setdefault(trace_id, []).append(json.dumps(document))
    return by_trace


def _document(span: dict[str, Any], trace_id: str) -> dict[str, Any] | None:
    start = _seconds(span.get("startTimeUnixNano"))
    if not start or not span.get("spanId"):
        return None
    attributes = _attributes(span.get("attributes"))
    resource = _attributes(_dict(span.get("resource")).get("attributes"))
    kind = _text(span.get("kind")).upper().removeprefix("SPAN_KIND_")
    service = _text(resource.get("service.name") or attributes.get("aws.local.service"))
    is_segment = kind in ("SERVER", "CONSUMER", "2", "5")
    end = _seconds(span.get("endTimeUnixNano"))
    if end is None and _seconds(span.get("durationNano")) is not None:
        end = start + float(_seconds(span.get("durationNano")) or 0)
    document = {
        "trace_id": trace_id,
        "id": _text(span["spanId"]),
        "parent_id": _text(span.get("parentSpanId")) or None,
        "name": (service if is_segment else "") or _text(span.get("name")) or service,
        "start_time": start,
        "end_time": end,
        "in_progress": True if end is None else None,
        "origin": _origin(attributes, resource) if is_segment else None,
        "namespace": _namespace(attributes) if kind in ("CLIENT", "PRODUCER", "3", "4") else None,
        "annotations": _annotations(attributes),
        "http": _http(attributes),
        "aws": _aws(attributes),
        "cause": _cause(span.get("events")),
        "links": _links(span.get("links")),
        **_flags(span, attributes),
    }
    return {key: value for key, value in document.items() if value not in (None, "", {}, [])}


def _flags(span: dict[str, Any], attributes: dict[str, Any]) -> dict[str, bool]:
    code = _text(_dict(span.get("status")).get("code")).upper().removeprefix("STATUS_CODE_")
    status = _status(attributes)
    if status == 429:
        return {"error": True, "throttle": True}
    if status is not None and 400 <= status < 500:
        return {"error": True}
    return {"fault": True} if code in ("ERROR", "2") or (status is not None and status >= 500) else {}


def _annotations(attributes: dict[str, Any]) -> dict[str, Any]:
    """Those that the span lists as annotations, those whose names say so, and rtp's own."""
    listed = attributes.get(_ANNOTATIONS)
    names = [*listed] if isinstance(listed, list) else []
    annotations = {_text(name): attributes[name] for name in names if isinstance(name, str) and name in attributes}
    for key, value in attributes.items():
        for prefix in _PREFIXES:
            if key.startswith(prefix):
                annotations.setdefault(key.removeprefix(prefix), value)
    return annotations | {name: attributes[name] for name in _OF_RTP if name in attributes}


def _origin(attributes: dict[str, Any], resource: dict[str, Any]) -> str:
    origin = _text(attributes.get("aws.xray.origin") or resource.get("aws.xray.origin"))
    if origin:
        return origin
    platform = _text(resource.get("cloud.platform") or attributes.get("cloud.platform"))
    return resource_types.FUNCTION if platform == "aws_lambda" or "faas.name" in resource else ""


def _namespace(attributes: dict[str, Any]) -> str:
    return "aws" if attributes.get("rpc.system") in ("aws-api", "aws_api") or "aws.service" in attributes else "remote"


def _aws(attributes: dict[str, Any]) -> dict[str, Any]:
    facts = {
        "operation": _first(attributes, "aws.operation", "rpc.method"),
        "request_id": _first(attributes, "aws.request_id", "faas.invocation_id", "faas.execution"),
        "table_name": _first(attributes, "aws.table_name", "aws.dynamodb.table_names"),
        "queue_url": _first(attributes, "aws.queue_url", "aws.sqs.queue.url"),
        "bucket_name": _first(attributes, "aws.bucket_name", "aws.s3.bucket"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _http(attributes: dict[str, Any]) -> dict[str, Any]:
    request = {
        "method": _first(attributes, "http.request.method", "http.method"),
        "url": _first(attributes, "url.full", "http.url", "http.target", "url.path"),
    }
    request = {name: value for name, value in request.items() if value is not None}
    status = _status(attributes)
    return ({"request": request} if request else {}) | ({"response": {"status": status}} if status else {})


def _status(attributes: dict[str, Any]) -> int | None:
    value = _first(attributes, "http.response.status_code", "http.status_code")
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _cause(events: Any) -> dict[str, Any]:
    exceptions = []
    for event in events if isinstance(events, list) else ():
        facts = _attributes(_dict(event).get("attributes"))
        if _dict(event).get("name") == "exception" or "exception.type" in facts:
            stack = [match.groupdict() for match in _FRAME.finditer(_text(facts.get("exception.stacktrace")))]
            exceptions.append(
                {"type": facts.get("exception.type"), "message": facts.get("exception.message"), "stack": stack}
            )
    return {"exceptions": exceptions} if exceptions else {}


def _links(links: Any) -> list[dict[str, Any]]:
    entries = [_dict(link) for link in links] if isinstance(links, list) else []
    return [
        {"trace_id": trace_id, "id": _text(link.get("spanId"))}
        for link in entries
        if (trace_id := trace_id_of(_text(link.get("traceId"))))
    ]


def _attributes(value: Any) -> dict[str, Any]:
    """Attributes by name: an object, or OTLP's list of `{key, value: {stringValue}}`."""
    if isinstance(value, dict):
        return dict(_flat(value))
    pairs = [_dict(one) for one in value] if isinstance(value, list) else []
    return {_text(p.get("key")): next(iter(_dict(p.get("value")).values()), p.get("value")) for p in pairs}


def _flat(value: dict[str, Any], prefix: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    """Names with dots, whether the line nests them or not."""
    flat: list[tuple[str, Any]] = []
    for key, inner in value.items():
        if isinstance(inner, dict) and depth < 8:
            flat += _flat(inner, f"{prefix}{key}.", depth + 1)
        else:
            flat.append((f"{prefix}{key}", inner))
    return flat


def _first(attributes: dict[str, Any], *names: str) -> Any:
    value = next((attributes[name] for name in names if attributes.get(name) not in (None, "")), None)
    return next(iter(value), None) if isinstance(value, list) else value


def _loaded(line: str) -> dict[str, Any]:
    try:
        return _dict(json.loads(line, parse_constant=str))
    except (ValueError, RecursionError):
        return {}


def _seconds(nanoseconds: Any) -> float | None:
    try:
        return int(nanoseconds) / 1e9
    except (TypeError, ValueError, OverflowError):
        return None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)
