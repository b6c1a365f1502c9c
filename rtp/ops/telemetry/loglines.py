"""Parses a log line of a function into a LogEvent: of rtp, of Lambda, a print, a traceback, a metric. Pure."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from rtp.ops.telemetry import textlines
from rtp.ops.telemetry.logevent import LogEvent, level_name, own_time
from rtp.text import json_values, times

# Numbers keep their digits; NaN and Infinity, which are not JSON, become text.
_JSON = json.JSONDecoder(parse_float=Decimal, parse_constant=str)
_MAX_DEPTH = 100  # deeper nesting would break the JSON encoder
_TEXT_BYTES = 262_144  # CloudWatch's limit for a line


def parse(raw: str, *, at: int, function: str) -> LogEvent:
    """Parse a line. Never fails: an unknown format is parsed as text."""
    stripped = raw.strip()
    if stripped.startswith("{") and stripped.endswith("}"):
        document = _document(stripped)
        if document is not None:
            return _from_json(document, raw, at, function)
    return textlines.parse(raw, at=at, function=function)


def _document(text: str) -> dict[str, Any] | None:
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        return None
    # A depth needs at least as many brackets, so most lines need no measuring.
    if not isinstance(value, dict) or (text.count("{") + text.count("[") > _MAX_DEPTH and _depth(value) > _MAX_DEPTH):
        return None
    return value


def _depth(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        deepest = max(deepest, depth)
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((child, depth + 1) for child in children if isinstance(child, dict | list))
    return deepest


def _from_json(document: dict[str, Any], raw: str, at: int, function: str) -> LogEvent:
    if "_aws" in document:
        return _metrics(document, raw, at, function)
    kind = document.get("type")
    if isinstance(kind, str) and kind.startswith("platform.") and isinstance(document.get("record"), dict):
        return _platform(kind, document, raw, at, function)
    timestamp, own = own_time(document.get("timestamp"), at)
    rest = dict(document)
    level = level_name(_take(rest, "level", "severity", "log_level"))
    message = _take(rest, "message", "msg", "errorMessage")
    request_id = _take(rest, "request_id", "requestId", "function_request_id", "AWSRequestId")
    trace_id = _take(rest, "trace_id", "xray_trace_id")
    event_id = _take(rest, "event_id")
    event_type = _take(rest, "event_type")
    step, release = _take(rest, "step"), _take(rest, "release")
    stack = _stack(_take(rest, "stack", "stack_trace", "stackTrace", "exception", "exc_info"))
    rest.pop("timestamp", None)
    has_message = message is not None or step is not None
    error_type = rest.get("errorType") or rest.get("error_type")
    text = _text(message) if message is not None else _text(step) if step is not None else raw.strip()
    return LogEvent(
        timestamp=timestamp,
        level=level or ("ERROR" if error_type or stack else "INFO"),
        function=function,
        message=text,
        id=_id(event_id),
        request_id=_id(request_id),
        trace_id=_id(trace_id),
        event_type=_id(event_type),
        step=_id(step),
        release=_id(release),
        kind="rtp" if has_message and (step is not None or event_id is not None or level is not None) else "text",
        stack=stack,
        fields=rest if has_message else document,
        at=at,
        own_at=own,
        raw=raw,
    )


def _metrics(document: dict[str, Any], raw: str, at: int, function: str) -> LogEvent:
    directives = document["_aws"].get("CloudWatchMetrics") if isinstance(document["_aws"], dict) else None
    values: dict[str, Any] = {}
    for directive in directives if isinstance(directives, list) else ():
        for metric in directive.get("Metrics", ()) if isinstance(directive, dict) else ():
            name = metric.get("Name") if isinstance(metric, dict) else None
            if isinstance(name, str) and name in document:
                values[name] = document[name]
    text = ", ".join(f"{name} {_number(value)}" for name, value in values.items())
    rest = {k: v for k, v in document.items() if k != "_aws"}
    request_id, trace_id = _take(rest, "request_id", "requestId"), _take(rest, "trace_id")
    return LogEvent(
        timestamp=times.iso(at),
        level="INFO",
        function=function,
        message=text or "metrics",
        id=_id(_take(rest, "event_id")),
        request_id=_id(request_id),
        trace_id=_id(trace_id),
        kind="metrics",
        fields=rest,
        at=at,
        raw=raw,
    )


def _platform(kind: str, document: dict[str, Any], raw: str, at: int, function: str) -> LogEvent:
    record = document["record"]
    what = kind.removeprefix("platform.")
    status = record.get("status")
    failed = isinstance(status, str) and status not in ("success", "")
    metrics = record.get("metrics") if isinstance(record.get("metrics"), dict) else {}
    parts = [what.upper()]
    if isinstance(status, str) and failed:
        parts.append(status)
    for key, unit, label in (
        ("durationMs", "ms", ""),
        ("initDurationMs", "ms", "init "),
        ("maxMemoryUsedMB", "MB", ""),
    ):
        if key in metrics:
            parts.append(f"{label}{_number(metrics[key])} {unit}")
    if record.get("errorType"):
        parts.append(_text(record["errorType"]))
    tracing = record.get("tracing")
    trace = re.search(r"1-[0-9a-f]{8}-[0-9a-f]{24}", _text(tracing.get("value"))) if isinstance(tracing, dict) else None
    timestamp, own = own_time(document.get("time"), at)
    return LogEvent(
        timestamp=timestamp,
        level="ERROR" if failed else "INFO",
        function=function,
        message=" ".join(parts),
        request_id=_id(record.get("requestId")),
        trace_id=trace.group() if trace else None,
        step=what,
        kind="platform",
        fields=record,
        at=at,
        own_at=own,
        raw=raw,
    )


def _stack(value: Any) -> str | None:
    if isinstance(value, list):
        return "\n".join(_text(v).rstrip("\n") for v in value) or None
    return _text(value) if value else None


def _take(document: dict[str, Any], name: str, *others: str) -> Any:
    value = document.pop(name, None)
    if value is None:
        for other in others:
            if (value := document.pop(other, None)) is not None:
                break
    return value


def _id(value: Any) -> str | None:
    return None if value is None or value == "" else _text(value)[:_TEXT_BYTES]


def _number(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return "+".join(_text(v) for v in values[:5]) + ("…" if len(values) > 5 else "")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json_values.dumps(value)
