"""The API function: the response for each case, and asynchronous invocations."""

from __future__ import annotations

import base64
import gzip
import json
from decimal import Decimal
from typing import Any

import pytest

from rtp.runtime import Event, Reject, api
from rtp.runtime.wire import MAX_BODY_BYTES
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import NOW, Context, World, message, world


def request(body: Any, *, content_type: str | None = "application/json", **more: Any) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "path": "/process",
        "headers": {} if content_type is None else {"content-type": content_type},
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": {"requestId": "request-1", "requestTimeEpoch": int(NOW * 1000)},
        **more,
    }


def post(here: World, body: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    answer = api.answer(here.runtime, request(body, **more), Context(), sleep=lambda s: _advance(here, s))
    assert answer["headers"]["Content-Type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"], parse_float=Decimal)


def _advance(here: World, seconds: float) -> None:
    here.time[0] += seconds


def fail(_: Event) -> None:
    raise RuntimeError("boom")


def test_200_with_the_result_and_the_identity_of_the_request() -> None:
    here = world()
    here.processor("t", lambda event: {"half": event.data["n"] / 2})

    status, body = post(here, '{"type":"t","data":{"n":0.3}}')

    assert status == 200
    assert (body["id"], body["timestamp"], body["result"]) == ("request-1", int(NOW * 1000), {"half": Decimal("0.15")})
    record = here.dynamo.record("request-1")
    assert (record["source"], record["request_id"]) == ("api", "request-1")


def test_a_repeated_request_gets_the_stored_response_without_a_second_run() -> None:
    here = world()
    runs: list[int] = []

    def run(_: Event) -> dict[str, int]:
        runs.append(1)
        return {"run": len(runs)}

    here.processor("t", run)

    first, second = post(here, fakes.event()), post(here, fakes.event())

    assert first == second
    assert runs == [1]


def test_a_repeated_request_gets_a_result_too_large_for_the_record() -> None:
    here = world()
    here.processor("t", lambda _: {"text": "x" * 200_000})

    first, second = post(here, fakes.event()), post(here, fakes.event())
    here.s3.fault = _always("get_object")
    third = post(here, fakes.event())

    assert first == second
    assert third[0] == 503


def test_a_repeated_request_waits_while_the_event_is_being_processed() -> None:
    here = world()
    inner: list[tuple[int, dict[str, Any]]] = []

    def slow(_: Event) -> dict[str, int]:
        def later(seconds: float) -> None:
            here.time[0] += seconds
            (item,) = here.dynamo.items.values()
            item["status"], item["result"] = {"S": "processed"}, {"M": {"run": {"N": "1"}}}

        answer = api.answer(here.runtime, request(fakes.event()), Context(), sleep=later)
        inner.append((answer["statusCode"], json.loads(answer["body"])))
        return {"run": 1}

    here.processor("t", slow)
    post(here, fakes.event())

    assert inner[0][0] == 200
    assert inner[0][1]["result"] == {"run": 1}


def test_a_repeated_request_is_queued_if_processing_does_not_end_in_time() -> None:
    here = world()
    inner: list[tuple[int, dict[str, Any]]] = []
    here.processor("t", lambda _: inner.append(post(here, fakes.event())))

    post(here, fakes.event())

    assert inner[0][0] == 202
    assert here.queued()[0]["DelaySeconds"] > 20  # until the lease ends


@pytest.mark.parametrize("ends", ["lease", "record"])
def test_a_repeated_request_waits_no_longer_for_a_delivery_that_was_killed(ends: str) -> None:
    here = world()
    pauses: list[float] = []
    answers: list[int] = []

    def slow(_: Event) -> None:
        def later(seconds: float) -> None:
            pauses.append(seconds)
            here.time[0] += seconds
            if ends == "record":
                here.dynamo.items.clear()
            else:  # it was killed, and its lease has run out since
                (item,) = here.dynamo.items.values()
                item["lease_until"] = {"N": str(int(here.time[0] * 1000) - 1)}

        answer = api.answer(here.runtime, request(fakes.event()), Context(), sleep=later)
        answers.append(answer["statusCode"])

    here.processor("t", slow)
    post(here, fakes.event())

    assert answers == [202]
    assert len(pauses) == 1


