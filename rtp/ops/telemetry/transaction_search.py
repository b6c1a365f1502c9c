"""Traces that X-Ray does not index: CloudWatch's Transaction Search has their spans in the log group `aws/spans`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import insights, traces
from rtp.contract import API_STAGE
from rtp.errors import AwsError
from rtp.ops.telemetry import spans
from rtp.ops.telemetry.segments import trace
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import poll
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.ops.telemetry.segments import Trace
    from rtp.ops.work.clock import Clock

GROUP = "aws/spans"
READS = f" The others were read from the log group {GROUP}."
_LATE_MS = 60_000  # around the times in trace ids
_MOST_IDS = 50  # in one query
_PAUSE_S, _TIMEOUT_S = 0.5, 60.0


def why_partial(aws: Aws) -> str:
    """Why X-Ray has a part of the traces only; empty where it has all, or where it does not say."""
    try:
        destination = traces.destination(aws)
    except AwsError:  # no permission, or an emulator without this call
        return ""
    if not destination.is_partial:
        return ""
    return f"X-Ray has {destination.percent:g} % of the traces: Transaction Search stores spans in CloudWatch."


def whole(aws: Aws, trace_ids: Sequence[str]) -> dict[str, list[str]]:
    """Segment documents of these traces by id, from their spans. Raises RtpError."""
    since = min(int(i[2:10], 16) * 1000 for i in trace_ids) - _LATE_MS
    by_trace: dict[str, list[str]] = {}
    for first in range(0, len(trace_ids), _MOST_IDS):
        ids = trace_ids[first : first + _MOST_IDS]
        condition = " or ".join(f"@message like {_quoted(spans.span_trace_id(i))}" for i in ids)
        by_trace = spans.documents(_lines(aws, condition, since, times.now_ms() + _LATE_MS))
        by_trace |= {i: by_trace[i] for i in ids if i in by_trace}
    return by_trace


def between(aws: Aws, stack: str, *, since: int, until: int) -> dict[str, list[str]]:
    """Segment documents of this stack's spans between two times (epoch ms), by trace id. Raises RtpError."""
    names = [f"{stack}-processor", f"{stack}-worker", f"{stack}-api/{API_STAGE}"]
    condition = " or ".join(f"@message like {_quoted(name)}" for name in names)
    return spans.documents(_lines(aws, condition, since, until))


def of_event(aws: Aws, event_id: str, *, since: int, until: int) -> list[Trace]:
    """The traces with spans of this event between two times (epoch ms). Raises RtpError."""
    by_trace = spans.documents(_lines(aws, f"@message like {_quoted(event_id)}", since, until))
    return [trace(i, texts) for i, texts in whole(aws, list(by_trace)).items()] if by_trace else []


def _lines(aws: Aws, condition: str, since: int, until: int) -> list[str]:
    text = f"fields @message | filter {condition} | sort @timestamp desc"
    return [row.get("@message", "") for row in query(aws, text, since=since, until=until)]


def query(aws: Aws, text: str, *, since: int, until: int, clock: Clock = SYSTEM) -> list[dict[str, str]]:
    """Query the spans between two times (epoch ms), and wait up to a minute for the rows. Raises RtpError."""
    query_id = insights.start(aws, GROUP, text, since=since, until=until)
    answer = poll(
        lambda: insights.read(aws, query_id),
        lambda answer: answer.has_ended,
        _PAUSE_S,
        timeout_s=_TIMEOUT_S,
        clock=clock,
    )
    if answer.is_complete:
        return answer.rows
    if answer.has_ended:
        message = f"The query of {GROUP} ended as {answer.status}."
        raise AwsError(message, hint="Choose a shorter time.", code="query-failed")
    insights.stop(aws, query_id)
    message = f"The query of {GROUP} took longer than {_TIMEOUT_S:g} s and was stopped."
    raise AwsError(message, hint="Choose a shorter time.", code="query-timeout")


def _quoted(text: str) -> str:
    """The text as a string of a query."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
