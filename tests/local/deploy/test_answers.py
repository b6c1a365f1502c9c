"""What a client without rtp gets from the deployed API: the answers of the design, as JSON, and what is kept of it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from rtp.aws import api
from rtp.contract import Output
from rtp.runtime import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.conftest import Project

EVENT: dict[str, Any] = {"type": "answers.test", "data": {"text": "é & = + % 100 \u2028"}}


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@pytest.fixture(scope="module")
def post(deployed: Project) -> Callable[..., Answer]:
    """POST to a path of the API, with the stack's key unless a header says otherwise."""
    base = api.url(deployed.outputs, deployed.aws)
    found = deployed.aws.call(
        "apigateway", "get_api_key", apiKey=deployed.outputs[Output.API_KEY_ID], includeValue=True
    )

    def call(path: str, body: Any, **headers: str | None) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        given = {"Content-Type": "application/json", "x-api-key": found["value"]}
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in (given | changed).items() if value is not None}
        request = urllib.request.Request(base + path, content, given, method="POST")  # noqa: S310 (loopback)
        request.add_unredirected_header("Content-type", given.get("Content-Type", ""))  # urllib's own is a form's
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return Answer(answer.status, json.loads(answer.read()), dict(answer.headers))
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, json.loads(refused.read()), dict(refused.headers))

    return call


def test_an_accepted_event_is_stored_as_it_came(post: Callable[..., Answer], deployed: Project) -> None:
    # When: a client that brings no id sends to the queue.
    answer = post("events", EVENT)

    # Then: the answer says what the event is known by, and it is stored under that, text and all.
    assert answer.status == 202
    assert answer.body.keys() == {"message", "id", "timestamp"}
    record = _record(deployed, answer.body["id"], answer.body["timestamp"])
    assert record["data"]["M"]["text"]["S"] == EVENT["data"]["text"]
    assert record["source"]["S"] == "api"


@pytest.mark.parametrize("path", ["events", "process"])
@pytest.mark.parametrize(
    "body",
    [
        {"type": "t"},
        {"data": {}},
        {"type": "", "data": {}},
        {"type": "t", "data": []},
        {"type": "t", "data": {}, "id": "order-1"},
        {"type": "t", "data": {}, "more": 1},
        {"type": "t", "data": {}, "timestamp": "now"},
        {"type": "t", "data": {}, "timestamp": 1_764_100_000},
        [],
        None,
        b"{not json",
        b"",
        b'{"type": "t", "data": {"name": "Andr\xe9"}}',  # Latin-1
    ],
    ids=str,
)
def test_an_invalid_event_is_refused_by_the_gateway(post: Callable[..., Answer], path: str, body: Any) -> None:
    answer = post(path, body)
    assert answer.status == 400
    assert answer.body["message"]
    assert all(error.keys() == {"path", "message"} for error in answer.body["errors"])


@pytest.mark.parametrize("extra", [0, 1])
def test_the_limit_of_a_body_is_the_documented_one(post: Callable[..., Answer], extra: int) -> None:
    # Given: a body of exactly the limit, or one byte more, part of it in characters of two bytes.
    frame = len(json.dumps({"type": "t", "data": {"x": ""}}).encode())
    room = wire.MAX_BODY_BYTES - frame + extra
    text = "é" * 1000 + "x" * (room - 2000)

    answer = post("events", {"type": "t", "data": {"x": text}})

    assert answer.status == (413 if extra else 202)
    assert answer.body["message"]


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"x_api_key": "wrong"}, "events", 403),
        ({"x_api_key": ""}, "process", 403),
        ({"Content_Type": "text/plain"}, "events", 415),
        ({"Content_Type": "application/xml"}, "events", 415),
        ({}, "elsewhere", 404),
    ],
)
def test_refusals_are_json_with_a_message(
    post: Callable[..., Answer], headers: dict[str, str], path: str, status: int
) -> None:
    answer = post(path, EVENT, **headers)
    assert answer.status == status
    assert answer.body["message"]
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "application/json; charset=utf-8"},
        {"Content_Type": "application/json; charset=iso-8859-1"},
        {"Content_Type": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_both_ways_in_take_the_same_bodies(post: Callable[..., Answer], headers: dict[str, Any], mark: bytes) -> None:
    body = mark + json.dumps(EVENT).encode()
    assert [post(path, body, **headers).status for path in ("process", "events")] == [200, 202]


@pytest.mark.parametrize(
    "data",
    ['{"a": 1, "a": 2}', '{"s": "\\ud800"}', '{"n": NaN}', f'{{"n": {"9" * 39}}}', f'{{"n": {"[" * 64}{"]" * 64}}}'],
    ids=["key", "surrogate", "nan", "digits", "levels"],
)
def test_both_ways_in_refuse_the_same_json_text(post: Callable[..., Answer], data: str) -> None:
    body = f'{{"type": "t", "data": {data}}}'.encode()
    answers = [post(path, body) for path in ("process", "events")]
    assert [answer.status for answer in answers] == [400, 400]
    assert all(answer.body["errors"][0]["message"] for answer in answers)


def test_an_event_with_a_malformed_trace_header_is_accepted(post: Callable[..., Answer]) -> None:
    assert post("events", EVENT, X_Amzn_Trace_Id="Root=nonsense&MessageBody=other").status == 202


def _record(deployed: Project, id: str, timestamp: int) -> dict[str, Any]:
    """The stored item, once it is processed."""
    key = {"id": {"S": id}, "timestamp": {"N": str(timestamp)}}
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        found = deployed.aws.call("dynamodb", "get_item", TableName=deployed.outputs[Output.TABLE], Key=key).get("Item")
        if found and found["status"]["S"] == "processed":
            return dict(found)
        time.sleep(0.1)
    raise AssertionError(f"{id} is not processed")
