"""The forms of a DLQ message: what is read of each, and what its event's record adds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import queues
from rtp.ops.causes import Cause
from rtp.ops.dlq import messages as dlq
from rtp.runtime import wire
from rtp.runtime.event import Identity
from tests.unit.ops.fakes import TABLE, FakeAws, event

if TYPE_CHECKING:
    from collections.abc import Mapping

SENT = 1_700_000_000_000
ROOT = "1-0123abcd-0123456789abcdef01234567"
NO_ID = '{"type": "a", "data": {}}'


def message(
    body: str, attributes: Mapping[str, str] | None = None, *, receives: int = 3, trace: str = "", **more: str
) -> queues.Message:
    texts = {name: queues.attribute(value) for name, value in {**(attributes or {}), **more}.items()}
    return queues.Message("m1", "r1", body, texts, SENT, receives, trace)


def joined(aws: FakeAws, *messages: queues.Message) -> list[dlq.DlqMessage]:
    return dlq.joined(aws, TABLE, messages)


def test_a_message_by_itself() -> None:
    one = message(event(5), trace=f"Root={ROOT};Parent=1;Sampled=1", rtp_request_id="req")
    found = dlq.read(one)
    assert (found.message_id, found.body, found.event, found.message) == ("m1", event(5), event(5), one)
    assert (found.trace_id, found.first_seen, found.accepted_at) == (ROOT, "2023-11-14T22:13:20.000Z", SENT)
    assert (found.request_id, found.fallback, found.timestamp) == ("req", Identity("req", SENT), 5)
    assert (found.error, found.kind, found.runs, found.is_noted) == (Cause("", ""), "queue", 0, False)


@pytest.mark.parametrize(("receives", "attempts"), [(0, 0), (1, 0), (2, 1), (7, 6)])
def test_the_move_to_the_dlq_is_no_attempt(receives: int, attempts: int) -> None:
    assert dlq.read(message(event(5), receives=receives)).attempts == attempts


@pytest.mark.parametrize("trace", ["", "Root=1-0123abcd-xyz", f"Parent={ROOT}"])
def test_a_message_without_a_trace_has_none(trace: str) -> None:
    assert dlq.read(message(event(5), trace=trace)).trace_id == ""


@pytest.mark.parametrize(
    ("attributes", "error", "request_id"),
    [
        ({"ErrorCode": "200", "ErrorMessage": "boom", "RequestID": "req"}, Cause("LambdaError", "boom"), "req"),
        ({"ErrorMessage": "boom", "ErrorType": "KeyError"}, Cause("KeyError", "boom"), "m1"),
        ({"ErrorCode": "500", "rtp_error_type": "E"}, Cause("LambdaError", ""), "m1"),
    ],
)
def test_lambdas_own_attributes_are_those_of_an_asynchronous_event(
    attributes: dict[str, str], error: Cause, request_id: str
) -> None:
    found = dlq.read(message(NO_ID, attributes, receives=1))
    assert (found.kind, found.error, found.attempts, found.event) == ("async", error, 3, NO_ID)
    assert (found.id, found.request_id, found.timestamp) == (request_id, request_id, SENT)


def envelope(payload: object = None, context: object = None, **more: Any) -> dict[str, Any]:
    about = {"requestId": "req-1", "condition": "RetriesExhausted", "approximateInvokeCount": 2}
    return {"requestContext": about if context is None else context, "requestPayload": payload, **more}


@pytest.mark.parametrize(
    ("body", "error", "attempts"),
    [
        (envelope(responsePayload={"errorType": "E", "errorMessage": "m"}), Cause("E", "m"), 2),
        (envelope(responsePayload=None), Cause("RetriesExhausted", "the invocation failed: RetriesExhausted"), 2),
        (envelope(responsePayload=["x"]), Cause("RetriesExhausted", "the invocation failed: RetriesExhausted"), 2),
        (envelope(responsePayload={"errorType": 5}), Cause("5", "the invocation failed: RetriesExhausted"), 2),
        (envelope(context={}), Cause("LambdaError", "the invocation failed: "), 1),
        (envelope(context={"approximateInvokeCount": "3"}), Cause("LambdaError", "the invocation failed: "), 1),
    ],
)
def test_the_envelope_of_a_failed_asynchronous_invocation(body: object, error: Cause, attempts: int) -> None:
    found = dlq.read(message(json.dumps(body)))
    assert (found.kind, found.error, found.attempts, found.event) == ("async", error, attempts, "null")


@pytest.mark.parametrize(
    "body",
    [
        [],
        "x",
        {"requestContext": {}},
        {"requestPayload": {}},
        {"requestPayload": {}, "requestContext": None},
        {"requestPayload": {}, "requestContext": "x"},
    ],
)
def test_what_is_no_envelope_is_the_event_itself(body: object) -> None:
    found = dlq.read(message(json.dumps(body)))
    assert (found.kind, found.event, found.id) == ("queue", json.dumps(body), "m1")


def test_a_body_that_cannot_be_parsed_is_a_message_all_the_same() -> None:
    deep = "[" * 100_000
    for body in ("{", deep):
        found = dlq.read(message(body))
        assert (found.kind, found.event, found.id, found.type) == ("queue", body, "m1", "")


def test_the_request_of_an_envelope_is_the_identity_of_an_event_without_an_id() -> None:
    found = dlq.read(message(json.dumps(envelope({"type": "a", "data": {}})), rtp_request_time="17"))
    assert (found.identity, found.fallback, found.type) == (("req-1", 17), ("req-1", 17), "a")
    found = dlq.read(message(json.dumps(envelope({"type": "a", "data": {}}, context={}))))
    assert found.identity == ("m1", SENT)


@pytest.mark.parametrize(
    ("payload", "is_request"),
    [
        ({"requestContext": {}, "body": event(5)}, True),
        ({"requestContext": None, "body": event(5)}, True),
        ({"body": event(5)}, False),
        ({"requestContext": {}, "body": {}}, False),
        ({"requestContext": {}}, False),
        (["body", "requestContext"], False),
    ],
)
def test_the_payload_is_the_body_of_an_api_request_or_the_event(payload: object, is_request: bool) -> None:
    found = dlq.read(message(json.dumps(envelope(payload))))
    if is_request:
        assert found.event == event(5)
    else:
        assert json.loads(found.event) == payload


def test_the_record_completes_a_message_that_sqs_moved() -> None:
    aws = FakeAws()
    error = {"type": "KeyError", "message": "'n'", "signature": "KeyError: *", "at": "orders.py:3 f"}
    aws.record(
        "e5",
        5,
        status="dead",
        type="order.created",
        attempt_count=7,
        trace_id=ROOT,
        error=error,
        accepted_at=SENT - 5_000,
        raw_key="raw/x",
        release="abcdef012345",
        dlq_message={"request_id": "m1"},
    )
    (found,) = joined(aws, message(event(5)))
    assert (found.error.text, found.error.at, found.error.stored) == ("KeyError: 'n'", "orders.py:3 f", "KeyError: *")
    assert (found.attempts, found.runs, found.trace_id, found.raw_key) == (7, 7, ROOT, "raw/x")
    assert (found.first_seen, found.accepted_at) == ("2023-11-14T22:13:15.000Z", SENT - 5_000)
    assert (found.release, found.is_noted, found.type) == ("abcdef012345", True, "order.created")
    # And it says no more than it has
    aws.record("e5", 5, status="dead")
    (found,) = joined(aws, message(event(5), trace=f"Root={ROOT}"))
    assert (found.error, found.attempts, found.runs, found.trace_id) == (Cause("", dlq.UNKNOWN), 2, 0, ROOT)
    assert (found.accepted_at, found.raw_key, found.release, found.is_noted) == (SENT, "", "", False)


def test_an_event_was_never_accepted_later_than_its_message_was_sent() -> None:
    aws = FakeAws()
    aws.record("e5", 5, status="dead", accepted_at=SENT + 5_000)
    (found,) = joined(aws, message(event(5)))
    assert found.accepted_at == SENT


def test_a_note_of_another_message_or_that_is_none_notes_nothing() -> None:
    aws = FakeAws()
    for note in ({"request_id": "other"}, {}, "m1", None):
        aws.record("e5", 5, status="dead", dlq_message=note)
        (found,) = joined(aws, message(event(5)))
        assert not found.is_noted


def test_of_a_processed_event_it_is_said_that_a_redrive_does_not_run_it() -> None:
    aws = FakeAws()
    aws.record("e5", 5, status="processed", attempt_count=4)
    (found,) = joined(aws, message(event(5)))
    assert found.error == Cause("", dlq.PROCESSED_SINCE)


MINE = {"rtp_error_type": "E", "rtp_error_message": "mine"}


@pytest.mark.parametrize(
    ("own", "error", "expected"),
    [
        # The message's own reason counts, with the line of the record's where it is the same kind
        (MINE, {"type": "E", "message": "m", "at": "a.py:1 f"}, "E: mine"),
        (MINE, {"type": "F", "message": "m", "at": "a.py:1 f"}, "E: mine"),
        ({"rtp_error_message": "mine"}, {"type": "F", "message": "m"}, "mine"),
        ({"rtp_error_type": "E"}, {"type": "F", "message": "m"}, "E"),
        ({}, {"type": "F", "message": "m"}, "F: m"),
        ({"rtp_error_type": "E"}, "no object", "E"),
    ],
)
def test_whose_reason_counts(own: dict[str, str], error: object, expected: str) -> None:
    aws = FakeAws()
    aws.record("e5", 5, status="dead", error=error)
    (found,) = joined(aws, message(event(5), own))
    assert found.error.text.strip(": ") == expected
    is_same = isinstance(error, dict) and error["type"] == own.get("rtp_error_type", "F")
    assert found.error.at == (error.get("at", "") if is_same and isinstance(error, dict) else "")


def test_of_an_asynchronous_invocation_the_record_has_the_reason() -> None:
    aws = FakeAws()
    aws.record("e5", 5, status="dead", error={"type": "F", "message": "m"})
    (found,) = joined(aws, message(json.dumps(envelope(json.loads(event(5)), responsePayload={"errorType": "E"}))))
    assert found.error == Cause("F", "m")
    aws.record("e5", 5, status="dead")
    (found,) = joined(aws, message(json.dumps(envelope(json.loads(event(5)), responsePayload={"errorType": "E"}))))
    assert found.error.type == "E"


def test_a_message_without_a_type_has_that_of_its_record() -> None:
    aws = FakeAws()
    aws.record("e5", 5, status="dead", type="order.created")
    (found,) = joined(aws, message('{"id": "e5", "timestamp": 5}'))
    assert found.type == "order.created"
    aws.record("e5", 5, status="dead")
    (found,) = joined(aws, message('{"id": "e5", "timestamp": 5}'))
    assert found.type == ""


def test_only_an_asynchronous_event_is_looked_up_by_its_id_and_the_newest_record_counts() -> None:
    aws = FakeAws()
    aws.record("req-1", 98, status="dead", attempt_count=1)
    aws.record("req-1", 99, status="dead", attempt_count=3)
    wrapped = message(json.dumps(envelope({"type": "a", "data": {}})))
    found, other = joined(aws, wrapped, message(NO_ID, rtp_request_id="req-1", rtp_request_time="5"))
    assert (found.identity, found.fallback, found.runs) == (("req-1", 99), ("req-1", 99), 3)
    assert (other.identity, other.runs, aws.calls["query"]) == (("req-1", 5), 0, 1)
    # And one with an id of its own keeps the identity that it would have without
    (found,) = joined(aws, message(json.dumps(envelope({"id": "req-1", "timestamp": 98, "type": "a", "data": {}}, {}))))
    assert (found.identity, found.fallback) == (("req-1", 98), ("m1", SENT))
    assert aws.calls["query"] == 1


def test_messages_are_completed_in_their_order_and_each_record_is_read_once() -> None:
    aws = FakeAws()
    aws.record("e1", 1, status="dead", attempt_count=4)
    messages = [replace(message(event(n)), message_id=f"m{i}") for i, n in enumerate((2, 1, 2, 1))]
    found = joined(aws, *messages)
    assert [(one.message_id, one.id, one.runs) for one in found] == [
        ("m0", "e2", 0), ("m1", "e1", 4), ("m2", "e2", 0), ("m3", "e1", 4),
    ]  # fmt: skip
    assert aws.calls["batch_get_item"] == 1
    assert joined(aws) == [] and aws.calls["batch_get_item"] == 1


@pytest.mark.parametrize(
    ("event_id", "is_read"),
    [("x", True), ("x" * 2048, True), ("x" * 2049, False), ("ä" * 1025, False), ("\ud800", False)],
    ids=["short", "longest", "too long", "too many bytes", "no text"],
)
def test_an_id_that_cannot_be_a_key_is_not_looked_up(event_id: str, is_read: bool) -> None:
    aws = FakeAws()
    one = replace(message("no event"), message_id=event_id)
    (found,) = joined(aws, one)
    assert (found.id, found.error.message) == (event_id, dlq.UNKNOWN)
    assert aws.calls["batch_get_item"] == int(is_read)


def sent_with(one: dlq.DlqMessage) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in dlq.attributes(one, "run#m1")[0].items()}


@pytest.mark.parametrize(
    ("count", "ours", "left_out"),
    [
        (0, {wire.SOURCE, wire.REQUEST_ID, wire.REQUEST_TIME}, []),
        (6, {wire.SOURCE, wire.REQUEST_ID, wire.REQUEST_TIME}, []),
        (7, {wire.SOURCE, wire.REQUEST_ID}, []),
        (8, {wire.SOURCE}, []),
        (9, set(), []),
        (11, set(), ["a09", "a10"]),
    ],
)
def test_the_senders_attributes_come_before_those_that_an_event_with_an_id_does_not_need(
    count: int, ours: set[str], left_out: list[str]
) -> None:
    many = {f"a{n:02}": "x" for n in range(count)}
    found = dlq.read(message(event(5), many, rtp_request_id="req"))
    kept, without = dlq.attributes(found, "run#m1")
    assert {name for name in kept if not name.startswith("a")} == {wire.REDRIVE, *ours}
    assert (len(kept), without) == (min(10, count + 4), left_out)
    assert sent_with(found)[wire.REDRIVE] == "run#m1"


@pytest.mark.parametrize(("count", "has_source", "left_out"), [(6, True, []), (7, False, []), (8, False, ["a7"])])
def test_an_event_without_an_id_needs_its_identity_more_than_its_source(
    count: int, has_source: bool, left_out: list[str]
) -> None:
    many = {f"a{n}": "x" for n in range(count)}
    found = dlq.read(message(NO_ID, many, rtp_request_id="req", rtp_request_time="17"))
    kept = sent_with(found)
    assert (kept[wire.REQUEST_ID], kept[wire.REQUEST_TIME]) == ("req", "17")
    assert (wire.SOURCE in kept, dlq.attributes(found, "run#m1")[1]) == (has_source, left_out)


def test_what_said_why_the_event_died_is_not_sent_again() -> None:
    old = {
        wire.ERROR_TYPE: "E", wire.ERROR_MESSAGE: "m", "RequestID": "x", "ErrorType": "E", "ErrorCode": "200",
        "ErrorMessage": "m", wire.REDRIVE: "old#m0", wire.SOURCE: "api",
    }  # fmt: skip
    kept = sent_with(dlq.read(message(event(5), old)))
    assert set(kept) == {wire.REDRIVE, wire.SOURCE, wire.REQUEST_ID, wire.REQUEST_TIME}
    assert (kept[wire.SOURCE], kept[wire.REDRIVE]) == ("redrive", "run#m1")


def test_a_binary_attribute_of_the_sender_is_sent_as_it_is() -> None:
    one = message(event(5))
    binary = {"DataType": "Binary", "BinaryValue": b"\x00\xff"}
    kept, _ = dlq.attributes(dlq.read(replace(one, attributes={"b": binary})), "run#m1")
    assert kept["b"] == binary
