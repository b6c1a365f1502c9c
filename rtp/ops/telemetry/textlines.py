"""Parses lines that are not JSON: Lambda's START, END and REPORT, tracebacks, timeouts, prints. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rtp.ops.telemetry.logevent import LogEvent, level_name
from rtp.text import times

if TYPE_CHECKING:
    from rtp.ops.telemetry.logevent import Kind

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_REQUEST = re.compile(rf"RequestId: ({_UUID})")
_PLATFORM = re.compile(r"(START|END|REPORT) RequestId: |INIT_(START|REPORT) |RESTORE_(START|REPORT) |EXTENSION\tName: ")
_TRACE = re.compile(r"\bXRAY TraceId: (1-[0-9a-f]{8}-[0-9a-f]{24})")
_TIMED_OUT = re.compile(rf"(?:\S+ )?({_UUID}) (Task timed out after .*)", re.DOTALL)
_PYTHON = re.compile(rf"\[(\w+)\]\t(\d{{4}}-\d\d-\d\dT[\d:.]+Z)\t({_UUID})?\t(.*)", re.DOTALL)
_LEVELLED = re.compile(r"\[(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\]\s+(.*)", re.DOTALL)
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):|Unable to import module|Runtime\.\w+Error")


def parse(raw: str, *, at: int, function: str) -> LogEvent:
    """Parse a line of text."""
    # Lambda separates the lines of a traceback by \r, and indents them with no-break spaces.
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
        at=at,
        raw=raw,
    )


_NOISE = re.compile(rf"RequestId: {_UUID}\s*|Version: \$LATEST\s*|Runtime Version ARN: \S+\s*")
_REPORT_PART = re.compile(
    r"(?<=\t)(Duration|Init Duration|Restore Duration|Max Memory Used|Status|Error Type): ([^\t]+)"
)


def _platform_text(text: str) -> tuple[str, bool]:
    """A platform line, abbreviated, and whether it reports a failure."""
    first = text.split("\n", 1)[0]
    if not first.startswith(("REPORT ", "INIT_REPORT ", "RESTORE_REPORT ")):
        return " ".join(_NOISE.sub("", first).split()), False
    values = {label: value.strip() for label, value in _REPORT_PART.findall(first)}
    words = [first.split(" ", 1)[0]]
    words += [values[k] for k in ("Status", "Error Type", "Duration") if k in values]
    words += [f"init {values[k]}" for k in ("Init Duration", "Restore Duration") if k in values]
    if values.get("Max Memory Used", "0 MB") != "0 MB":  # an engine may not know it
        words.append(values["Max Memory Used"])
    return " ".join(words), "Status" in values and values["Status"].lower() != "success"


def _split_stack(message: str) -> tuple[str, str | None]:
    """The message, and the stack trace below it, if any."""
    head, _, tail = message.partition("\n")
    if tail and ("Traceback (most recent call last)" in message or re.search(r'^\s+File "', tail, re.MULTILINE)):
        if head.startswith("Traceback "):
            lines = [row for row in message.split("\n") if row.strip()]
            return (lines[-1] if lines else head), message
        return head, tail
    return message, None
