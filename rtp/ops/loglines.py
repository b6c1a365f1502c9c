"""A line of a function's log -> LogEvent, whoever wrote it: rtp, Lambda, a print, a traceback, a metric. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from rtp import plain, times

Kind = Literal["rtp", "platform", "metrics", "text"]

LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_ALIASES = {"WARN": "WARNING", "FATAL": "CRITICAL", "NOTICE": "INFO"}
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_REQUEST = re.compile(rf"RequestId: ({_UUID})")
_PLATFORM = re.compile(r"(START|END|REPORT) RequestId: |INIT_(START|REPORT) |RESTORE_(START|REPORT) |EXTENSION\tName: ")
_TRACE = re.compile(r"\bXRAY TraceId: (1-[0-9a-f]{8}-[0-9a-f]{24})")
_TIMED_OUT = re.compile(rf"(?:\S+ )?({_UUID}) (Task timed out after .*)", re.DOTALL)
_PYTHON = re.compile(rf"\[(\w+)\]\t(\d{{4}}-\d\d-\d\dT[\d:.]+Z)\t({_UUID})?\t(.*)", re.DOTALL)
_LEVELLED = re.compile(r"\[(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\]\s+(.*)", re.DOTALL)
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):|Unable to import module|Runtime\.\w+Error")
# Numbers keep their digits; NaN and its kind, which no JSON may hold, become text.
_JSON = json.JSONDecoder(parse_float=Decimal, parse_constant=str)
_DEEP = 100  # nesting that no honest line has, and that would break who writes it again
_OURS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d\.\d{3}Z", re.ASCII)
_NEAR_MS = 900_000  # Lambda's longest run
_TEXT_BYTES = 262_144  # CloudWatch's own limit of a line


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of a log; its fields are those of `logs --json`.

    timestamp: ISO 8601, UTC. function: `processor` or `worker`. kind: who wrote it. id: the event's.
    stack: a stack trace, several lines. fields: whatever else the line held.
    """

    timestamp: str
    level: str
    function: str
    message: str
    id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    event_type: str | None = None
    step: str | None = None
    kind: Kind = "text"
    stack: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    _at: int = 0
    _raw: str = ""
    _when: int | None = None

    @property
    def at(self) -> int:
        """When CloudWatch says that it was written, epoch ms."""
        return self._at

    @property
    def when(self) -> int:
        """The timestamp, epoch ms."""
        return self._at if self._when is None else self._when

    @property
    def raw(self) -> str:
        """The line as it was written."""
        return self._raw


def parse(raw: str, *, at: int, function: str) -> LogEvent:
    """What a line says. Never fails: what is not understood is text."""
    stripped = raw.strip()
    if stripped.startswith("{") and stripped.endswith("}"):
        document = _document(stripped)
        if document is not None:
            return _from_json(document, raw, at, function)
    return _from_text(raw, at, function)


def level_name(value: object) -> str | None:
    """A level's one name, or None for what is not a level."""
    if not isinstance(value, str):
        return None
    name = value.strip().upper()
    name = _ALIASES.get(name, name)
    return name if name in LEVELS else None


def _document(text: str) -> dict[str, Any] | None:
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        return None
    # Depth takes at least as many characters; most lines need not be measured.
    if not isinstance(value, dict) or (text.count("{") + text.count("[") > _DEEP and _depth(value) > _DEEP):
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
    timestamp, own = _own_time(document.get("timestamp"), at)
    rest = dict(document)
    level = level_name(_take(rest, "level", "severity", "log_level"))
    message = _take(rest, "message", "msg", "errorMessage")
    request_id = _take(rest, "request_id", "requestId", "function_request_id", "AWSRequestId")
    trace_id = _take(rest, "trace_id", "xray_trace_id")
    event_id = _take(rest, "event_id")
    event_type = _take(rest, "event_type")
    step = _take(rest, "step")
    stack = _stack(_take(rest, "stack", "stack_trace", "stackTrace", "exception", "exc_info"))
    rest.pop("timestamp", None)
    known = message is not None or step is not None
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
        kind="rtp" if known and (step is not None or event_id is not None or level is not None) else "text",
        stack=stack,
        fields=rest if known else document,
        _at=at,
        _when=own,
        _raw=raw,
    )


def _metrics(document: dict[str, Any], raw: str, at: int, function: str) -> LogEvent:
    directives = document["_aws"].get("CloudWatchMetrics") if isinstance(document["_aws"], dict) else None
    values: dict[str, Any] = {}
    for directive in directives if isinstance(directives, list) else ():
        for metric in directive.get("Metrics", ()) if isinstance(directive, dict) else ():
            name = metric.get("Name") if isinstance(metric, dict) else None
            if isinstance(name, str) and name in document:
                values[name] = document[name]
    said = ", ".join(f"{name} {_number(value)}" for name, value in values.items())
    rest = {k: v for k, v in document.items() if k != "_aws"}
    request_id, trace_id = _take(rest, "request_id", "requestId"), _take(rest, "trace_id")
    return LogEvent(
        timestamp=times.iso(at),
        level="INFO",
        function=function,
        message=said or "metrics",
        id=_id(_take(rest, "event_id")),
        request_id=_id(request_id),
        trace_id=_id(trace_id),
        kind="metrics",
        fields=rest,
        _at=at,
        _raw=raw,
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
    timestamp, own = _own_time(document.get("time"), at)
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
        _at=at,
        _when=own,
        _raw=raw,
    )


