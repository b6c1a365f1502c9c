"""Log lines, metrics and traces."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import Event, Reject, logs, tracing
from rtp.runtime.documents import send_document
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import message, world

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


def test_each_step_logs_one_json_line_with_the_event(lines: Any) -> None:
    here = world()
    logs.set_level("DEBUG")
    here.processor("t", lambda _: None)

    here.deliver(message(fakes.event(secret="s3cret"), "m1", trace=HEADER))

    read_lines = lines()
    steps = [line["step"] for line in read_lines if "step" in line]
    assert steps == ["received", "claimed", "processed"]
    for line in read_lines[:-1]:
        assert (line["event_id"], line["event_type"], line["trace_id"]) == ("e1", "t", HEADER[5:40])
        assert {"timestamp", "level", "request_id", "message"} <= set(line)
    assert read_lines[0]["bytes"] > 0
    assert "s3cret" not in json.dumps(read_lines)


def test_a_failure_s_stack_is_in_the_log_and_not_in_the_record(lines: Any) -> None:
    here = world()
    logs.set_level("INFO")

    def fail(_: Event) -> None:
        raise ValueError("no\nsuch\x1b[31m luck")

    here.processor("t", fail)

    here.deliver(message(fakes.event()))

    (failed,) = [line for line in lines() if line.get("step") == "failed"]
    assert failed["message"] == "no such [31m luck"
    assert failed["stack"][-1].endswith(" fail")
    assert "stack" not in here.dynamo.record("e1")["error"]


def test_lines_of_a_processor_s_logger_have_the_event(lines: Any) -> None:
    here = world()
    root = logging.getLogger()
    saved = root.handlers[:], root.level
    try:
        logs.install("INFO")
        here.processor("t", lambda event: logging.getLogger("mine").warning("look at %s", event.id))
        here.deliver(message(fakes.event()))
    finally:
        root.handlers[:], root.level = saved

    (mine,) = [line for line in lines() if line.get("logger") == "mine"]
    assert (mine["event_id"], mine["level"], mine["message"]) == ("e1", "WARNING", "look at e1")


def test_metrics_are_embedded_in_the_log_with_a_bounded_number_of_types(lines: Any) -> None:
    here = world(project="p", env="dev", max_receive_count=1)

    def judge(event: Event) -> None:
        if event.id == "bad":
            raise Reject("no")
        if event.id == "sad":
            raise ValueError("no")

    here.processor("t", judge)
    batch = [message(fakes.event(id)) for id in ("bad", "sad", "good")]

    here.deliver(*batch, *(message(fakes.event(f"e{n}", f"type-{n}")) for n in range(5)))

    emf = [line for line in lines() if "_aws" in line]
    by_type = {line["type"]: line for line in emf}
    assert set(by_type) == {"t", "other"}
    mine = by_type["t"]
    assert (mine["EventsProcessed"], mine["EventsRejected"], mine["EventsFailed"], mine["EventsDead"]) == (1, 1, 1, 2)
    assert len(mine["AgeAtProcessing"]) == 3
    assert by_type["other"]["EventsProcessed"] == 5
    (directive,) = mine["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "rtp"
    assert ["project", "env"] in directive["Dimensions"]
    assert {metric["Name"] for metric in directive["Metrics"]} <= set(mine)
    assert (mine["project"], mine["env"]) == ("p", "dev")


def test_metrics_of_a_type_that_is_no_dimension_are_under_its_escaped_form_with_its_own_name(lines: Any) -> None:
    here = world()
    here.processor("größe", lambda _event: None)

    here.deliver(message(fakes.event("e1", "größe")))

    (emf,) = [line for line in lines() if "_aws" in line]
    assert (emf["type"], emf["event_type"], emf["EventsProcessed"]) == ("gr%C3%B6%C3%9Fe", "größe", 1)


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """The socket that receives the X-Ray SDK's documents."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5)
        yield listening


TRACED = """
import os, sys
from rtp.runtime import Reject
from tests.unit.runtime import fakes
here = fakes.world(function="worker", release=os.environ.get("RELEASE", ""))
def call_aws(event):
    import botocore.session
    from botocore.awsrequest import AWSResponse
    class Raw:
        def stream(self, **_): yield b"{}"
    def answered(request, **_):
        sent.append(request.headers["X-Amzn-Trace-Id"])
        return AWSResponse(request.url, 200, {}, Raw())
    session = botocore.session.get_session()
    session.set_credentials("test", "test")
    client = session.create_client("dynamodb", region_name="us-east-1")
    client.meta.events.register("before-send.dynamodb.*", answered)
    client.list_tables()
sent = []
def judge(event):
    if event.id == "aws": call_aws(event)
    if event.id == "bad": raise Reject("never")
    if event.id == "sad": raise ValueError("not now")
here.processor("t", judge)
here.deliver(*(fakes.message(fakes.event(id), trace=sys.argv[1]) for id in sys.argv[2:]))
"""


