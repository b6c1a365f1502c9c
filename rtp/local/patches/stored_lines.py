"""CloudWatch Logs keeps its lines compressed and once, and no stream without end."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from rtp.local import log_lines
from rtp.local.log_lines import MAX_EVENTS, Lines
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.local.telemetry import Telemetry


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core.responses import AccountRegionScopedDict
    from ministack.services import cloudwatch_logs as logs

    require(logs, "_log_events_lock", "_log_groups", "_log_records")

    class Records(AccountRegionScopedDict):  # type: ignore[misc]  # of an untyped package
        """What GetLogRecord gives, which is in the lines and is found there."""

        __slots__ = ()

        def __setitem__(self, pointer: str, record: dict[str, Any]) -> None:
            pass

        def update(self, other: Any) -> None:
            """Nothing is kept."""

        def get(self, pointer: str, default: Any = None) -> Any:
            """The record of an event."""
            return find(logs, pointer) or default

    store = Store(logs)
    replace(logs, "_append_log_events", store.append, "stream events")
    replace(logs, "_collect_query_records", store.records, "group_names start_time_s end_time_s")
    store.restore_one = replace(logs, "_restore_state", store.restore, "data")
    for name in ("_describe_log_groups", "_describe_log_streams"):
        replace(logs, name, counted(getattr(logs, name)), "data")
    vars(logs)["_log_records"] = Records()


PATCH = Patch(
    name="stored_lines",
    aws="-",
    engine=(
        "Each line is two dicts, the second for GetLogRecord, ten times the memory of the compressed text; every "
        "save encodes and every start decodes them. A stream grows without end."
    ),
    test="tests/unit/local/test_log_lines.py::test_random_operations_answer_as_a_list_does",
    install=install,
    kind="speed",
)


class Store:
    """The handlers that read or change the lines."""

    restore_one: Any

    def __init__(self, logs: Any) -> None:
        self._logs = logs

    def append(self, stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        """Add events to a stream."""
        if not events:
            return
        times = [event["timestamp"] for event in events]
        with self._logs._log_events_lock:
            lines = log_lines.lines_of(stream)
            lines.append(events)
            if len(lines) > MAX_EVENTS:
                lines.drop_first(MAX_EVENTS // 10)
            first, last = stream["firstEventTimestamp"], stream["lastEventTimestamp"]
            stream["firstEventTimestamp"] = min(times) if first is None else min(first, *times)
            stream["lastEventTimestamp"] = max(times) if last is None else max(last, *times)
            stream["lastIngestionTime"] = events[-1]["ingestionTime"]

    def records(self, group_names: Iterable[str], start_time_s: int, end_time_s: int) -> list[dict[str, Any]]:
        """The records of a query, from a time to another (epoch s)."""
        found = []
        for name in group_names:
            for stream_name, stream in list((self._logs._log_groups.get(name) or {}).get("streams", {}).items()):
                between = log_lines.between(stream.get("events", []), int(start_time_s) * 1000, int(end_time_s) * 1000)
                found += [record(self._logs, event, name, stream_name) for event in between]
        return sorted(found, key=lambda record: int(record["_timestamp_ms"]))

    def restore(self, data: Any) -> None:
        """Take a saved state, whose lines are in order."""
        groups = (data or {}).get("log_groups", {})
        streams = (
            [stream for group in groups.all_values() for stream in group.get("streams", {}).values()] if groups else []
        )
        lines = [(stream, stream["events"]) for stream in streams if isinstance(stream.get("events"), Lines)]
        for stream, _ in lines:
            stream["events"] = []
        self.restore_one(data)
        for stream, events in lines:
            stream["events"] = events


def counted(handler: Any) -> Any:
    """A handler that reads the lines to add up their lengths."""

    def handle(data: dict[str, Any]) -> Any:
        with log_lines.counting():
            return handler(data)

    return handle


def find(logs: Any, pointer: str) -> dict[str, Any] | None:
    """The record of the event with this id, in the current account and region."""
    for name, group in logs._log_groups.items():
        for stream_name, stream in list(group["streams"].items()):
            events = stream["events"]
            event = events.with_id(pointer) if isinstance(events, Lines) else None
            if event is not None:
                return record(logs, event, name, stream_name)
    return None


def record(logs: Any, event: dict[str, Any], group: str, stream: str) -> dict[str, Any]:
    """The record of an event."""
    made: dict[str, Any] = logs._build_log_record(
        ptr=event.get("eventId") or str(uuid.uuid4()),
        timestamp_ms=event["timestamp"],
        message=event.get("message", ""),
        log_group=group,
        log_stream=stream,
    )
    return made
