"""X-Ray: summaries of the traces of a period, whole traces by id, and where X-Ray stores segments."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rtp.aws.logs import server_ms
from rtp.errors import AwsError, UsageError
from rtp.runtime import partial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.aws import Aws

_WINDOW_MS = 6 * 3_600_000  # the longest period that GetTraceSummaries accepts
_OWN_ERRORS = ("InvalidRequestException", "ThrottledException", "ThrottlingException")
_ID = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
_DEFAULT_PERCENT = 1.0
BATCH = 5  # the most ids that BatchGetTraces accepts


@dataclass(frozen=True, slots=True)
class Destination:
    """Where X-Ray stores segments. percent: of the traces, those that X-Ray indexes; None where it indexes all.

    With CloudWatch's Transaction Search it stores spans in the log group `aws/spans`, and indexes 1 % by default.
    """

    percent: float | None = None

    @property
    def is_partial(self) -> bool:
        """Whether X-Ray itself has only a part of the traces."""
        return self.percent is not None and self.percent < 100


def destination(aws: Aws) -> Destination:
    """Where the account's segments are stored in this region. Raises AwsError."""
    answer = aws.call("xray", "get_trace_segment_destination")
    if answer.get("Destination") != "CloudWatchLogs":
        return Destination()
    rules = aws.call("xray", "get_indexing_rules").get("IndexingRules") or []
    shares = [(rule.get("Rule") or {}).get("Probabilistic") or {} for rule in rules]
    actual = [share.get("ActualSamplingPercentage", share.get("DesiredSamplingPercentage")) for share in shares]
    return Destination(next((float(share) for share in actual if share is not None), _DEFAULT_PERCENT))


@dataclass(frozen=True, slots=True)
class Window:
    """The summaries of one period. server_ms: AWS's clock, epoch ms; None where the response has no date."""

    summaries: list[dict[str, Any]]
    server_ms: int | None


def windows(aws: Aws, *, since: int, until: int, expression: str, enough: int | None = None) -> Iterator[Window]:
    """Yield the summaries of traces that changed between two times (epoch ms), in windows of at most 6 h, newest first.

    A trace's own time is its beginning; an event that is redriven or retried continues its old trace.
    enough: X-Ray returns a window's summaries in no order. A window that has more than these after a page is replaced
    by a shorter one, which has more too: whoever needs so many of the newest reads few others, however long the period.
    """
    end = until
    while end > since:
        start = max(since, end - _WINDOW_MS)
        while isinstance(window := _window(aws, start, end, expression, enough), int):
            start = window
        yield window
        end = start


def _window(aws: Aws, start: int, end: int, expression: str, enough: int | None) -> Window | int:
    """One window with all its pages; or, after a page, the beginning of a window of half its length at most.

    The shorter window has more than `enough` summaries, since the pages so far have them.
    """
    params: dict[str, Any] = {
        "StartTime": start / 1000,
        "EndTime": end / 1000,
        "TimeRangeType": "Event",
        "FilterExpression": expression,
        "Sampling": False,
    }
    summaries: list[dict[str, Any]] = []
    with _explained(aws):
        while True:
            answer = aws.call("xray", "get_trace_summaries", **params)
            summaries += answer.get("TraceSummaries") or ()
            if not answer.get("NextToken"):
                return Window(summaries, server_ms(answer))
            if enough is not None:
                newest = sorted((_changed_ms(summary) for summary in summaries), reverse=True)[enough : enough + 1]
                if newest and newest[0] > (start + end) // 2:
                    return newest[0]
            params["NextToken"] = answer["NextToken"]


def _changed_ms(summary: dict[str, Any]) -> int:
    """When a trace changed, epoch ms, rounded down; 0 where X-Ray does not say it."""
    changed = summary.get("MatchedEventTime") or summary.get("StartTime")
    return int(changed.timestamp() * 1000) if isinstance(changed, datetime) else 0


def whole(aws: Aws, trace_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Traces by their ids, in that order, without those that X-Ray does not have."""
    ids = list(dict.fromkeys(trace_ids))
    by_id: dict[str, dict[str, Any]] = {}
    for first in range(0, len(ids), BATCH):
        # X-Ray answers alike for a trace that it does not have and for one that it leaves out: asked for twice.
        partial.complete(lambda some: _read(aws, some, by_id), ids[first : first + BATCH], calls=2)
    return [by_id[i] for i in ids if i in by_id]


def is_trace_id(text: str) -> bool:
    """Whether the text has the form of an X-Ray trace id."""
    return _ID.fullmatch(text) is not None


def quoted(text: str) -> str:
    """The text as a string of a filter expression."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read(aws: Aws, trace_ids: list[str], by_id: dict[str, dict[str, Any]]) -> list[str]:
    """Add traces with all their segments to `by_id`. Returns the ids of those that were left out."""
    with _explained(aws):
        for trace in aws.pages("xray", "batch_get_traces", "Traces", TraceIds=trace_ids):
            whole_trace = by_id.setdefault(str(trace["Id"]), {**trace, "Segments": []})
            whole_trace["Segments"].extend(trace.get("Segments") or ())
    return [trace_id for trace_id in trace_ids if trace_id not in by_id]


@contextmanager
def _explained(aws: Aws) -> Iterator[None]:
    """Turn what X-Ray refuses into a UsageError, and the answer of an endpoint without X-Ray into one that says so."""
    try:
        yield
    except AwsError as error:
        if error.service_code == "InvalidRequestException":
            raise UsageError(f"X-Ray: {error.message.partition(': ')[2]}", hint="Check --filter-expression.") from error
        if (
            aws.endpoint_url
            and error.service_code not in _OWN_ERRORS
            and error.code in (AwsError.default_code, "unavailable")
        ):
            raise AwsError(f"The endpoint {aws.endpoint_url} has no X-Ray.", code="no-xray") from error
        raise
