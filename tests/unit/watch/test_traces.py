"""Which traces are asked for, and what becomes of the answers."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.errors import AwsError, NotFoundError
from rtp.ops.telemetry import trace_list, traces
from rtp.ops.work.clock import Clock
from rtp.text import json_values
from tests.unit.watch import documents as d

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


RECORD = {"id": {"S": d.EVENT}, "timestamp": {"N": "1"}, "status": {"S": "processed"}}


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
        self.destination: dict[str, Any] | AwsError = {"Destination": "XRay", "Status": "ACTIVE"}
        self.spans: list[dict[str, Any]] = []
        self.queries: list[str] = []
        self.now: Callable[[], int] | None = None  # the service's clock, epoch ms, in the responses' date

    def call(self, _service: str, operation: str, **params: Any) -> dict[str, Any]:
        """As Aws.call, with Transaction Search where `destination` says so; a query returns what its text names."""
        if operation == "get_trace_segment_destination":
            if isinstance(self.destination, AwsError):
                raise self.destination
            return self.destination
        if operation == "get_trace_summaries":
            return self._summaries(params)
        if operation == "get_indexing_rules":
            return {
                "IndexingRules": [{"Name": "Default", "Rule": {"Probabilistic": {"ActualSamplingPercentage": 1.0}}}]
            }
        if operation == "start_query":
            assert params["logGroupName"] == "aws/spans"
            self.queries.append(params["queryString"])
            return {"queryId": str(len(self.queries) - 1)}
        assert operation == "get_query_results"
        words = re.findall(r'like "([^"]+)"', self.queries[int(params["queryId"])])
        lines = [json.dumps(span) for span in self.spans]
        return {
            "status": "Complete",
            "results": [[{"field": "@message", "value": x}] for x in lines if any(w in x for w in words)],
        }

    def pages(self, _service: str, operation: str, _key: str, **params: Any) -> Iterator[Any]:
        """As Aws.pages."""
        self.asked.append(params)
        if self.failures:
            raise self.failures.pop(0)
        if operation == "query":
            yield from self.records
        else:
            assert len(params["TraceIds"]) <= 5
            for i in params["TraceIds"]:
                if i in self.kept:
                    yield {"Id": i, "Segments": [{"Id": "x", "Document": t} for t in self.kept[i]]}

    def _summaries(self, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(params)
        if self.failures:
            raise self.failures.pop(0)
        assert params["TimeRangeType"] == "Event"
        changed = [
            s
            for s in self.summaries
            if params["StartTime"] <= s.get("MatchedEventTime", s["StartTime"]).timestamp() <= params["EndTime"]
            and (self.now is None or s["StartTime"].timestamp() * 1000 <= self.now())
        ]
        at = int(params.get("NextToken", "0"))
        answer: dict[str, Any] = {"TraceSummaries": changed[at : at + 25]}
        if at + 25 < len(changed):
            answer["NextToken"] = str(at + 25)
        if self.now is not None:
            answer["ResponseMetadata"] = {"HTTPHeaders": {"date": formatdate(self.now() / 1000, usegmt=True)}}
        return answer


def find(fake: FakeXRay, **query: Any) -> trace_list.Traces:
    given = {"since": NOW - 600_000, "until": NOW} | query
    return trace_list.find(cast("Aws", fake), "shop-dev", trace_list.TraceQuery(**given))


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


def test_a_trace_in_a_list_has_the_exception_at_which_its_fault_began() -> None:
    path = [
        {"Name": "shop-dev-processor", "Exceptions": [], "Remote": False},
        {"Name": "event", "Exceptions": [{"Name": "KeyError", "Message": "'total'"}], "Remote": False},
    ]
    causes = [{"Services": [{"Name": "shop-dev-processor", "EntityPath": path}], "ClientImpacting": True}]
    (found,) = find(FakeXRay([summary(FaultRootCauses=causes, ErrorRootCauses=[])])).traces
    assert found.cause == "KeyError: 'total'"
    (without,) = find(FakeXRay([summary()])).traces
    assert without.cause is None


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


@pytest.mark.parametrize("hours", [1, 6, 48])
@pytest.mark.parametrize("spacing_s", [0.5, 60])
def test_the_newest_are_found_by_few_calls_however_many_there_are(hours: int, spacing_s: float) -> None:
    count = min(5_000, int(hours * 3600 / spacing_s))
    starts = [d.START_S - n * spacing_s for n in range(count)]
    ids = [f"1-{int(start):08x}-{n:024x}" for n, start in enumerate(starts)]
    summaries = [summary(i, start_s=start) for i, start in zip(ids, starts, strict=True)]
    random.Random(7).shuffle(summaries)  # noqa: S311 - no secret
    fake = FakeXRay(summaries)

    found = find(fake, since=NOW - hours * 3_600_000, limit=10)

    assert [t.id for t in found.traces] == ids[:10]
    assert found.more
    assert len(fake.asked) <= 20


def test_all_that_changed_in_one_second_are_read() -> None:
    ids = [f"1-{int(d.START_S):08x}-{n:024x}" for n in range(120)]
    fake = FakeXRay([summary(i) for i in ids])

    assert {t.id for t in find(fake, limit=200).traces} == set(ids)
    assert find(fake, limit=10).more


def test_a_trace_is_read_by_its_id() -> None:
    found = traces.get(cast("Aws", FakeXRay([], {d.ID: d.documents()})), d.ID)

    assert (found.id, len(found.walk())) == (d.ID, 8)


def test_an_unknown_trace_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no trace"):
        traces.get(cast("Aws", FakeXRay([])), d.ID)


def test_an_event_leads_to_its_newest_trace_through_its_record() -> None:
    other = "1-6b045e00-000000000000000000000000"
    fake = FakeXRay([], {d.ID: d.documents(), other: d.documents()[:1]})
    attempt = {"M": {"trace_id": {"S": d.ID}}}
    fake.records = [{**RECORD, "trace_id": {"S": other}, "attempts": {"L": [attempt]}}]

    found = traces.resolve(cast("Aws", fake), {"TableName": "t"}, "shop-dev", "e")

    assert found.id in (d.ID, other)
    assert {i for a in fake.asked if "TraceIds" in a for i in a["TraceIds"]} == {d.ID, other}


def test_an_event_without_a_record_is_searched_by_its_annotation() -> None:
    fake = FakeXRay([summary(start_s=datetime.now(UTC).timestamp() - 60)], {d.ID: d.documents()})

    found = traces.resolve(cast("Aws", fake), {"TableName": "t"}, "shop-dev", 'odd "id"')

    assert found.id == d.ID
    assert any('annotation.event_id = "odd \\"id\\""' in a.get("FilterExpression", "") for a in fake.asked)


class Over(Exception):
    """The end of a follower's test."""


