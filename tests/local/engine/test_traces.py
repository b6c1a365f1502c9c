"""X-Ray on the engine: one tree for an event, whichever way it takes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import AwsError
from rtp.local.tracing import header

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.engine.conftest import Lab

TRACED = """
import json, os, socket, time, uuid
own_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # of one that is closed, nobody can say whose it was
def send(document):
    host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
    packet = '{"format": "json", "version": 1}\\n' + json.dumps(document)
    own_socket.sendto(packet.encode(), (host, int(port)))
def parts(text):
    return dict(part.split("=") for part in text.split(";") if part)
def handler(event, context):
    now = time.time()
    own = {"id": uuid.uuid4().hex[:16], "start_time": now, "end_time": now + 0.01}
    here = parts(os.environ.get("_X_AMZN_TRACE_ID", ""))
    for record in event.get("Records", []):
        there = parts(record["attributes"]["AWSTraceHeader"])
        send({"trace_id": there["Root"], "parent_id": there["Parent"], "name": "worker",
              "annotations": {"event_id": record["body"]}, **own})
    if here and "Records" not in event:
        send({"type": "subsegment", "trace_id": here["Root"], "parent_id": here["Parent"], "name": "work",
              "annotations": {"event_id": "direct"}, **own})
    if event == {"fail": True}:
        raise RuntimeError("no")
    return {"statusCode": 200, "body": os.environ.get("_X_AMZN_TRACE_ID", "")}
"""


class Tree:
    """Names and types of a trace, as paths from its beginning."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.children: dict[str | None, list[dict[str, Any]]] = {}
        for document in documents:
            self._place(document, document.get("parent_id"))

    def _place(self, entity: dict[str, Any], parent: str | None) -> None:
        self.children.setdefault(parent, []).append(entity)
        for inner in entity.get("subsegments", ()):
            self._place(inner, entity["id"])

    def paths(self, parent: str | None = None, above: str = "") -> list[str]:
        found = []
        for entity in self.children.get(parent, ()):
            kind = entity.get("origin") or entity.get("namespace") or ""
            path = f"{above} > {entity['name']} ({kind})".removeprefix(" > ")
            found += [path, *self.paths(entity["id"], path)]
        return found


def trace_of(lab: Lab, trace_id: str) -> list[dict[str, Any]]:
    found = lab.call("xray", "batch_get_traces", TraceIds=[trace_id])["Traces"]
    return [json.loads(segment["Document"]) for trace in found for segment in trace["Segments"]]


@pytest.fixture
def pipeline(lab: Lab) -> Callable[[str, str, str], str]:
    """Posts a body to a path of a pipeline with a function and a queue; the trace id."""
    function = lab.function(TRACED, TracingConfig={"Mode": "Active"})
    _, queue_arn = lab.queue()
    lab.add_event_source(function, queue_arn)
    base = lab.api({"process": lab.to_function(function), "events": lab.to_queue(queue_arn)})

    def post(path: str, body: str, sampled: str = ";Sampled=1") -> str:
        root = header.new().root
        status, answered, _ = lab.post(f"{base}/{path}", body, X_Amzn_Trace_Id=f"Root={root}{sampled}")
        assert status in (200, 202)
        assert answered["X-Amzn-Trace-Id"].startswith(f"Root={root}")
        return root

    return post


def test_a_request_s_trace_goes_through_the_function(
    lab: Lab, pipeline: Callable[..., str], wait_for: Callable[..., Any]
) -> None:
    # When
    root = pipeline("process", "{}")
    documents = wait_for(lambda: (d := trace_of(lab, root)) and len(d) == 3 and "work" in json.dumps(d) and d)
    # Then
    name = f"{lab.name}-function"
    stage = f"{lab.name}-api/prod (AWS::ApiGateway::Stage)"
    function = f"{stage} > Lambda (aws) > {name} (AWS::Lambda) > {name} (AWS::Lambda::Function)"
    assert Tree(documents).paths() == [
        stage,
        f"{stage} > Lambda (aws)",
        f"{stage} > Lambda (aws) > {name} (AWS::Lambda)",
        function,
        f"{function} > work ()",
    ]


def test_an_event_s_trace_goes_through_the_queue(
    lab: Lab, pipeline: Callable[..., str], wait_for: Callable[..., Any]
) -> None:
    # When
    root = pipeline("events", '"event-7"')
    documents = wait_for(lambda: (d := trace_of(lab, root)) and len(d) == 3 and d)
    # Then
    stage = f"{lab.name}-api/prod (AWS::ApiGateway::Stage)"
    queue = f"{stage} > SQS (aws) > {lab.name}-queue (AWS::SQS::Queue)"
    assert Tree(documents).paths() == [stage, f"{stage} > SQS (aws)", queue, f"{queue} > worker ()"]


def test_an_invocation_for_a_batch_links_to_its_messages(
    lab: Lab, pipeline: Callable[..., str], wait_for: Callable[..., Any]
) -> None:
    root = pipeline("events", '"linked"')

    def linked() -> list[dict[str, Any]]:
        now = time.time()
        expression = f'service("{lab.name}-function") AND !service("{lab.name}-api/prod")'
        found = lab.call(
            "xray", "get_trace_summaries", StartTime=now - 60, EndTime=now + 1, FilterExpression=expression
        )["TraceSummaries"]
        return [d for t in found for d in trace_of(lab, t["Id"]) if root in json.dumps(d.get("links", ""))]

    assert {d["origin"] for d in wait_for(linked)} == {"AWS::Lambda", "AWS::Lambda::Function"}


