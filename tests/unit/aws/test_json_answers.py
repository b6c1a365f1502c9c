"""Answers are read as JSON at once, through the real botocore, and errors all the same as errors."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from rtp import fastpath
from rtp.aws import Aws, logs, queues, records
from rtp.errors import AwsError, NotFoundError


def answering(status: int, body: dict[str, Any] | bytes) -> Aws:
    """AWS whose every call has this answer; nothing leaves the process."""
    from botocore.awsrequest import AWSResponse, HeadersDict

    class Raw(io.BytesIO):
        def stream(self, **_: Any) -> Any:
            yield self.read()

    def send(**_: Any) -> Any:
        headers: Any = HeadersDict({"date": "Fri, 15 Jan 2027 08:00:00 GMT"})
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return AWSResponse("http://127.0.0.1:1", status, headers, Raw(content))

    aws = Aws(region="us-east-1", endpoint_url="http://127.0.0.1:1", local=True)
    for service in ("logs", "dynamodb", "sqs"):
        aws.client(service).meta.events.register("before-send", send)
    return aws


@pytest.mark.parametrize(("slow", "by_rtp"), [("", True), ("1", False)])
def test_both_ways_read_the_same_pages(slow: str, by_rtp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fastpath.SWITCH, slow)
    event = {"timestamp": 5, "message": "m", "logStreamName": "s", "eventId": "e"}
    aws = answering(200, {"events": [event], "unknown": 1, "searchedLogStreams": []})

    pages = list(logs.pages(aws, "g", since=0))

    assert [(line.at, line.message, line.stream, line.event_id) for p in pages for line in p.lines] == [
        (5, "m", "s", "e")
    ]
    assert pages[0].server_ms == 1_800_000_000_000
    # botocore leaves out what its model does not know, rtp what it does not read
    answer = aws.call("logs", "filter_log_events", logGroupName="g")
    assert "unknown" not in answer and ("searchedLogStreams" in answer) != by_rtp


def test_errors_are_those_of_botocore() -> None:
    missing = {"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."}
    with pytest.raises(NotFoundError, match="no log group g"):
        list(logs.pages(answering(400, missing), "g", since=0))

    refused = {"__type": "AccessDeniedException", "message": "not for you"}
    with pytest.raises(AwsError, match="not for you"):
        list(logs.pages(answering(400, refused), "g", since=0))


ITEM = {
    "id": {"S": "e"},
    "timestamp": {"N": "7"},
    "status": {"S": "dead"},
    "data": {"M": {"total": {"N": "1.50"}, "tags": {"L": [{"S": "é\ud83d\ude00"}, {"NULL": True}, {"BOOL": False}]}}},
}
MESSAGE = {
    "MessageId": "m",
    "ReceiptHandle": "r",
    "Body": "{}",
    "Attributes": {"SentTimestamp": "5", "ApproximateReceiveCount": "2", "AWSTraceHeader": "Root=1"},
    "MessageAttributes": {"a": {"DataType": "String", "StringValue": "v"}},
}


@pytest.mark.parametrize("slow", ["", "1"])
@pytest.mark.parametrize("extra", [{}, {"raw": {"B": "AAE="}}], ids=["text", "binary"])
def test_both_ways_read_the_same_records(slow: str, extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fastpath.SWITCH, slow)
    aws = answering(200, {"Items": [ITEM | extra], "Count": 1, "Responses": {"t": [ITEM | extra]}})

    (found,) = records.by_id(aws, "t", "e")

    assert str(found["data"]["total"]) == "1.50"
    assert found["data"]["tags"] == ["é😀", None, False]
    assert records.by_keys(aws, "t", [("e", 7)]) == [found]
    binary = aws.call("dynamodb", "query", TableName="t")["Items"][0].get("raw")
    assert binary == ({"B": b"\x00\x01"} if extra else None)


@pytest.mark.parametrize("slow", ["", "1"])
@pytest.mark.parametrize("value", ["v", b"\x00\x01"], ids=["text", "binary"])
def test_both_ways_receive_the_same_messages(slow: str, value: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fastpath.SWITCH, slow)
    sent = {"StringValue": "v"} if value == "v" else {"BinaryValue": "AAE="}
    own = {"a": {"DataType": "String", **sent}}
    aws = answering(200, {"Messages": [MESSAGE | {"MessageAttributes": own}]})

    (message,) = queues.receive(aws, "http://127.0.0.1:1/q", visibility_s=1)

    assert (message.message_id, message.receipt, message.body) == ("m", "r", "{}")
    assert (message.sent_at, message.receive_count, message.trace_header) == (5, 2, "Root=1")
    (read,) = (v for name, v in message.attributes["a"].items() if name != "DataType")
    assert read == value


def test_what_is_no_json_is_left_to_botocore() -> None:
    half = b'{"Messages": [{"MessageId": "m", "ReceiptHandle": "r", "Body": "\\ud83d", "Attributes": {}}]}'

    (message,) = queues.receive(answering(200, half), "http://127.0.0.1:1/q", visibility_s=1)

    assert message.body == "\ud83d"
