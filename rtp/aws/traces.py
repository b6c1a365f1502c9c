"""X-Ray: summaries of the traces of a period, and whole traces by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.aws import Aws

_WINDOW_MS = 6 * 3_600_000  # the longest period that GetTraceSummaries accepts
_OWN_ERRORS = ("InvalidRequestException", "ThrottledException", "ThrottlingException")
BATCH = 5  # the most ids that BatchGetTraces accepts


def windows(aws: Aws, *, since: int, until: int, expression: str) -> Iterator[list[dict[str, Any]]]:
    """Yield trace summaries between two times (epoch ms): a list for each window of at most 6 h, newest first."""
    end = until
    while end > since:
        start = max(since, end - _WINDOW_MS)
        yield list(
            _pages(
                aws,
                "get_trace_summaries",
                "TraceSummaries",
                StartTime=start / 1000,
                EndTime=end / 1000,
                FilterExpression=expression,
                Sampling=False,
            )
        )
        end = start


def whole(aws: Aws, trace_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Traces by their ids, in that order, without those that X-Ray does not have."""
    ids = list(dict.fromkeys(trace_ids))
    by_id: dict[str, dict[str, Any]] = {}
    for first in range(0, len(ids), BATCH):
        for trace in _pages(aws, "batch_get_traces", "Traces", TraceIds=ids[first : first + BATCH]):
            whole_trace = by_id.setdefault(str(trace["Id"]), {**trace, "Segments": []})
            whole_trace["Segments"].extend(trace.get("Segments") or ())
    return [by_id[i] for i in ids if i in by_id]


def _pages(aws: Aws, operation: str, key: str, **params: Any) -> Iterator[dict[str, Any]]:
    try:
        yield from aws.pages("xray", operation, key, **params)
    except AwsError as error:
        if error.service_code == "InvalidRequestException":
            raise UsageError(f"X-Ray: {error.message.partition(': ')[2]}", hint="Check --filter-expression.") from error
        if aws.endpoint_url and error.service_code not in _OWN_ERRORS and error.code == AwsError.default_code:
            raise AwsError(f"The endpoint {aws.endpoint_url} has no X-Ray.", code="no-xray") from error
        raise
