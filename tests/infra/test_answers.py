"""The mapping templates say to SQS what the client said, byte for byte, and to the client what SQS said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtp.infra import answers
from rtp.local.mapping import Input, render
from rtp.runtime import wire

if TYPE_CHECKING:
    from typing import Any

TRACE = "Root=1-65b1c1a1-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"


def sent(body: str, **headers: str) -> dict[str, str]:
    """What SQS gets for a request."""
    context: dict[str, Any] = {"requestId": "r-1", "requestTimeEpoch": "1795448655247"}
    return dict(parse_qsl(render(answers.TO_QUEUE, Input(body, headers), context), keep_blank_values=True))


def answered(template: str, reply: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The client's body, and what overrides its status and headers."""
    context: dict[str, Any] = {"requestId": "r-1", "requestTimeEpoch": "1795448655247"}
    body = json.loads(render(template, Input(reply, {}), context))
    return body, context.get("responseOverride", {})


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_body_reaches_the_queue_as_it_is(text: str) -> None:
    body = json.dumps({"type": "t", "data": {"text": text}}, ensure_ascii=False)
    assert sent(body)["MessageBody"] == wire.message_body(body)


def test_the_template_escapes_the_same_characters_as_the_functions() -> None:
    body = '{"type": "t", "data": {"\ufffe": "a\uffffb\U0001ffff"}}'
    message = sent(body)["MessageBody"]
    assert message == wire.message_body(body) == '{"type": "t", "data": {"\\ufffe": "a\\uffffb\U0001ffff"}}'
    assert json.loads(message) == json.loads(body)


def test_a_message_carries_who_it_is() -> None:
    # Given: a client that brought no id, and a trace.
    form = sent('{"type": "t", "data": {}}', **{"X-Amzn-Trace-Id": TRACE})

    # Then: the request's id and time go along, and the trace as SQS has it.
    attributes = {
        form[f"MessageAttribute.{n}.Name"]: form[f"MessageAttribute.{n}.Value.StringValue"] for n in (1, 2, 3)
    }
    assert form["Action"] == "SendMessage"
    assert attributes == {"rtp_source": "api", "rtp_request_id": "r-1", "rtp_request_time": "1795448655247"}
    assert form["MessageSystemAttribute.1.Name"] == "AWSTraceHeader"
    assert form["MessageSystemAttribute.1.Value.StringValue"] == TRACE


@pytest.mark.parametrize("name", ["X-Amzn-Trace-Id", "x-amzn-trace-id"])
@pytest.mark.parametrize("trace", [TRACE, TRACE.split(";")[0], f"Self=1-67891234-abcdef012345678912345678;{TRACE}"])
def test_a_trace_is_passed_on(name: str, trace: str) -> None:
    assert sent("{}", **{name: trace})["MessageSystemAttribute.1.Value.StringValue"] == trace


@pytest.mark.parametrize("trace", ["", "x", "Root=1-2-3", f"{TRACE}&MessageBody=other", f"{TRACE}\r\nx: y", "a" * 5000])
def test_a_trace_that_sqs_would_refuse_costs_no_event(trace: str) -> None:
    form = sent("{}", **{"X-Amzn-Trace-Id": trace})
    assert form["MessageBody"] == "{}"
    assert "MessageSystemAttribute.1.Name" not in form


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ("x" * wire.MAX_BODY_BYTES, True),
        ("x" * (wire.MAX_BODY_BYTES + 1), False),
        ("é" * (wire.MAX_BODY_BYTES // 2), True),
        ("é" * (wire.MAX_BODY_BYTES // 2 + 1), False),
        (" +%&=~*" * (wire.MAX_BODY_BYTES // 7), True),
        ("\uffff" * (wire.MAX_BODY_BYTES // 6), True),
        ("\uffff" * (wire.MAX_BODY_BYTES // 6 + 1), False),
    ],
)
def test_the_limit_counts_bytes(body: str, fits: bool) -> None:
    # A body that is too large is not sent; what is sent in its place SQS refuses for having none.
    assert sent(body).get("MessageBody") == (wire.message_body(body) if fits else None)


def test_accepted_says_how_to_find_the_event() -> None:
    body, override = answered(answers.ACCEPTED, '{"SendMessageResponse": {}}')
    assert (body["id"], body["timestamp"], override) == ("r-1", 1795448655247, {})
    assert "accepted" in body["message"]


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ('{"Error": {"Code": "MissingParameter", "Message": "MessageBody"}}', 413),
        ('{"Error": {"Code": "InvalidParameterValue", "Message": "Message must be shorter than 1 bytes."}}', 413),
        ('{"Error": {"Code": "InvalidMessageContents"}}', 400),
        ('{"Error": {"Code": "AccessDenied"}}', 503),
        ('{"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue"}}', 503),
        ('{"Error": {"Code": "KMS.DisabledException"}}', 503),
        ("<Error><Code>InvalidMessageContents</Code></Error>", 400),
        ("", 503),
    ],
)
def test_a_refusal_is_whose_fault_it_is(reply: str, status: int) -> None:
    body, override = answered(answers.REFUSED, reply)
    assert override["status"] == status
    assert body["message"]
    assert ("Retry-After" in override.get("header", {})) == (status == 503)


def test_unavailable_promises_nothing() -> None:
    body, _ = answered(answers.UNAVAILABLE, "")
    assert "nothing was accepted" in body["message"]


def test_answers_of_the_gateway_quote_its_own_words_once() -> None:
    for answer in answers.GATEWAY_ANSWERS:
        # API Gateway puts `messageString` in with quotation marks of its own, or as null.
        for said in ('"say \\"no\\""', "null"):
            text = answer.template.replace("$context.error.messageString", said)
            assert "message" in json.loads(text.replace("$context.requestId", "r-1"))


def test_the_access_log_is_json_whatever_the_values() -> None:
    assert all(value.startswith("$context.") for value in json.loads(answers.ACCESS_LOG).values())
