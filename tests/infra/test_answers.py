"""Mapping templates: a request reaches SQS unchanged, and the response follows from what SQS answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtp.infra import answers
from rtp.local import message_limits
from rtp.local.mapping import Input, render
from rtp.runtime import jsontext, reading, wire
from rtp.runtime.event import Identity
from rtp.runtime.registry import Registry

if TYPE_CHECKING:
    from typing import Any

TRACE = "Root=1-65b1c1a1-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"


def request_to_sqs(body: str, **headers: str) -> dict[str, str]:
    """Return the parameters that SQS gets for a request."""
    context: dict[str, Any] = {"requestId": "r-1", "requestTimeEpoch": "1795448655247"}
    return dict(parse_qsl(render(answers.TO_QUEUE, Input(body, headers), context), keep_blank_values=True))


def response_for(template: str, reply: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the response's body, and the overrides of its status and headers."""
    context: dict[str, Any] = {"requestId": "r-1", "requestTimeEpoch": "1795448655247"}
    body = json.loads(render(template, Input(reply, {}), context))
    return body, context.get("responseOverride", {})


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=200))
def test_a_body_reaches_the_queue_unchanged(text: str) -> None:
    body = json.dumps({"type": "t", "data": {"text": text}}, ensure_ascii=False)
    assert request_to_sqs(body)["MessageBody"] == wire.message_body(body)


def test_the_template_escapes_the_same_characters_as_the_functions() -> None:
    body = '{"type": "t", "data": {"\ufffe": "a\uffffb\U0001ffff"}}'
    message = request_to_sqs(body)["MessageBody"]
    assert message == wire.message_body(body) == '{"type": "t", "data": {"\\ufffe": "a\\uffffb\U0001ffff"}}'
    assert json.loads(message) == json.loads(body)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ('{"n": NaN}', "NaN and Infinity are not JSON numbers"),
        ('{"n": [1, -Infinity]}', "NaN and Infinity are not JSON numbers"),
        ('{"s": "\\ud800"}', "contains a lone surrogate, which is not Unicode text"),
        ('{"\\uDC00\\uD800": 1}', "contains a lone surrogate, which is not Unicode text"),
        ('{"s": "\\\\\\udbff"}', "contains a lone surrogate, which is not Unicode text"),
        ('{"s": "\\ud83d\\ud83d\\ude00\\ude00"}', "contains a lone surrogate, which is not Unicode text"),
        ('{"s": "\\ud83d\\\\\\ude00"}', "contains a lone surrogate, which is not Unicode text"),
        ('{"n": 1' + "0" * 37 + "1}", "a number has more than 38 digits"),
        ('{"n": -0.001' + "0" * 18 + "." + "2" * 20 + "}", "a number has more than 38 digits"),
        ('{"n": ' + "[" * 63 + "]" * 63 + "}", "nested deeper than 64 levels"),
        ('{"n": ' + '{"n":[' * 5000 + "]}" * 5000 + "}", "nested deeper than 64 levels"),
        ('{"a": 1, "a": 1}', "an object has a key twice"),
        ('{"a": [{"b": {"c": 1, "\\u0063": 2}}]}', "an object has a key twice"),
    ],
    ids=range(13),
)
def test_what_the_functions_refuse_in_json_text_is_refused_before_the_queue(data: str, reason: str) -> None:
    # When: the form that SQS gets has an impossible delay, and not the event.
    form = request_to_sqs(f'{{"type": "t", "data": {data}}}')
    assert form["MessageBody"] == "refused"
    refusal = message_limits.refusal(form, wire.MAX_MESSAGE_BYTES, is_fifo=False)

    # Then: the client gets the reason.
    assert refusal is not None
    body, override = response_for(answers.REFUSED, json.dumps({"Error": {"Code": refusal[0], "Message": refusal[1]}}))
    assert override == {"status": 400}
    assert body["errors"] == [{"path": "$", "message": reason}]


_numbers = st.sampled_from(["NaN", "Infinity", "-Infinity", "0", "-1.50", "1e5", "9" * 38, "1" * 39, f"0.{'0' * 60}7"])
_strings = st.lists(
    st.sampled_from(
        [
            r"\ud83d",
            r"\ude00",
            r"\uD83D\uDE00",
            r"\\",
            r"\"",
            r"\u005c",
            r"\u0022",
            ":",
            "{",
            "]",
            "NaN",
            "u",
            "d83d",
            "é",
            "1",
        ]
    ),
    max_size=6,
).map(lambda parts: f'"{"".join(parts)}"')


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    space = st.sampled_from(["", " ", "\n", "\t"])
    members = st.lists(st.builds("{}{}:{}".format, _strings, space, inner), max_size=3)
    return st.one_of(
        st.builds(lambda items, gap: f"[{gap}{f',{gap}'.join(items)}]", st.lists(inner, max_size=3), space),
        members.map(lambda items: f"{{{','.join(items)}}}"),
        st.builds(lambda levels, value: "[" * levels + value + "]" * levels, st.integers(58, 66), inner),
    )