def _from_text(raw: str, at: int, function: str) -> LogEvent:
    # Lambda ends the inner lines of a traceback with \r, and indents them with no-break spaces.
    text = raw.replace("\r\n", "\n").rstrip("\r\n").replace("\r", "\n").replace("\xa0", " ")
    request = _REQUEST.search(text)
    trace = _TRACE.search(text)
    kind: Kind = "text"
    level, message, stack, step = "INFO", text, None, None
    request_id = request.group(1) if request else None
    if match := _PLATFORM.match(text):
        kind = "platform"
        step = next((g for g in match.groups() if g), "extension").lower()
        message, failed = _platform_text(text)
        level = "ERROR" if failed else "INFO"
    elif match := _TIMED_OUT.fullmatch(text.strip()):
        level, request_id, message = "ERROR", match.group(1), match.group(2)
    elif match := _PYTHON.fullmatch(text):
        level, request_id, message = level_name(match.group(1)) or "INFO", match.group(3) or request_id, match.group(4)
    elif match := _LEVELLED.fullmatch(text):
        level, message = level_name(match.group(1)) or "INFO", match.group(2)
    if kind == "text":
        message, stack = _split_stack(message)
        if _TRACEBACK.search(text):
            level = "ERROR"
    return LogEvent(
        timestamp=times.iso(at),
        level=level,
        function=function,
        message=message,
        request_id=request_id,
        trace_id=trace.group(1) if trace else None,
        step=step,
        kind=kind,
        stack=stack,
        _at=at,
        _raw=raw,
    )


_PLATFORM_NOISE = re.compile(rf"RequestId: {_UUID}|Version: \$LATEST|Runtime Version ARN: \S+")
_REPORT_PART = re.compile(
    r"(?<=\t)(Duration|Init Duration|Restore Duration|Max Memory Used|Status|Error Type): ([^\t]+)"
)


def _platform_text(text: str) -> tuple[str, bool]:
    """A platform line made short, and whether it tells of a failure."""
    first = text.split("\n", 1)[0]
    if not first.startswith(("REPORT ", "INIT_REPORT ", "RESTORE_REPORT ")):
        return " ".join(
            re.sub(rf"RequestId: {_UUID}\s*|Version: \$LATEST\s*|Runtime Version ARN: \S+\s*", "", first).split()
        ), False
    found = {label: value.strip() for label, value in _REPORT_PART.findall(first)}
    said = [first.split(" ", 1)[0]]
    said += [found[k] for k in ("Status", "Error Type", "Duration") if k in found]
    said += [f"init {found[k]}" for k in ("Init Duration", "Restore Duration") if k in found]
    said += (
        [found["Max Memory Used"]] if found.get("Max Memory Used", "0 MB") != "0 MB" else []
    )  # an engine may not know
    return " ".join(said), "Status" in found and found["Status"].lower() != "success"


def _split_stack(message: str) -> tuple[str, str | None]:
    """The message, and the stack trace below it where there is one."""
    head, _, tail = message.partition("\n")
    if tail and ("Traceback (most recent call last)" in message or re.search(r'^\s+File "', tail, re.MULTILINE)):
        if head.startswith("Traceback "):
            lines = [row for row in message.split("\n") if row.strip()]
            return (lines[-1] if lines else head), message
        return head, tail
    return message, None


def _stack(value: Any) -> str | None:
    if isinstance(value, list):
        return "\n".join(_text(v).rstrip("\n") for v in value) or None
    return _text(value) if value else None


def _own_time(value: object, at: int) -> tuple[str, int]:
    """The line's own time, as ISO 8601 and epoch ms, where it is near CloudWatch's, which an engine may round."""
    if isinstance(value, str) and 20 <= len(value) <= 35 and value[10] == "T":
        ours = _OURS.fullmatch(value) is not None
        try:
            # Lines come by the minute, and reading a whole time takes three times as long.
            own = _minute(value[:16]) + int(value[17:19]) * 1000 + int(value[20:23]) if ours else _ms(value)
        except (ValueError, OverflowError):
            own = -1
        if abs(own - at) < _NEAR_MS:
            return value if ours else times.iso(own), own
    return times.iso(at), at


@lru_cache(maxsize=64)
def _minute(text: str) -> int:
    return _ms(text + "+00:00")


def _ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return round(moment.timestamp() * 1000)


def _take(document: dict[str, Any], name: str, *others: str) -> Any:
    found = document.pop(name, None)
    for other in others:
        if found is not None:
            break
        found = document.pop(other, None)
    return found


def _id(value: Any) -> str | None:
    return None if value is None or value == "" else _text(value)[:_TEXT_BYTES]


def _number(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return "+".join(_text(v) for v in values[:5]) + ("…" if len(values) > 5 else "")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else plain.dumps(value)
