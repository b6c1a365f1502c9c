"""Logs: event ids, the time that a line names, few streams a day, and pages."""

from __future__ import annotations

import heapq
import itertools
import re
import secrets
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rtp.local import log_lines, log_patterns
from rtp.local.log_lines import MAX_EVENTS
from rtp.local.patches import invocations
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rtp.local.telemetry import Telemetry

MAX_PAGE = 10_000
# Limits of one page, which may then be short or empty, as on AWS: other requests wait meanwhile.
MAX_SCANNED = 20_000
MAX_SCAN_S = 0.25
_ROUNDING_MS = 2
_RUN = secrets.token_hex(14)
_TIME = re.compile(r'"timestamp":\s*"([0-9T:.+Z-]{20,35})"')
_LINE_END = re.compile(r"\r?\n")  # a single \r is within a line, as in Lambda's own of several rows
_ids = itertools.count()
_StreamEvent = tuple[dict[str, Any], str]  # an event, and its stream


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core import iam_evaluator
    from ministack.services import cloudwatch_logs, iam, lambda_svc

    require(cloudwatch_logs, "_log_groups", "_append_log_events", "_log_events_lock", "_make_group_arn")
    require(cloudwatch_logs, "_resolve_log_group_name", "_fanout_to_subscription_filters")
    require(lambda_svc, "_probe_peak_memory_mb", "_functions")
    require(iam, "_roles")
    require(iam_evaluator, "_gather_role_policies", "evaluate", "EvalContext")
    replace(lambda_svc, "_emit_lambda_logs", emit, "func request_id log_text error duration_ms log_source")
    replace(cloudwatch_logs, "_filter_log_events", filter_events, "data")


PATCH = Patch(
    name="function_logs",
    aws=(
        "Log events have an eventId and the time at which they were written, FilterLogEvents returns pages, and "
        "JSON patterns are evaluated. Lambda makes a missing log group only if the function's role allows it."
    ),
    engine=(
        "Every invocation makes a log stream, so that reading a group becomes slower with each. Events of "
        "functions have no eventId. All lines of an invocation have the time of its end. FilterLogEvents returns "
        "10,000 events at most and no token for the rest. JSON patterns match everything. "
        "The last lines of a function that is deleted make its log group again."
    ),
    test="tests/local/engine/test_patches.py::log_events_have_no_id",
    install=install,
)


def emit(
    func: Any, request_id: str, log_text: str, error: bool, duration_ms: int, *, log_source: str | None = None
) -> None:
    """Write the lines of an invocation as Lambda does."""
    from ministack.services import cloudwatch_logs, lambda_svc

    del error, log_source
    config = func.get("config") or func
    version = config.get("Version", "$LATEST")
    end = int(time.time() * 1000)
    start = end - int(duration_ms)
    memory = config.get("MemorySize", 128)
    report = (
        f"REPORT RequestId: {request_id}\tDuration: {duration_ms} ms\tBilled Duration: {duration_ms} ms\t"
        f"Memory Size: {memory} MB\tMax Memory Used: {lambda_svc._probe_peak_memory_mb(func)} MB"
    )
    inside = invocations.inside()
    if inside:
        report += f"\tXRAY TraceId: {inside.root}\tSegmentId: {inside.parent}\tSampled: {str(inside.recorded).lower()}"
    group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
    slot, start = _slots.take(group, start, end)
    lines = [(start, f"START RequestId: {request_id} Version: {version}")]
    for line in _LINE_END.split(log_text.removesuffix("\n")) if log_text else ():
        lines.append((_time_of(line, lines[-1][0], start, end), line))
    last = max(at for at, _ in lines)
    lines += [(max(last, end), f"END RequestId: {request_id}"), (max(last, end), report)]
    if group not in cloudwatch_logs._log_groups:
        if not _may_make_group(config, group):
            return
        _make_group(group)
    append(group, f"{time.strftime('%Y/%m/%d')}/[{version}]{_RUN}{slot:04x}", lines)


class Slots:
    """As on AWS, a stream has one invocation at a time: lines between its START and END belong to it."""

    def __init__(self) -> None:
        self._ends: dict[str, list[int]] = {}  # per group, when the last invocation of each of its streams ended
        self._lock = threading.Lock()

    def take(self, group: str, start: int, end: int) -> tuple[int, int]:
        """The first stream that was free all the time, and the start, which rounding may put before the last end."""
        with self._lock:
            ends = self._ends.setdefault(group, [])
            slot = next((n for n, ended in enumerate(ends) if ended <= start + _ROUNDING_MS), len(ends))
            if slot == len(ends):
                ends.append(start)
            start = max(start, ends[slot])
            ends[slot] = max(start, end)
            return slot, start


_slots = Slots()