def test_202_when_a_failure_can_be_queued() -> None:
    here = world()
    here.processor("t", fail)

    status, body = post(here, '{"type":"t","data":{}}')

    assert (status, body) == (202, {"message": "queued", "id": "request-1", "timestamp": int(NOW * 1000)})
    (sent,) = here.queued()
    attributes = {name: value["StringValue"] for name, value in sent["MessageAttributes"].items()}
    assert attributes == {
        "rtp_source": "api",
        "rtp_request_id": "request-1",
        "rtp_request_time": str(int(NOW * 1000)),
    }
    assert sent["MessageBody"] == '{"type":"t","data":{}}'
    assert here.dynamo.record("request-1")["status"] == "failed"


@pytest.mark.parametrize("call", ["put_object", "update_item", "put_item"])
def test_202_when_aws_fails_except_the_queue(call: str) -> None:
    here = world()
    if call == "update_item":
        here.processor("t", lambda _: None)
    here.dynamo.fault = here.s3.fault = _always(call)

    status, _ = post(here, fakes.event())

    assert status == 202
    assert len(here.queued()) == 1


def test_a_request_whose_record_cannot_be_written_is_queued_until_its_lease_ends() -> None:
    # Given an outage of the table that begins after the claim
    here = world()
    here.processor("t", lambda _: {"ok": True})
    writes: list[str] = []

    def fault(name: str, _: dict[str, Any]) -> None:
        writes.append(name)
        if len(writes) > 1:
            raise fakes.error("InternalServerError")

    here.dynamo.fault = fault
    # When the event is processed / Then it is queued until the worker can claim it
    assert post(here, fakes.event())[0] == 202
    assert here.queued()[0]["DelaySeconds"] == 31


def test_503_when_an_event_can_neither_be_processed_nor_queued() -> None:
    here = world()
    here.processor("t", fail)
    here.sqs.fault = _always("send_message")

    answer = api.answer(here.runtime, request(fakes.event()), Context())

    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"]
    assert list(json.loads(answer["body"])) == ["message"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (None, "$"),
        ("", "$"),
        ("[]", "$"),
        ("{", "$"),
        ('{"type":"t","data":{"n":NaN}}', "$.data.n"),
        ('{"type":"t","data":{},"x":1}', "$.x"),
        ('{"type":"t","data":{"a":1,"a":2}}', "$.data"),
        ('{"type":"t","data":{},"id":"mine"}', "$.timestamp"),
        ("\ud800", "$"),
        ("[" * 5000, "$"),
    ],
)
def test_400_with_the_paths(body: str | None, path: str) -> None:
    here = world()

    status, answer = post(here, body)

    assert status == 400
    assert answer["errors"][0]["path"] == path
    assert here.dynamo.calls == here.s3.calls == here.sqs.calls == []


def test_400_for_data_that_does_not_match_the_model() -> None:
    here = world()
    here.processor("t", lambda _: None, {"type": "object", "properties": {"n": {"type": "integer"}}})

    status, answer = post(here, fakes.event(n="x"))

    assert (status, answer["errors"]) == (400, [{"path": "$.data.n", "message": "must be integer"}])
    assert here.dynamo.calls == []


def test_400_for_bytes_that_are_not_utf8() -> None:
    status, answer = post(world(), base64.b64encode(b"\xff\xfe{").decode(), isBase64Encoded=True)

    assert status == 400
    assert "UTF-8" in answer["errors"][0]["message"]