def documents(daemon: socket.socket, header: str, *ids: str, **env: str) -> list[dict[str, Any]]:
    """Return what a child interpreter sends for events of these ids; the SDK reads its environment only once."""
    host, port = daemon.getsockname()
    environ = {**os.environ, "AWS_XRAY_DAEMON_ADDRESS": f"{host}:{port}", "LAMBDA_TASK_ROOT": "/var/task", **env}
    subprocess.run(
        [sys.executable, "-c", TRACED, header, *ids], env=environ, check=True, timeout=60, capture_output=True
    )
    daemon.setblocking(False)
    sent = []
    while True:
        try:
            sent.append(json.loads(daemon.recv(65_536).partition(b"\n")[2]))
        except BlockingIOError:
            return sent


INVOCATION = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1;Lineage=1:abc:0"
SPANS = [("S3", "aws"), ("DynamoDB", "aws"), ("processor t", "local"), ("S3", "aws"), ("DynamoDB", "aws")]


def test_an_event_is_in_its_invocation_s_trace_and_in_its_message_s(daemon: socket.socket) -> None:
    # AWS documents the first, accepts the second, and links the two itself since November 2022
    subsegment, segment = documents(daemon, HEADER, "e1", **{tracing.INVOCATION: INVOCATION})

    assert (subsegment["type"], subsegment["name"]) == ("subsegment", "event")
    assert (subsegment["trace_id"], subsegment["parent_id"]) == (INVOCATION[5:40], "463ac35c9f6413ad")
    assert (segment["trace_id"], segment["parent_id"], segment["name"]) == (HEADER[5:40], "53995c3f42cd8ad8", "worker")
    assert (segment["origin"], "type" in segment) == ("AWS::Lambda::Function", False)
    for one in (subsegment, segment):
        assert one["annotations"] == {"event_id": "e1", "event_type": "t"}
        assert [(span["name"], span.get("namespace")) for span in one["subsegments"]] == SPANS
        assert one["subsegments"][1]["aws"] == {"operation": "UpdateItem", "table_name": "table"}
        for span in one["subsegments"]:
            assert one["start_time"] <= span["start_time"] <= span["end_time"] <= one["end_time"]
            assert not {"trace_id", "parent_id"} & set(span)
    links = [(link["trace_id"], link["id"]) for one in (subsegment, segment) for link in one["links"]]
    assert links == [(segment["trace_id"], segment["id"]), (subsegment["trace_id"], subsegment["id"])]


def test_an_event_has_the_release_of_the_code_in_each_trace(daemon: socket.socket) -> None:
    found = documents(daemon, HEADER, "e1", RELEASE="0123456789ab", **{tracing.INVOCATION: INVOCATION})
    assert len(found) == 2
    assert {one["annotations"]["release"] for one in found} == {"0123456789ab"}


@pytest.mark.parametrize(
    ("message", "invocation", "traces"),
    [
        ("", "1", {INVOCATION[5:40], HEADER[5:40]}),  # nothing is decided: the invocation's own decision
        ("", "0", set()),
        ("?", "0", set()),
        ("0", "1", {INVOCATION[5:40]}),
        ("1", "0", {HEADER[5:40]}),
        ("0", "0", set()),
    ],
)
def test_a_message_without_a_decision_is_traced_if_its_invocation_is(
    daemon: socket.socket, message: str, invocation: str, traces: set[str]
) -> None:
    header = HEADER[:40] + (f";Sampled={message}" if message else "")
    current = INVOCATION.replace("Sampled=1", f"Sampled={invocation}")

    sent = documents(daemon, header, "e1", **{tracing.INVOCATION: current})

    assert {document["trace_id"] for document in sent} == traces
    assert all("parent_id" in document or document["trace_id"] == HEADER[5:40] for document in sent)


def test_an_aws_call_of_a_processor_is_in_its_span(daemon: socket.socket) -> None:
    (segment,) = documents(daemon, HEADER, "aws")

    (span,) = [s for s in segment["subsegments"] if s["name"] == "processor t"]
    (call,) = span["subsegments"]
    assert (call["name"], call["namespace"], call["aws"]["operation"]) == ("dynamodb", "aws", "ListTables")


@pytest.mark.parametrize("sampled", ["0", "1"])
def test_lambda_s_own_lineage_is_passed_on_and_never_the_message_s(sampled: str) -> None:
    # Lambda counts the hops of a loop in it
    script = """
import sys
from rtp.runtime import tracing
for header in sys.argv[1:]:
    trace = tracing.begin(header, name="x")
    print(trace.header)
root = getattr(trace._recorder, "_root", None)
print(getattr(root, "parent_segment", None) and root.parent_segment.get_origin_trace_header().data)
"""
    env = {**os.environ, "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:9", "LAMBDA_TASK_ROOT": "/var/task"}
    env[tracing.INVOCATION] = INVOCATION.replace("Sampled=1", f"Sampled={sampled}")
    argv = [sys.executable, "-c", script, "", f"{HEADER};Lineage=9:message:9", f"{HEADER[:40]};Lineage=9:message:9"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60)

    *headers, of_calls = done.stdout.splitlines()
    assert len(headers) == 3
    for header in headers:
        assert header.endswith(";Lineage=1:abc:0")
        assert "message" not in header
    assert of_calls == ("{'Lineage': '1:abc:0'}" if sampled == "1" else "None")