def following(fake: FakeXRay, at: Callable[[int], None], *, until: int) -> tuple[list[trace_list.Summary], list[str]]:
    """Follow from a minute before NOW; `at` gets the time at each pause. Returns the rows and the notices."""
    clock, notices, shown = [NOW - 59_000], [], []  # type: ignore[var-annotated]

    def sleep(seconds: float) -> None:
        clock[0] += round(seconds * 1000)
        at(clock[0])
        if clock[0] > until:
            raise Over

    query = trace_list.TraceQuery(since=d.START_MS, until=NOW)
    with pytest.raises(Over):
        for row in trace_list.follow(
            cast("Aws", fake), "shop-dev", query, notify=notices.append, now=lambda: clock[0], clock=Clock(sleep=sleep)
        ):
            shown.append(row)
    return shown, notices


def test_following_shows_each_complete_trace_once_despite_throttling() -> None:
    running = "1-6b045e01-000000000000000000000001"
    fake = FakeXRay([summary(), summary(running, IsPartial=True)])
    throttled: list[bool] = []

    def at(now: int) -> None:
        if now > NOW - 57_000 and not throttled:
            throttled.append(True)
            fake.failures = [AwsError("throttled", code="throttled")]

    shown, notices = following(fake, at, until=NOW - 40_000)

    assert [s.id for s in shown] == [d.ID, running]  # the second at last as it is
    assert [s.partial for s in shown] == [False, True]
    assert len(notices) == 2


