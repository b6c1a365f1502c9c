"""CloudWatch Logs: what AWS refuses of a batch of events, a query or a pattern, and in which words."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from rtp.local import log_patterns
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

MAX_BATCH_BYTES = MAX_EVENT_BYTES = 1_048_576
OVERHEAD_BYTES = 26  # of an event, in both
HOUR_MS = 3_600_000
OLDEST_MS, NEWEST_MS, SPAN_MS = 14 * 24 * HOUR_MS, 2 * HOUR_MS, 24 * HOUR_MS
INVALID = "InvalidParameterException"
# The engine adds the name to these, and AWS does not.
_NAMED = re.compile(r"(The specified [a-z ]+ (?:does not exist|already exists)): .*", re.DOTALL)

Event = dict[str, Any]


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import cloudwatch_logs

    require(cloudwatch_logs, "_log_groups", "_resolve_query_log_groups", "get_account_id")
    limits = Limits(cloudwatch_logs)
    parameters = "code message status extra message_key content_type"
    limits.answer = replace(cloudwatch_logs, "error_response_json", limits.error, parameters)
    limits.put_one = replace(cloudwatch_logs, "_put_log_events", limits.put, "data")
    limits.query_one = replace(cloudwatch_logs, "_start_query", limits.query, "data")
    limits.retain_one = replace(cloudwatch_logs, "_put_retention_policy", limits.retain, "data")
    limits.groups_one = replace(cloudwatch_logs, "_describe_log_groups", limits.groups, "data")
    limits.streams_one = replace(cloudwatch_logs, "_describe_log_streams", limits.streams, "data")
    for name in ("_put_metric_filter", "_put_subscription_filter"):
        replace(cloudwatch_logs, name, limits.with_pattern(getattr(cloudwatch_logs, name)), "data")


PATCH = Patch(
    name="log_limits",
    aws=(
        "PutLogEvents refuses a batch that is not in order, too long in time or too large, and rejects events that "
        "are older than 14 days, older than the group's retention, or more than 2 hours ahead. A filter with an "
        "invalid pattern is refused."
    ),
    engine="Every batch and every pattern is accepted. The messages about a missing group or stream are others.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)


class Limits:
    """Checks before the engine's own handlers."""

    answer: Any
    put_one: Any
    query_one: Any
    retain_one: Any
    groups_one: Any
    streams_one: Any

    def __init__(self, logs: Any) -> None:
        self._logs = logs

    def error(self, code: str, message: str, status: int = 400, *args: Any, **options: Any) -> Any:
        """An error of the service, in AWS's words."""
        named = _NAMED.fullmatch(message)
        if named:
            message = named[1] + ("." if named[1].endswith("does not exist") else "")
        return self.answer(code, message, status, *args, **options)

    def put(self, data: dict[str, Any]) -> Any:
        """PutLogEvents. Events that are too old or too new are left out, and named by position."""
        group = self._logs._log_groups.get(data.get("logGroupName"))
        events = data.get("logEvents") or []
        if group is None or data.get("logStreamName") not in group["streams"]:
            return self.put_one(data)
        now = int(time.time() * 1000)
        first, last, rejected = taken(events, now, group.get("retentionInDays"))
        reason = batch_refusal(events, events[first:last])
        if reason is not None:
            return self.error(INVALID, reason)
        status, headers, body = self.put_one({**data, "logEvents": events[first:last]})
        if not rejected or status != 200:
            return status, headers, body
        token = str(group["streams"][data["logStreamName"]]["uploadSequenceToken"])
        return self._logs.json_response({"nextSequenceToken": token, "rejectedLogEventsInfo": rejected})

    def query(self, data: dict[str, Any]) -> Any:
        """StartQuery."""
        for name in self._logs._resolve_query_log_groups(data):
            if name not in self._logs._log_groups:
                code, account = "ResourceNotFoundException", self._logs.get_account_id()
                return self.answer(
                    code,
                    f"Log group '{name}' does not exist for account ID '{account}' (Service: AWSLogs; Status Code: "
                    f"400; Error Code: {code}; Request ID: {uuid.uuid4()}; Proxy: null)",
                )
        return self.query_one(data)

    def streams(self, data: dict[str, Any]) -> Any:
        """DescribeLogStreams."""
        if data.get("orderBy") == "LastEventTime" and data.get("logStreamNamePrefix"):
            return self.answer(INVALID, "Cannot order by LastEventTime with a logStreamNamePrefix.")
        status, headers, body = self.streams_one(data)
        if status != 200:
            return status, headers, body
        described = json.loads(body)
        for stream in described["logStreams"]:
            if "lastIngestionTime" not in stream:
                stream.pop("uploadSequenceToken", None)
        return self._logs.json_response(described)

    def groups(self, data: dict[str, Any]) -> Any:
        """DescribeLogGroups."""
        if data.get("logGroupNamePrefix") and data.get("logGroupNamePattern"):
            words = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            return self.answer(INVALID, words)
        status, headers, body = self.groups_one(data)
        if status != 200:
            return status, headers, body
        described = json.loads(body)
        for group in described["logGroups"]:
            group.setdefault("deletionProtectionEnabled", False)
        return self._logs.json_response(described)

    def retain(self, data: dict[str, Any]) -> Any:
        """PutRetentionPolicy."""
        days = data.get("retentionInDays")
        group_exists = data.get("logGroupName") in self._logs._log_groups
        if group_exists and days not in self._logs._VALID_RETENTION_DAYS:
            values = ", ".join(map(str, sorted(self._logs._VALID_RETENTION_DAYS)))
            return self.answer(
                INVALID,
                f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{values}]",
            )
        return self.retain_one(data)

    def with_pattern(self, handler: Any) -> Any:
        """The handler of a filter, called once its pattern is valid."""

        def checked(data: dict[str, Any]) -> Any:
            try:
                log_patterns.compile_pattern(data.get("filterPattern") or "")
            except ValueError as error:
                return self.answer(INVALID, str(error))
            return handler(data)

        return checked