def append(group_name: str, stream_name: str, lines: Sequence[tuple[int, str]]) -> None:
    """Append lines to a stream of the current account and region, which is created if it is missing.

    The lines are lost if there is no such group.
    """
    from ministack.services import cloudwatch_logs as logs

    now = int(time.time() * 1000)
    group = logs._log_groups.get(group_name)
    if group is None:
        return
    stream = group["streams"].setdefault(
        stream_name,
        {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": now,
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        },
    )
    events = [
        {"timestamp": at, "message": text, "ingestionTime": now, "eventId": f"{at:020d}{next(_ids):036d}"}
        for at, text in lines
    ]
    logs._append_log_events(stream, events)
    if len(stream["events"]) > MAX_EVENTS:
        with logs._log_events_lock:
            del stream["events"][: MAX_EVENTS // 10]
    if group["subscriptionFilters"]:
        logs._fanout_to_subscription_filters(group_name, stream_name, events)


def _may_make_group(config: dict[str, Any], group: str) -> bool:
    """Whether Lambda makes a function's missing log group: while the function exists, with its role's permission.

    A role that the engine does not have, such as that of a function without a stack, is taken to have it.
    """
    from ministack.core import iam_evaluator
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import cloudwatch_logs, iam, lambda_svc

    if config.get("FunctionName") not in lambda_svc._functions:
        return False
    role, account = str(config.get("Role", "")), get_account_id()
    name = role.rpartition("/")[2]
    if iam._roles.get_scoped(account, None, name) is None:
        return True
    context = iam_evaluator.EvalContext(
        principal_arn=role,
        principal_type="AssumedRole",
        principal_account=account,
        action="logs:CreateLogGroup",
        resource_arn=cloudwatch_logs._make_group_arn(group),
        region=get_region(),
    )
    policies = iam_evaluator._gather_role_policies(name, account)
    return bool(iam_evaluator.evaluate(context, policies).decision == "Allow")


def _make_group(name: str) -> None:
    from ministack.services import cloudwatch_logs as logs

    logs._log_groups[name] = {
        "arn": logs._make_group_arn(name),
        "creationTime": int(time.time() * 1000),
        "retentionInDays": None,
        "tags": {},
        "subscriptionFilters": {},
        "streams": {},
    }


def filter_events(data: dict[str, Any]) -> Any:
    """FilterLogEvents, in pages."""
    from ministack.core.responses import error_response_json, json_response
    from ministack.services import cloudwatch_logs as logs

    group = logs._log_groups.get(logs._resolve_log_group_name(data))
    if group is None:
        return error_response_json("ResourceNotFoundException", "The specified log group does not exist.", 400)
    try:
        at, skip = _read_token(data.get("nextToken"))
    except ValueError:
        return error_response_json("InvalidParameterException", "The specified nextToken is invalid.", 400)
    try:
        matches = log_patterns.compile_pattern(data.get("filterPattern") or "")
    except ValueError as error:
        return error_response_json("InvalidParameterException", str(error), 400)
    limit = min(int(data.get("limit") or MAX_PAGE), MAX_PAGE)
    begin = max(int(data.get("startTime") or 0), at)
    matched: list[dict[str, Any]] = []
    read = 0  # events at the timestamp `at`
    between = _between(logs, group, data, begin, data.get("endTime"))
    deadline = time.monotonic() + MAX_SCAN_S
    for scanned, (event, stream) in enumerate(between):
        if event["timestamp"] != at:
            at, read, skip = event["timestamp"], 0, 0
        read += 1
        if read <= skip:
            continue
        late = scanned > skip and time.monotonic() > deadline
        if len(matched) == limit or scanned == MAX_SCANNED + skip or late:
            return json_response({"events": matched, "searchedLogStreams": [], "nextToken": f"{at}:{read - 1}"})
        if matches(event["message"]):
            matched.append({**event, "logStreamName": stream})
    return json_response({"events": matched, "searchedLogStreams": []})


def _between(logs: Any, group: Any, data: dict[str, Any], begin: int, end: int | None) -> Iterator[_StreamEvent]:
    """Events of the requested streams in order of time."""
    names = data.get("logStreamNames")
    prefix = data.get("logStreamNamePrefix") or ""
    parts = []
    with logs._log_events_lock:
        for name, stream in list(group["streams"].items()):
            if (name in names) if names else name.startswith(prefix):
                events = log_lines.between(stream["events"], begin, None if end is None else int(end))
                parts.append(zip(events, itertools.repeat(name)))
    return heapq.merge(*parts, key=lambda stream_event: _timestamp(stream_event[0]))


def _timestamp(event: dict[str, Any]) -> int:
    return int(event["timestamp"])


def _read_token(token: str | None) -> tuple[int, int]:
    at, _, skip = (token or "0:0").partition(":")
    return int(at), int(skip)


def _time_of(line: str, before: int, start: int, end: int) -> int:
    """The time in a JSON line if it lies within the invocation; else that of the line before it."""
    match = _TIME.search(line) if line.startswith("{") else None
    if match is None:
        return before
    try:
        at = int(datetime.fromisoformat(match[1]).timestamp() * 1000)
    except ValueError:
        return before
    return at if start - 1000 <= at <= end else before