def test_following_shows_a_complete_trace_at_once_and_an_incomplete_one_after_a_while() -> None:
    # Given two traces that begin now, one of them still running
    began = (NOW - 59_000) / 1000
    running = "1-6b045e01-000000000000000000000001"
    fake = FakeXRay([summary(start_s=began), summary(running, start_s=began, IsPartial=True)])
    waits = trace_list.PARTIAL_MS

    soon, _ = following(fake, lambda _now: None, until=NOW - 59_000 + waits - 3_000)
    later, _ = following(fake, lambda _now: None, until=NOW - 59_000 + waits + 6_000)

    assert [s.id for s in soon] == [d.ID]
    assert [s.id for s in later] == [d.ID, running]


def test_following_shows_a_trace_again_when_it_changes() -> None:
    # Given a trace that looks finished, and fails minutes later in the worker
    fake = FakeXRay([summary(HasFault=False)])

    def at(now: int) -> None:
        if now > NOW + 300_000:
            fake.summaries = [summary(MatchedEventTime=datetime.fromtimestamp((NOW + 290_000) / 1000, UTC))]

    shown, _ = following(fake, at, until=NOW + 330_000)

    assert [(s.id, s.fault) for s in shown] == [(d.ID, False), (d.ID, True)]


@pytest.mark.parametrize("skew", [-240_000, 200_000, 240_000, 900_000])
def test_a_clock_that_is_wrong_hides_no_trace_from_the_follower(skew: int) -> None:
    # Given a machine whose clock is minutes ahead or behind, and a trace every second by the service's clock
    service = [NOW]
    ids = [f"1-6b045e01-{n:024x}" for n in range(40)]
    fake = FakeXRay([summary(id, start_s=NOW / 1000 + n) for n, id in enumerate(ids)])
    fake.now = lambda: service[0]

    def sleep(seconds: float) -> None:
        service[0] += round(seconds * 1000)
        if service[0] > NOW + 60_000:
            raise Over

    # When it follows from now on, by its own clock
    shown: list[str] = []
    query = trace_list.TraceQuery(since=NOW + skew, until=NOW + skew)
    with pytest.raises(Over):
        for row in trace_list.follow(
            cast("Aws", fake), "shop-dev", query, now=lambda: service[0] + skew, clock=Clock(sleep=sleep)
        ):
            shown.append(row.id)

    # Then it shows each of them once; the service's date has no milliseconds
    assert shown[-39:] == ids[1:]
    assert len(shown) <= 40


def test_an_old_trace_that_changed_in_the_window_is_found() -> None:
    # An event that is redriven keeps its trace: X-Ray's own time of a trace is its beginning
    redriven = summary("1-6afe0000-000000000000000000000001", start_s=d.START_S - 9 * 86_400)
    redriven["MatchedEventTime"] = datetime.fromtimestamp(NOW / 1000 - 30, UTC)

    (found,) = find(FakeXRay([redriven])).traces

    assert (found.start[:10], found.updated) == ("2026-11-14", "2026-11-23T15:40:45.000Z")


OTHER = "1-6b045e00-000000000000000000000000"
MESSAGE = "1-6b045e01-0000000000000000000000aa"
INVOCATION = "1-6b045e02-0000000000000000000000bb"


def batch(*events: tuple[str, str], links: bool = True) -> list[str]:
    """The documents of an invocation for a batch: the events' ids, and the traces of their messages."""
    parts = [
        d.segment(f"e{n}", 1.1, 1.4, name="event", annotations={"event_id": event})
        | (
            {"links": [{"trace_id": message, "id": "a" * 16, "attributes": {"ReferenceType": "parent"}}]}
            if links
            else {}
        )
        for n, (event, message) in enumerate(events)
    ]
    function = d.segment("w", 1.0, 1.5, name="shop-dev-worker", origin="AWS::Lambda::Function", subsegments=parts)
    return [json.dumps(function)]