def test_a_base64_body_is_decoded() -> None:
    body = base64.b64encode(json.dumps(fakes.event()).encode()).decode()

    assert post(world(), body, isBase64Encoded=True)[0] == 200


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
def test_413_above_the_limit(extra: int, status: int) -> None:
    frame = '{"type":"t","data":{"x":""}}'
    body = frame.replace('""', '"' + "é" * ((MAX_BODY_BYTES - len(frame)) // 2) + "x" * extra + '"')
    assert len(body.encode()) == MAX_BODY_BYTES + extra

    assert post(world(), body)[0] == status


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON;charset="UTF-8"', 200),
        ("application/json; charset=utf-16", 200),  # API Gateway reads no charset, and the body is UTF-8
        ("application/json; charset=iso-8859-1", 200),
        ("", 200),  # API Gateway takes a body without a type for JSON
        (None, 200),
        ("text/plain", 415),
        ("application/xml", 415),
        ("application/vnd.api+json", 415),
    ],
)
def test_415_for_a_content_type_that_is_not_json(content_type: str | None, status: int) -> None:
    assert post(world(), fakes.event(), content_type=content_type)[0] == status


def test_415_for_a_compressed_body() -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    packed = base64.b64encode(gzip.compress(json.dumps(fakes.event()).encode())).decode()

    status, answer = post(world(), packed, headers=headers, isBase64Encoded=True)

    assert (status, answer["message"]) == (415, "the body must not be compressed")


def test_a_byte_order_mark_before_the_event_is_no_part_of_it() -> None:
    here = world()
    body = "\ufeff" + json.dumps(fakes.event())

    assert post(here, body)[0] == 200
    here.deliver(message("\ufeff" + json.dumps(fakes.event(id="e2")), "m2"))

    assert [here.dynamo.record(id)["status"] for id in ("e1", "e2")] == ["processed", "processed"]


def test_a_timestamp_in_seconds_is_refused_with_the_milliseconds_that_it_means() -> None:
    status, answer = post(world(), {**fakes.event(), "timestamp": 1_764_100_000})

    assert status == 400
    assert "1764100000 looks like seconds, which would be 1764100000000" in answer["errors"][0]["message"]


def test_422_when_a_processor_rejects() -> None:
    here = world()

    def refuse(_: Event) -> None:
        raise Reject("negative total")

    here.processor("t", refuse)

    status, body = post(here, fakes.event())

    assert (status, body) == (
        422,
        {"message": "rejected", "id": "e1", "error": {"type": "Reject", "message": "negative total"}},
    )
    assert here.dynamo.record("e1")["status"] == "dead"
    assert len(here.dead_lettered()) == 1


def test_an_asynchronous_invocation_stores_its_event() -> None:
    here = world()

    answer = api.invoke(here.runtime, fakes.event(price=0.1), Context())

    assert answer["message"] == "processed"
    assert here.dynamo.record("e1")["data"] == {"price": Decimal("0.1")}


def test_lambda_retries_an_asynchronous_failure_and_the_record_is_dead_after_the_third_attempt() -> None:
    here = world()
    here.processor("t", fail)

    statuses = []
    for _ in range(3):
        with pytest.raises(api.AsynchronousFailureError, match="boom"):
            api.invoke(here.runtime, fakes.event(), Context())
        statuses.append(here.dynamo.record("e1")["status"])

    assert statuses == ["failed", "failed", "dead"]


@pytest.mark.parametrize("payload", [None, [], "text", {"type": "t"}, {"type": "t", "data": {"n": float("nan")}}])
def test_an_asynchronous_invocation_without_an_event_moves_to_the_dlq(payload: Any) -> None:
    here = world()

    answer = api.invoke(here.runtime, payload, Context())

    assert answer["message"] == "rejected"
    assert len(here.dead_lettered()) == 1


def _always(failing_call: str) -> fakes.Fault:
    def fault(name: str, _: dict[str, Any]) -> None:
        if name == failing_call:
            raise fakes.error("InternalServerError")

    return fault
