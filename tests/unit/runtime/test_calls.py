"""AWS calls are recorded in the traces of the events they are made for."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from rtp.runtime.calls import LazyClient, TracedClient, on_behalf_of
from tests.unit.runtime import fakes


class Trace:
    """Records the calls that a client adds."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, type[BaseException] | None, dict[str, str]]] = []

    def call(self, service: str, operation: str, start: float, end: float, error: Any = None, **aws: str) -> None:
        assert start <= end
        self.calls.append((service, operation, type(error) if error else None, aws))


class Subject(NamedTuple):
    trace: Any


def subject() -> Subject:
    return Subject(Trace())


def test_a_call_is_in_the_trace_of_every_event_it_is_made_for() -> None:
    one, two, other = subject(), subject(), subject()
    bucket = TracedClient(fakes.Bucket(), "S3", bucket_name="bucket")

    bucket.put_object(Key="before", Body=b"")
    with on_behalf_of([one, two]):
        bucket.put_object(Key="k", Body=b"")
        with on_behalf_of([other]):
            bucket.get_object(Key="k")
    bucket.put_object(Key="after", Body=b"")

    put = ("S3", "PutObject", None, {"bucket_name": "bucket"})
    assert one.trace.calls == two.trace.calls == [put]
    assert other.trace.calls == [("S3", "GetObject", None, {"bucket_name": "bucket"})]


def test_a_failed_call_is_a_fault_in_the_trace_and_is_raised() -> None:
    one, sqs = subject(), fakes.Sqs()
    sqs.fault = _fail

    with on_behalf_of([one]), pytest.raises(fakes.ServiceError):
        TracedClient(sqs, "SQS").send_message(QueueUrl="dlq", MessageBody="{}")

    assert one.trace.calls == [("SQS", "SendMessage", fakes.ServiceError, {"queue_url": "dlq"})]


def test_a_refused_condition_is_not_a_fault() -> None:
    one, dynamodb = subject(), TracedClient(fakes.Dynamo(), "DynamoDB", table_name="table")
    item = {"Item": fakes_item(), "ConditionExpression": "attribute_not_exists(id)"}

    with on_behalf_of([one]):
        dynamodb.put_item(**item)
        with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
            dynamodb.put_item(**item)

    assert [error for _, _, error, _ in one.trace.calls] == [None, None]


def test_a_lazy_client_is_created_by_its_first_call() -> None:
    created: list[fakes.Sqs] = []

    def create() -> fakes.Sqs:
        created.append(fakes.Sqs())
        return created[0]

    client = TracedClient(LazyClient(create), "SQS")
    assert created == []
    client.send_message(QueueUrl="queue")
    assert created[0].of("send_message") == [{"QueueUrl": "queue"}]


def fakes_item() -> dict[str, Any]:
    return {"id": {"S": "e1"}, "timestamp": {"N": "1"}}


def _fail(_: str, __: dict[str, Any]) -> None:
    raise fakes.error("ServiceUnavailable")