def api(*, copy: bool) -> list[str]:
    """The documents of a message's trace; with the event's segment of the worker, or as AWS may leave it out."""
    stage = d.segment("a", 0.0, 0.1, name="shop-dev-api/prod", origin="AWS::ApiGateway::Stage")
    worker = d.segment("c", 1.1, 1.4, name="shop-dev-worker", parent_id=stage["id"], annotations={"event_id": d.EVENT})
    worker["links"] = [{"trace_id": INVOCATION, "id": "b" * 16}]
    return [json.dumps(one) for one in ((stage, worker) if copy else (stage,))]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("copy", [True, False])
def test_an_event_s_part_is_visible_in_its_message_s_trace_or_beside_it(copy: bool, links: bool) -> None:
    # Given a batch of two events, whichever documents and links X-Ray keeps
    both = batch((d.EVENT, MESSAGE), ("another", OTHER), links=links)
    fake = FakeXRay([], {MESSAGE: api(copy=copy), INVOCATION: both, OTHER: api(copy=False)})
    ids = {"trace_id": {"S": MESSAGE}, "invocation_trace_id": {"S": INVOCATION}}
    fake.records = [{**RECORD, **ids}]

    found = traces.resolve(cast("Aws", fake), {"TableName": "t"}, "shop-dev", d.EVENT)

    assert (found.id, found.links) == (MESSAGE, (INVOCATION,))
    assert [linked.id for linked in found.linked] == ([] if copy else [INVOCATION])
    names = [segment.annotations for one in (found, *found.linked) for _, segment in one.walk() if segment.annotations]
    assert names == [{"event_id": d.EVENT}], "the part of this event alone, and once"


def test_a_message_s_trace_leads_to_its_invocation_by_x_ray_s_own_links() -> None:
    # Given no event in the message's trace, and links of X-Ray between the two
    stage = json.loads(api(copy=False)[0])
    stage["links"] = [{"trace_id": INVOCATION, "id": "b" * 16, "attributes": {"ReferenceType": "child"}}]
    both = batch(("another", OTHER), (d.EVENT, MESSAGE))
    fake = FakeXRay([], {MESSAGE: [json.dumps(stage)], INVOCATION: both})

    found = traces.get(cast("Aws", fake), MESSAGE)

    assert [(linked.id, linked.event_ids) for linked in found.linked] == [(INVOCATION, (d.EVENT,))]


def test_an_invocation_s_trace_shows_the_whole_batch() -> None:
    both = batch((d.EVENT, MESSAGE), ("another", OTHER))

    found = traces.get(cast("Aws", FakeXRay([], {INVOCATION: both})), INVOCATION)

    assert (found.event_ids, found.links, found.linked) == ((d.EVENT, "another"), (MESSAGE, OTHER), ())


SPAN_TRACE = d.ID.replace("1-", "", 1).replace("-", "")


def span(key: str, start: float, end: float, parent: str | None = None, **extra: Any) -> dict[str, Any]:
    """A span as Transaction Search stores it."""
    return {
        "resource": {"attributes": {"service.name": "shop-dev-worker", "cloud.platform": "aws_lambda"}},
        "traceId": SPAN_TRACE,
        "spanId": key.encode().hex().ljust(16, "0"),
        **({"parentSpanId": parent.encode().hex().ljust(16, "0")} if parent else {}),
        "name": key,
        "kind": "SERVER",
        "startTimeUnixNano": round((d.START_S + start) * 1e9),
        "endTimeUnixNano": round((d.START_S + end) * 1e9),
        "attributes": {},
        "status": {"code": "UNSET"},
        **extra,
    }


