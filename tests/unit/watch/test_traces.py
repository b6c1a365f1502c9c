"""Which traces are asked for, and what becomes of the answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.errors import AwsError, NotFoundError
from rtp.ops.telemetry import traces
from rtp.ops.work.clock import Clock
from rtp.text import json_values
from tests.unit.watch import documents as d

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws

NOW = d.START_MS + 60_000


def summary(trace_id: str = d.ID, *, start_s: float = d.START_S, **extra: Any) -> dict[str, Any]:
    return {
        "Id": trace_id,
        "StartTime": datetime.fromtimestamp(start_s, UTC),
        "Duration": 0.5,
        "HasFault": True,
        "HasError": False,
        "Http": {"HttpURL": "https://x.example/prod/process?a=b", "HttpMethod": "POST", "HttpStatus": 202},
        "Annotations": {"event_id": [{"AnnotationValue": {"StringValue": d.EVENT}}]},
        **extra,
    }


class FakeXRay:
    """GetTraceSummaries and BatchGetTraces of given answers; remembers what it was asked."""

    local = True
    endpoint_url = "http://127.0.0.1:1"

    def __init__(self, summaries: list[dict[str, Any]], kept: dict[str, list[str]] | None = None) -> None:
        self.summaries = summaries
        self.kept = kept or {}
        self.asked: list[dict[str, Any]] = []
        self.failures: list[AwsError] = []
        self.records: list[dict[str, Any]] = []

    def pages(self, _service: str, operation: str, _key: str, **params: Any) -> Iterator[Any]:
        """As Aws.pages."""
        self.asked.append(params)
        if self.failures:
            raise self.failures.pop(0)
        if operation == "query":
            yield from self.records
        elif operation == "get_trace_summaries":
            for s in self.summaries:
                if params["StartTime"] <= s["StartTime"].timestamp() <= params["EndTime"]:
                    yield s
        else:
            assert len(params["TraceIds"]) <= 5
            for i in params["TraceIds"]:
                if i in self.kept:
                    yield {"Id": i, "Segments": [{"Id": "x", "Document": t} for t in self.kept[i]]}


def find(fake: FakeXRay, **query: Any) -> traces.Traces:
    given = {"since": NOW - 600_000, "until": NOW} | query
    return traces.find(cast("Aws", fake), "shop-dev", traces.TraceQuery(**given))


def test_the_json_of_a_trace_in_a_list_is_pinned() -> None:
    document = json.loads(json_values.dumps(find(FakeXRay([summary()]))))

    one = document["traces"][0]
    assert {k: one[k] for k in ("id", "start", "duration_ms", "error", "fault", "event_id")} == {
        "id": d.ID,
        "start": "2026-11-23T15:40:15.000Z",
        "duration_ms": 500.0,
        "error": False,
        "fault": True,
        "event_id": d.EVENT,
    }
    assert (one["method"], one["path"], one["http_status"]) == ("POST", "/prod/process", 202)


def test_only_traces_of_this_stack_that_match_every_filter_are_requested() -> None:
    fake = FakeXRay([])

    find(fake, errors=True, slow_ms=1500, expression='annotation.event_type = "a"')

    assert fake.asked[0]["FilterExpression"] == (
        '(service("shop-dev-processor") OR service("shop-dev-worker") OR service("shop-dev-api/prod"))'
        ' AND (error = true OR fault = true) AND duration >= 1.5 AND (annotation.event_type = "a")'
    )


def test_a_long_window_is_read_in_pieces_until_there_are_enough() -> None:
    ids = [f"1-{int(d.START_S) - n * 3600:08x}-{n:024x}" for n in range(48)]
    fake = FakeXRay([summary(i, start_s=d.START_S - n * 3600) for n, i in enumerate(ids)])

    found = find(fake, since=NOW - 48 * 3_600_000, limit=10)

    assert [t.id for t in found.traces] == ids[:10]
    assert found.more
    assert len(fake.asked) == 2
    assert all(a["EndTime"] - a["StartTime"] <= 6 * 3600 for a in fake.asked)


def test_a_trace_is_read_by_its_id() -> None:
    found = traces.get(cast("Aws", FakeXRay([], {d.ID: d.documents()})), d.ID)

    assert (found.id, len(found.walk())) == (d.ID, 8)


def test_an_unknown_trace_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no trace"):
        traces.get(cast("Aws", FakeXRay([])), d.ID)


def test_an_event_leads_to_its_newest_trace_through_its_record() -> None:
    other = "1-6b045e00-000000000000000000000000"
    fake = FakeXRay([], {d.ID: d.documents(), other: d.documents()[:1]})
    fake.records = [{"id": {"S": "e"}, "trace_id": {"S": other}, "attempts": {"L": [{"M": {"trace_id": {"S": d.ID}}}]}}]

    found = traces.resolve(cast("Aws", fake), {"TableName": "t"}, "shop-dev", "e")

    assert found.id in (d.ID, other)
    assert {i for a in fake.asked if "TraceIds" in a for i in a["TraceIds"]} == {d.ID, other}


def test_an_event_without_a_record_is_searched_by_its_annotation() -> None:
    fake = FakeXRay([summary(start_s=datetime.now(UTC).timestamp() - 60)], {d.ID: d.documents()})

    found = traces.resolve(cast("Aws", fake), {"TableName": "t"}, "shop-dev", 'odd "id"')

    assert found.id == d.ID
    assert any('annotation.event_id = "odd \\"id\\""' in a.get("FilterExpression", "") for a in fake.asked)


def test_following_shows_each_complete_trace_once_despite_throttling() -> None:
    class Over(Exception):
        pass

    running = "1-6b045e01-000000000000000000000001"
    fake = FakeXRay([summary(), summary(running, IsPartial=True)])
    clock = [NOW - 59_000]
    notices: list[str] = []
    shown: list[str] = []

    def sleep(seconds: float) -> None:
        clock[0] += round(seconds * 1000)
        if clock[0] > NOW - 57_000 and not notices:
            fake.failures = [AwsError("throttled", code="throttled")]
        if clock[0] > NOW - 40_000:
            raise Over

    query = traces.TraceQuery(since=d.START_MS, until=NOW)
    with pytest.raises(Over):
        for s in traces.follow(
            cast("Aws", fake), "shop-dev", query, notify=notices.append, now=lambda: clock[0], clock=Clock(sleep=sleep)
        ):
            shown.append(s.id)

    assert shown == [d.ID, running]  # the second at last as it is
    assert len(notices) == 2


def test_an_endpoint_without_x_ray_says_so() -> None:
    fake = FakeXRay([])
    fake.failures = [AwsError("xray get_trace_summaries: An error occurred (400)", service_code="400")]

    with pytest.raises(AwsError, match="has no X-Ray"):
        find(fake)
