"""Turn the error lines of a function's log into failures. Pure.

A failed start, a time-out, too little memory: Lambda writes these, in one or several lines of one invocation. What the
functions write of an event's attempts is left out, since its record has that.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.ops.causes import Cause
from rtp.ops.telemetry import frames, loglines
from rtp.ops.triage.failures import LOGGED, Failure
from rtp.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.aws.logs import LogLine
    from rtp.ops.telemetry.logevent import LogEvent

_RECORDED = ("failed", "dead", "rejected", "conflict")  # steps of an attempt whose end the event's record has
_LEVELS = ("ERROR", "CRITICAL")
_NO_MEMORY = "Runtime.OutOfMemory"
_NAMED = re.compile(r"([A-Za-z_][\w.]{0,99}): (.*)", re.ASCII | re.DOTALL)
_CLASS = re.compile(r"([A-Za-z_][\w.]{0,90})?(Error|Exception|Exit|Interrupt)", re.ASCII)
_EXITED = re.compile(r"RequestId: \S+ Error: (.*?)(?:\n(Runtime\.\w+))?\s*", re.DOTALL)
_REPORTED = re.compile(r"\tStatus: (\w+)(?:\tError Type: ([\w.]+))?")
_MEMORY = re.compile(r"\tMemory Size: (\d+) MB\t.*\bMax Memory Used: (\d+) MB")


def failures(lines: Iterable[LogLine], function: str) -> Iterator[Failure]:
    """The failures that lines of one function report, which are given in order of time."""
    waiting: dict[str, Failure] = {}  # by stream: of Lambda's own lines, until the end of the invocation is seen
    for line in lines:
        event = loglines.parse(line.message, at=line.at, function=function)
        if event.kind == "metrics" or event.level not in _LEVELS:
            continue
        if event.kind == "rtp":
            if event.step not in _RECORDED:
                yield _of(event, _of_function(event))
            continue
        if event.kind == "platform":
            if event.step == "report" and event.request_id:  # that of a start has none
                yield _reported(event, waiting.pop(line.stream, None))
            continue
        new, before = _of(event, _of_text(event)), waiting.get(line.stream)
        if before is not None and _is_one(before, new):
            new = replace(before, last=new.last, requests=before.requests or new.requests)
        elif before is not None:
            yield before
        waiting[line.stream] = new
    yield from waiting.values()


def _is_one(before: Failure, new: Failure) -> bool:
    """Whether two lines of a stream are of one failure: of one request, or of a start that Lambda tries twice."""
    if before.requests and new.requests:
        return before.requests == new.requests
    return before.group == new.group and before.cause.type.startswith("Runtime.")


def _of(event: LogEvent, cause: Cause) -> Failure:
    return Failure(
        id=event.id or "",
        timestamp=event.when,
        kind=event.event_type or "",
        status=LOGGED,
        cause=cause,
        first=event.when,
        last=event.when,
        releases=(event.release,) if event.release else (),
        requests=frozenset({event.request_id} if event.request_id else ()),
    )


def _reported(report: LogEvent, before: Failure | None) -> Failure:
    """The failure of an invocation, by its report and by what was written before."""
    found = _of(report, _of_report(report))
    if before is None or (before.requests and before.requests != found.requests):
        return found
    is_exit = before.cause.type == "Runtime.ExitError" and found.cause.type == _NO_MEMORY
    return replace(found, cause=found.cause if is_exit else before.cause)


def _of_function(event: LogEvent) -> Cause:
    """The cause in a line of the functions, or of a processor's own logging."""
    type, error = (str(event.fields.get(name) or "") for name in ("error_type", "error"))
    return _cause(type or "LoggedError", error or event.message, event.stack)


def _of_text(event: LogEvent) -> Cause:
    """The cause in a line of Lambda, or in a traceback that a processor printed."""
    text = event.message.strip()
    if text.startswith("Task timed out"):
        return _of_lambda("TimedOut", text.splitlines()[0], event)
    if match := _EXITED.fullmatch(text):
        return _of_lambda(match[2] or "Runtime.ExitError", match[1], event)
    if match := _NAMED.fullmatch(text):
        if match[1].startswith("Runtime."):
            return _of_lambda(match[1], match[2], event)
        if _CLASS.fullmatch(match[1]):
            return _cause(match[1], match[2], event.stack)
    elif _CLASS.fullmatch(text):
        return _cause(text, "", event.stack)
    return _cause("LoggedError", text, event.stack)


def _of_report(event: LogEvent) -> Cause:
    match, memory = _REPORTED.search(event.raw), _MEMORY.search(event.raw)
    status, type = (match[1], match[2] or "") if match else ("error", "")
    if status == "timeout":
        return _of_lambda("TimedOut", "the time limit was over", event)
    if type == _NO_MEMORY or (type == "Runtime.ExitError" and memory and int(memory[2]) >= int(memory[1])):
        used = f"{memory[2]} of {memory[1]} MB were used" if memory else "memory was used up"
        return _of_lambda(_NO_MEMORY, used, event)
    return _of_lambda(type or "Runtime.Error", "the invocation failed", event)


def _of_lambda(type: str, message: str, event: LogEvent) -> Cause:
    """The cause of what ends an invocation, whatever its events are: the function is part of it."""
    return _cause(type, f"{message} ({event.function})", None)


def _cause(type: str, message: str, stack: str | None) -> Cause:
    found = errors.info(type, message or "(no message)")
    return Cause(found.type, found.message, frames.place(stack or ""), found.signature)