def searched() -> FakeXRay:
    """X-Ray with Transaction Search, which has indexed nothing."""
    stack = 'Traceback\n  File "/var/task/processors.py", line 7, in total\nValueError: no total'
    failure = {"exception.type": "ValueError", "exception.message": "no total", "exception.stacktrace": stack}
    fake = FakeXRay([])
    fake.destination = {"Destination": "CloudWatchLogs", "Status": "ACTIVE"}
    event = {"aws.xray.annotations": ["event_id", "event_type"], "event_id": d.EVENT, "event_type": "order.created"}
    call = {"rpc.system": "aws-api", "aws.operation": "UpdateItem", "http.response.status_code": 200}
    fake.spans = [
        span("worker", 0, 0.5),
        span("event", 0.1, 0.4, "worker", kind="INTERNAL", attributes=event),
        span("DynamoDB", 0.2, 0.3, "event", kind="CLIENT", attributes=call),
        span(
            "processor order.created",
            0.3,
            0.35,
            "event",
            kind="INTERNAL",
            status={"code": "ERROR"},
            events=[{"name": "exception", "attributes": failure}],
        ),
    ]
    return fake


def test_traces_that_x_ray_does_not_index_are_read_from_their_spans() -> None:
    found = find(searched())

    (one,) = found.traces
    assert (one.id, one.fault, one.event_id, one.event_type) == (d.ID, True, d.EVENT, "order.created")
    assert (one.start, one.duration_ms, one.entry) == ("2026-11-23T15:40:15.000Z", 500.0, "shop-dev-worker")
    assert "1 % of the traces" in str(found.note)
    assert "aws/spans" in str(found.note)


@pytest.mark.parametrize("by", [d.ID, d.EVENT])
def test_spans_make_the_same_tree_as_segments(by: str) -> None:
    found = traces.resolve(cast("Aws", searched()), {"TableName": "t"}, "shop-dev", by)

    rows = [(depth, s.name, s.origin, s.namespace) for depth, s in found.walk()]
    assert rows == [
        (0, "shop-dev-worker", "AWS::Lambda::Function", ""),
        (1, "event", "", ""),
        (2, "DynamoDB", "", "aws"),
        (2, "processor order.created", "", ""),
    ]
    call, processor = found.segments[0].segments[0].segments
    assert call.aws == {"operation": "UpdateItem"}
    (problem,) = processor.exceptions
    assert (problem.type, problem.message) == ("ValueError", "no total")
    assert problem.stack == ("/var/task/processors.py:7 in total",)
    assert found.event_ids == (d.EVENT,)


def test_filters_hold_for_spans_too_and_a_filter_expression_says_that_it_cannot() -> None:
    assert find(searched(), slow_ms=600).traces == []
    assert len(find(searched(), errors=True, slow_ms=400).traces) == 1
    fake = searched()
    assert "filter expression" in str(find(fake, expression="fault").note)
    assert fake.queries == []


def test_an_empty_answer_says_why() -> None:
    fake = searched()
    fake.spans = []

    with pytest.raises(NotFoundError) as missing:
        traces.get(cast("Aws", fake), d.ID)

    assert "X-Ray has 1 % of the traces" in missing.value.hint


def test_credentials_that_may_not_ask_where_segments_are_stored_still_list_traces() -> None:
    fake = FakeXRay([summary()])
    fake.destination = AwsError("denied", code="access-denied")

    assert [t.id for t in find(fake).traces] == [d.ID]


def test_following_reads_spans_where_x_ray_indexes_a_part() -> None:
    shown, notices = following(searched(), lambda _: None, until=NOW)

    assert [s.id for s in shown] == [d.ID]
    assert "1 % of the traces" in notices[0]


def test_an_endpoint_without_x_ray_says_so() -> None:
    fake = FakeXRay([])
    fake.failures = [AwsError("xray get_trace_summaries: An error occurred (400)", service_code="400")]

    with pytest.raises(AwsError, match="has no X-Ray"):
        find(fake)