def taken(events: list[Event], now: int, retention_days: int | None) -> tuple[int, int, dict[str, int]]:
    """Which events of an ordered batch are stored, as a slice, and what AWS says of the others."""
    oldest, retained = now - OLDEST_MS, now - (retention_days or 10_000) * 24 * HOUR_MS
    times = [int(event.get("timestamp", now)) for event in events]
    too_old = sum(at < oldest for at in times)
    expired = sum(at < retained for at in times)
    too_new = next((index for index, at in enumerate(times) if at > now + NEWEST_MS), len(times))
    rejected = {}
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired > too_old:
        rejected["expiredLogEventEndIndex"] = expired
    if too_new < len(times):
        rejected["tooNewLogEventStartIndex"] = too_new
    return max(too_old, expired), too_new, rejected


def batch_refusal(events: list[Event], stored: list[Event]) -> str | None:
    """Why AWS refuses a batch; None if it takes it. stored: those of its events that it would store."""
    times = [int(event.get("timestamp", 0)) for event in events]
    if times != sorted(times):
        return "Log events in a single PutLogEvents request must be in chronological order."
    if stored and stored[-1]["timestamp"] - stored[0]["timestamp"] > SPAN_MS:
        return "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
    sizes = [len(str(event.get("message", "")).encode()) + OVERHEAD_BYTES for event in events]
    largest = max(sizes, default=0)
    if largest > MAX_EVENT_BYTES:
        return f"Log event too large: {largest} bytes exceeds limit of {MAX_EVENT_BYTES}"
    if sum(sizes) > MAX_BATCH_BYTES:
        return f"Upload too large: {sum(sizes)} bytes exceeds limit of {MAX_BATCH_BYTES}"
    return None
