"""X-Ray: summaries of traces in a time, and whole traces by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.aws import Aws

WINDOW_MS = 6 * 3_600_000  # the longest time that one GetTraceSummaries takes
BATCH = 5  # the most ids that one BatchGetTraces takes


def windows(aws: Aws, *, since: int, until: int, expression: str) -> Iterator[list[dict[str, Any]]]:
    """GetTraceSummaries' summaries between two times in epoch ms, one window of at most 6 h at a time, newest first."""
    end = until
    while end > since:
        start = max(since, end - WINDOW_MS)
        found = aws.pages(
            "xray",
            "get_trace_summaries",
            "TraceSummaries",
            StartTime=start / 1000,
            EndTime=end / 1000,
            FilterExpression=expression,
            Sampling=False,
        )
        yield list(found)
        end = start


def whole(aws: Aws, trace_ids: Iterable[str]) -> list[dict[str, Any]]:
    """BatchGetTraces' traces, in the order of the ids; those that X-Ray does not have are left out."""
    ids = list(dict.fromkeys(trace_ids))
    found: dict[str, dict[str, Any]] = {}
    for first in range(0, len(ids), BATCH):
        for trace in aws.pages("xray", "batch_get_traces", "Traces", TraceIds=ids[first : first + BATCH]):
            known = found.setdefault(str(trace["Id"]), {**trace, "Segments": []})
            known["Segments"].extend(trace.get("Segments") or ())
    return [found[i] for i in ids if i in found]
