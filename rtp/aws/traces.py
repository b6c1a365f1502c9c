"""X-Ray: summaries of traces in a time, and whole traces by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.aws import Aws

WINDOW_MS = 6 * 3_600_000  # the longest time that one GetTraceSummaries takes
_OWN_ERRORS = ("InvalidRequestException", "ThrottledException", "ThrottlingException")
BATCH = 5  # the most ids that one BatchGetTraces takes


def windows(aws: Aws, *, since: int, until: int, expression: str) -> Iterator[list[dict[str, Any]]]:
    """GetTraceSummaries' summaries between two times in epoch ms, one window of at most 6 h at a time, newest first."""
    end = until
    while end > since:
        start = max(since, end - WINDOW_MS)
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
    """BatchGetTraces' traces, in the order of the ids; those that X-Ray does not have are left out."""
    ids = list(dict.fromkeys(trace_ids))
    found: dict[str, dict[str, Any]] = {}
    for first in range(0, len(ids), BATCH):
        for trace in _pages(aws, "batch_get_traces", "Traces", TraceIds=ids[first : first + BATCH]):
            known = found.setdefault(str(trace["Id"]), {**trace, "Segments": []})
            known["Segments"].extend(trace.get("Segments") or ())
    return [found[i] for i in ids if i in found]


def _pages(aws: Aws, operation: str, key: str, **params: Any) -> Iterator[dict[str, Any]]:
    try:
        yield from aws.pages("xray", operation, key, **params)
    except AwsError as error:
        if error.service_code == "InvalidRequestException":
            raise UsageError(f"X-Ray: {error.message.partition(': ')[2]}", hint="Check --filter-expression.") from error
        if aws.endpoint_url and error.service_code not in _OWN_ERRORS and error.code == AwsError.default_code:
            raise AwsError(f"The endpoint {aws.endpoint_url} has no X-Ray.", code="no-xray") from error
        raise