@settings(deadline=None, max_examples=300)
@given(st.recursive(st.one_of(_numbers, _strings, st.just("null")), _containers, max_leaves=8))
def test_both_paths_refuse_the_same_json_text(value: str) -> None:
    body = f'{{"type": "t", "data": {{"value":{value}}}}}'
    try:
        jsontext.loads(body)
        is_accepted = True
    except jsontext.JsonError:
        is_accepted = False
    assert (request_to_sqs(body)["MessageBody"] == body) == is_accepted


def test_what_a_template_does_not_recognise_is_a_dead_event_with_the_reason() -> None:
    body = '{"type": "t", "data": {"n": 1e400}}'
    assert request_to_sqs(body)["MessageBody"] == body
    invalid = reading.read(Registry(), body, Identity("r-1", 1)).invalid
    assert invalid is not None
    assert str(invalid) == "$.data.n: the number is out of range: 1E-130 to 1E+126"


def test_a_byte_order_mark_does_not_make_members_disappear() -> None:
    body = '\ufeff{"type": "t", "data": {"a": null}}'
    assert request_to_sqs(body)["MessageBody"] == body


def test_a_message_has_its_source_and_identity() -> None:
    # Given: a request without an id, with a trace.
    form = request_to_sqs('{"type": "t", "data": {}}', **{"X-Amzn-Trace-Id": TRACE})

    # Then: the message has the request's id and time, and the trace in SQS's form.
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
    assert request_to_sqs("{}", **{name: trace})["MessageSystemAttribute.1.Value.StringValue"] == trace


@pytest.mark.parametrize("trace", ["", "x", "Root=1-2-3", f"{TRACE}&MessageBody=other", f"{TRACE}\r\nx: y", "a" * 5000])
def test_a_trace_that_sqs_would_refuse_is_left_out(trace: str) -> None:
    form = request_to_sqs("{}", **{"X-Amzn-Trace-Id": trace})
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
    # A body that is too large is left out, and SQS refuses the message without a body.
    assert request_to_sqs(body).get("MessageBody") == (wire.message_body(body) if fits else None)


@pytest.mark.parametrize("body", ['{"type": "t", "data": {"name": "Andr\ufffd"}}', "\ufffd\ufffd"])
def test_what_stands_for_bytes_that_are_not_utf8_is_sent_so_that_sqs_refuses_it(body: str) -> None:
    form = request_to_sqs(body)
    assert (form["DelaySeconds"], form["MessageBody"]) == ("-1", "-")
    assert "DelaySeconds" not in request_to_sqs(wire.request_body(body))


def test_accepted_has_the_identity_of_the_event() -> None:
    body, override = response_for(answers.ACCEPTED, '{"SendMessageResponse": {}}')
    assert (body["id"], body["timestamp"], override) == ("r-1", 1795448655247, {})
    assert "accepted" in body["message"]


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ('{"Error": {"Code": "MissingParameter", "Message": "MessageBody"}}', 413),
        ('{"Error": {"Code": "InvalidParameterValue", "Message": "Message must be shorter than 1 bytes."}}', 413),
        ('{"Error": {"Code": "InvalidMessageContents"}}', 400),
        (
            '{"Error": {"Code": "InvalidParameterValue", "Message": "Value -1 for parameter DelaySeconds"}}',
            400,
        ),
        ('{"Error": {"Code": "AccessDenied"}}', 503),
        ('{"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue"}}', 503),
        ('{"Error": {"Code": "KMS.DisabledException"}}', 503),
        ("<Error><Code>InvalidMessageContents</Code></Error>", 400),
        ("", 503),
    ],
)
def test_a_refusal_is_a_client_or_a_server_error(reply: str, status: int) -> None:
    body, override = response_for(answers.REFUSED, reply)
    assert override["status"] == status
    assert body["message"]
    assert ("Retry-After" in override.get("header", {})) == (status == 503)


def test_unavailable_states_that_nothing_was_accepted() -> None:
    body, _ = response_for(answers.UNAVAILABLE, "")
    assert "nothing was accepted" in body["message"]


def test_gateway_responses_quote_the_error_message_once() -> None:
    for answer in (*answers.GATEWAY_ANSWERS, *answers.gateway_answers(signed=True)):
        # API Gateway inserts `messageString` with quotation marks, or as null.
        for message_string in ('"say \\"no\\""', "null"):
            text = answer.template.replace("$context.error.messageString", message_string)
            assert "message" in json.loads(text.replace("$context.requestId", "r-1"))


def test_the_access_log_is_json_for_any_value() -> None:
    assert all(value.startswith("$context.") for value in json.loads(answers.ACCESS_LOG).values())