def test_a_function_without_active_tracing_records_no_batch_by_itself(lab: Lab, wait_for: Callable[..., Any]) -> None:
    # Given a function that passes traces through, and a message without a trace
    code = "import os\ndef handler(event, context):\n    print(os.environ.get('_X_AMZN_TRACE_ID'))\n"
    function = lab.function(code, TracingConfig={"Mode": "PassThrough"})
    url, queue_arn = lab.queue()
    lab.add_event_source(function, queue_arn)
    # When
    lab.aws.client("sqs").send_message(QueueUrl=url, MessageBody="alone")
    group = f"/aws/lambda/{function.rpartition(':')[2]}"
    groups = {"logGroupNamePrefix": group}
    lines = wait_for(
        lambda: (
            lab.call("logs", "describe_log_groups", **groups)["logGroups"]
            and [
                e["message"]
                for e in lab.call("logs", "filter_log_events", logGroupName=group)["events"]
                if "Root=" in e["message"]
            ]
        )
    )
    # Then
    trace = header.parse(lines[0])
    assert trace is not None
    assert trace.sampled is False
    assert trace_of(lab, trace.root) == []


def test_what_the_caller_does_not_sample_is_not_recorded(lab: Lab, pipeline: Callable[..., str]) -> None:
    root = pipeline("process", "{}", sampled=";Sampled=0")
    time.sleep(0.2)
    assert all(d["name"] == "work" for d in trace_of(lab, root)), "only what the function sent by itself"


def test_a_function_gets_the_trace_of_a_direct_invocation_and_makes_one_without(lab: Lab) -> None:
    function = lab.function(TRACED, TracingConfig={"Mode": "Active"})
    path = f"/2015-03-31/functions/{function.rpartition(':')[2]}/invocations"
    root = header.new().root
    signature = lab.signature("lambda")
    given = lab.request("POST", path, "{}", {"X-Amzn-Trace-Id": f"Root={root};Sampled=1", **signature})[2]
    alone = lab.request("POST", path, "{}", signature)[2]
    assert header.parse(json.loads(given)["body"]).root == root  # type: ignore[union-attr]
    assert header.parse(json.loads(alone)["body"]).root != root  # type: ignore[union-attr]


def test_a_failed_invocation_is_a_fault(lab: Lab, wait_for: Callable[..., Any]) -> None:
    function = lab.function(TRACED, TracingConfig={"Mode": "Active"})
    path = f"/2015-03-31/functions/{function.rpartition(':')[2]}/invocations"
    root = header.new().root
    headers = {"X-Amzn-Trace-Id": f"Root={root};Sampled=1", **lab.signature("lambda")}
    lab.request("POST", path, '{"fail": true}', headers)
    documents = wait_for(lambda: trace_of(lab, root))
    assert all(d["fault"] for d in documents if d.get("origin"))
    now = time.time()
    window = {"StartTime": now - 60, "EndTime": now + 1}
    faults = lab.call("xray", "get_trace_summaries", **window, FilterExpression="fault")["TraceSummaries"]
    assert root in {t["Id"] for t in faults}


def test_the_queue_keeps_a_message_s_trace(lab: Lab) -> None:
    # Given a trace in the header, one in an attribute, and both
    url, _ = lab.queue()
    client = lab.aws.client("sqs")
    attribute = {"AWSTraceHeader": {"DataType": "String", "StringValue": f"Root={header.new().root}"}}
    client.send_message_batch(
        QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "batch", "MessageSystemAttributes": attribute}]
    )
    # When
    found = client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"][0]
    # Then
    assert found["Attributes"]["AWSTraceHeader"] == attribute["AWSTraceHeader"]["StringValue"]


def test_summaries_come_in_pages(lab: Lab) -> None:
    # Given
    now = time.time()
    documents = [
        json.dumps(
            {"trace_id": header.new().root, "id": f"{n:016x}", "name": lab.name, "start_time": now, "end_time": now + n}
        )
        for n in range(620)
    ]
    for start in range(0, 620, 50):
        lab.call("xray", "put_trace_segments", TraceSegmentDocuments=documents[start : start + 50])
    # When
    window = {"StartTime": now - 60, "EndTime": now + 60}
    mine = f'service("{lab.name}")'
    found = list(lab.aws.pages("xray", "get_trace_summaries", "TraceSummaries", **window, FilterExpression=mine))
    slow = list(
        lab.aws.pages(
            "xray", "get_trace_summaries", "TraceSummaries", **window, FilterExpression=f"{mine} AND duration > 600"
        )
    )
    # Then
    assert len({t["Id"] for t in found}) == len(found) == 620
    assert len(slow) == 19


def test_bad_calls_are_refused(lab: Lab) -> None:
    now = time.time()
    with pytest.raises(AwsError, match="unknown keyword"):
        lab.call("xray", "get_trace_summaries", StartTime=now, EndTime=now, FilterExpression="nonsense")
    with pytest.raises(AwsError, match="24 hours"):
        lab.call("xray", "get_trace_summaries", StartTime=now - 90_000, EndTime=now)
    refused = lab.call("xray", "put_trace_segments", TraceSegmentDocuments=["{}", "not json", "[]"])
    assert len(refused["UnprocessedTraceSegments"]) == 3