def test_a_trace_that_is_too_large_for_a_packet_is_sent_in_parts() -> None:
    class Packets:
        """In place of the SDK's emitter: the documents that were sent."""

        def __init__(self) -> None:
            self.sent: list[dict[str, Any]] = []

        def send_entity(self, entity: Any) -> None:
            text = entity.serialize()
            assert len(text) < 65_000
            self.sent.append(json.loads(text))

    children = [{"id": f"{n:016x}", "name": "call", "metadata": {"default": {"text": "x" * 9_000}}} for n in range(9)]
    emitter = Packets()

    send_document({"trace_id": HEADER[5:40], "id": "a" * 16, "name": "worker", "subsegments": children}, emitter)

    assert [document.get("parent_id") for document in emitter.sent] == [None, *["a" * 16] * 9]
    assert {document["trace_id"] for document in emitter.sent} == {HEADER[5:40]}
    assert all(document.get("type") == "subsegment" for document in emitter.sent[1:])


def test_a_failure_is_a_fault_with_its_exception_and_a_rejection_is_an_error(daemon: socket.socket) -> None:
    segments = {d["annotations"]["event_id"]: d for d in documents(daemon, HEADER, "sad", "bad")}

    assert segments["sad"]["fault"] is True
    (span,) = [s for s in segments["sad"]["subsegments"] if s["name"] == "processor t"]
    (exception,) = span["cause"]["exceptions"]
    assert (exception["type"], exception["message"]) == ("ValueError", "not now")
    # And its frames name files as the project does: the last part alone may be that of several
    assert "rtp/runtime/running.py" in [frame["path"] for frame in exception["stack"]]
    assert segments["bad"]["error"] is True
    assert "fault" not in segments["bad"]


def test_without_a_header_the_event_is_part_of_the_invocation(daemon: socket.socket) -> None:
    (subsegment,) = documents(daemon, "", "e1", **{tracing.INVOCATION: HEADER})

    assert (subsegment["type"], subsegment["name"]) == ("subsegment", "event")
    assert (subsegment["trace_id"], subsegment["parent_id"]) == (HEADER[5:40], "53995c3f42cd8ad8")


def test_a_record_names_the_message_s_trace_and_the_invocation_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracing.INVOCATION, INVOCATION)
    here = world()
    here.processor("t", lambda _: None)

    here.deliver(message(fakes.event(), trace=HEADER), message(fakes.event("alone")))

    record, alone = here.dynamo.record("e1"), here.dynamo.record("alone")
    for one in (record, record["attempts"][-1]):
        assert (one["trace_id"], one["invocation_trace_id"]) == (HEADER[5:40], INVOCATION[5:40])
    assert (alone["trace_id"], "invocation_trace_id" in alone) == (INVOCATION[5:40], False)


def test_an_event_that_is_not_sampled_sends_nothing_and_has_its_trace_id(daemon: socket.socket) -> None:
    header = HEADER.replace("Sampled=1", "Sampled=0")

    assert documents(daemon, header, "e1") == []
    assert tracing.begin(header, name="x").id == HEADER[5:40]


@contextmanager
def one_log() -> Iterator[None]:
    """As in Lambda, where stdout and stderr are one log."""
    out, err = sys.stdout, sys.stderr
    sys.stderr = out
    logs.watch_streams()
    yield
    sys.stdout, sys.stderr = out, err


def _prints(_: Event) -> None:
    print("progress 100%", end="")  # noqa: T201 - what processors do


def _draws_a_bar(_: Event) -> None:
    sys.stderr.write("\r 50%")
    sys.stderr.write("\r100%")


def _prints_and_fails(_: Event) -> None:
    print("about to fail...", end=" ")  # noqa: T201 - what processors do
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("processor", "printed", "level", "message_text"),
    [
        (_prints, "progress 100%", "INFO", "event processed"),
        (_draws_a_bar, "\r 50%\r100%", "INFO", "event processed"),
        (_prints_and_fails, "about to fail... ", "WARNING", "boom"),
    ],
)
def test_a_print_without_a_newline_does_not_swallow_the_next_line(
    capsys: pytest.CaptureFixture[str], processor: Any, printed: str, level: str, message_text: str
) -> None:
    here = world()
    here.processor("t", processor)
    logs.set_level("INFO")

    with one_log():
        here.deliver(message(fakes.event(), "m1"))

    read = capsys.readouterr().out.split("\n")
    assert printed in read and "" not in read[:-1]
    outcome = json.loads(read[read.index(printed) + 1])
    assert (outcome["level"], outcome["event_id"], outcome["message"]) == (level, "e1", message_text)
