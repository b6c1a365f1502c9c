"""What answers in place of AWS, in whatever form, is an error that says so: no traceback, and no empty table."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import Aws, functions, logs, objects, queues, records, secrets, stacks, updates
from rtp.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "http://127.0.0.1:1/q"
READERS: dict[str, Callable[[Aws], Any]] = {
    "logs": lambda aws: list(logs.pages(aws, "g", since=0)),
    "messages": lambda aws: queues.receive(aws, URL, visibility_s=1),
    "depth": lambda aws: queues.depth(aws, URL),
    "records": lambda aws: records.by_id(aws, "t", "e"),
    "records by key": lambda aws: records.by_keys(aws, "t", [("e", 7)]),
    "objects": lambda aws: list(objects.keys(aws, "b", "")),
    "stack": lambda aws: stacks.describe(aws, "s"),
    "function": lambda aws: functions.function(aws, "f"),
    "limits": updates.concurrency,
    "event source": lambda aws: updates.event_source_state(aws, "0" * 36),
    "secrets": lambda aws: secrets.parameters(aws, ["a"]),
    "account": lambda aws: aws.account,
}


class Elsewhere:
    """What answers every call of `aws`; nothing leaves the process."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.aws = Aws(region="us-east-1", endpoint_url="http://127.0.0.1:1", local=True)
        self.aws._shared_session()  # as a sign-in does, before the first client
        for service in ("cloudformation", "dynamodb", "lambda", "logs", "s3", "sqs", "ssm", "sts"):
            self.aws.client(service).meta.events.register("before-send", self._send)

    def _send(self, **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse, HeadersDict

        class Raw(io.BytesIO):
            def stream(self, **_: Any) -> Any:
                yield self.read()

        headers: Any = HeadersDict({})
        return AWSResponse("http://127.0.0.1:1", self.status, headers, Raw(self.body))

    def read(self, name: str) -> Any:
        self.aws._account = None if name == "account" else "111122223333"
        return READERS[name](self.aws)


@pytest.fixture(scope="module")
def elsewhere() -> Elsewhere:
    return Elsewhere()


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"\xff", b"<html>Sign in</html>"], ids=repr)
def test_what_is_no_document_of_aws(elsewhere: Elsewhere, status: int, body: bytes) -> None:
    elsewhere.status, elsewhere.body = status, body
    for name in READERS.keys() - {"objects"}:  # botocore repeats what is no XML of S3, as a fault of S3's own
        with pytest.raises(AwsError) as caught:
            elsewhere.read(name)
        assert status != 200 or "does not speak AWS's protocol" in caught.value.message, name


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("logs", b'{"events": 3}'),
        ("logs", b'{"events": [{"timestamp": "soon", "message": "m"}]}'),
        ("logs", b'{"events": [{"message": "m"}]}'),
        ("messages", b'{"Messages": "abc"}'),
        ("messages", b'{"Messages": [{"MessageId": 5, "ReceiptHandle": "r", "Body": "b"}]}'),
        ("messages", b'{"Messages": [{}]}'),
        ("depth", b"{}"),
        ("depth", b'{"Attributes": [1]}'),
        ("depth", b'{"Attributes": {"ApproximateNumberOfMessages": "many"}}'),
        ("logs", b'{"events": [{"timestamp": 99999999999999999, "message": "m"}]}'),
        ("secrets", b'{"Parameters": [{}]}'),
        ("records", b'{"Items": [{"id": "e"}]}'),
        ("records by key", b"{}"),
        ("records by key", b'{"Responses": []}'),
        ("limits", b"{}"),
        ("limits", b'{"AccountLimit": {}}'),
        ("event source", b"{}"),
        ("stack", b"<a/>"),
        ("stack", b"<DescribeStacksResponse/>"),
        ("account", b"<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"),
    ],
)
def test_what_lacks_a_member_or_has_one_of_another_type(elsewhere: Elsewhere, name: str, body: bytes) -> None:
    elsewhere.status, elsewhere.body = 200, body
    with pytest.raises(AwsError, match="does not speak AWS's protocol"):
        elsewhere.read(name)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("records", b'{"Items": [{"id": {"S": "e"}, "timestamp": {"N": "1"}}'),
        ("messages", b'{"Messages": []'),
        ("function", b'{"FunctionName": "f"'),
        ("objects", b'<?xml version="1.0"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml"/>'),
    ],
)
def test_what_is_cut_off_or_a_page_is_no_empty_answer(elsewhere: Elsewhere, name: str, body: bytes) -> None:
    elsewhere.status, elsewhere.body = 200, body
    with pytest.raises(AwsError, match="does not speak AWS's protocol"):
        elsewhere.read(name)


def test_an_engine_may_give_an_event_no_id(elsewhere: Elsewhere) -> None:
    event = b'{"timestamp": 5, "message": "m", "logStreamName": "s", "ingestionTime": null, "eventId": null}'
    elsewhere.status, elsewhere.body = 200, b'{"events": [%b], "nextToken": null}' % event
    ((line,),) = [page.lines for page in elsewhere.read("logs")]
    assert (line.at, line.message, line.event_id) == (5, "m", "s:5:1:m")


def test_an_answer_is_a_dict_like_any_other(elsewhere: Elsewhere) -> None:
    elsewhere.status, elsewhere.body = 200, b'{"Messages": []}'
    answer = elsewhere.aws.call("sqs", "receive_message", QueueUrl=URL)
    assert answer.get("absent") is None and "absent" not in answer and answer["Messages"] == []
