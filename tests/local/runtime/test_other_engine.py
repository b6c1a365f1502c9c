"""The runtime's calls on an engine that is not rtp's: moto's server. Both must take them and answer in the same way.

A batch has one message here: for several the runtime makes one call with PartiQL statements, and moto's parser knows no
parameters in an INSERT.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import Reject, boot, queue, wire, worker
from rtp.runtime.registry import Processor, Registry
from rtp.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.runtime.boot import Runtime

START_S = 60.0


class Context:
    aws_request_id = "request"
    function_name = "worker"

    def get_remaining_time_in_millis(self) -> int:
        return 20_000


class Pipeline:
    """The runtime with its table, bucket and queues on the other engine, and what Lambda does between them."""

    def __init__(self, runtime: Runtime, client: Callable[[str], Any]) -> None:
        self.runtime = runtime
        self.settings = runtime.settings
        self.sqs, self.dynamodb, self.s3 = client("sqs"), client("dynamodb"), client("s3")
        self.runs: list[str] = []  # ids of the events that a processor has run for

    def deliver(self) -> list[str]:
        """Give a message of the queue to the worker, and delete it if it confirms it; else the message's id."""
        received = self.sqs.receive_message(
            QueueUrl=self.settings.queue_url,
            VisibilityTimeout=30,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        records = [as_lambda_gives_it(message) for message in received]
        answer = worker.process(self.runtime, {"Records": records}, Context())
        retried = [item["itemIdentifier"] for item in answer["batchItemFailures"]]
        for message in received:
            if message["MessageId"] not in retried:
                self.sqs.delete_message(QueueUrl=self.settings.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return retried

    def send(self, event: dict[str, Any], **attributes: str) -> None:
        values = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        self.sqs.send_message(QueueUrl=self.settings.queue_url, MessageBody=json.dumps(event), MessageAttributes=values)

    def record(self, id: str) -> dict[str, Any]:
        (item,) = self.dynamodb.query(
            TableName=self.settings.table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues={":id": {"S": id}},
        )["Items"]
        return dict(item)

    def dead(self) -> list[dict[str, Any]]:
        received = self.sqs.receive_message(
            QueueUrl=self.settings.dlq_url, VisibilityTimeout=0, MessageAttributeNames=["All"]
        )
        return list(received.get("Messages", []))


def as_lambda_gives_it(message: dict[str, Any]) -> dict[str, Any]:
    """A received message as a record of a batch."""
    attributes = {
        name: {"dataType": value["DataType"], "stringValue": value.get("StringValue")}
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes,
    }


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    """The address of a moto server of these tests."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while True:
            assert server.poll() is None, "moto's server has ended"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, f"moto's server does not listen on {port}"
                time.sleep(0.1)
            else:
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def pipeline(endpoint_url: str, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"rtp-{uuid.uuid4().hex[:8]}"

    def client(service: str) -> Any:
        connect: Any = boto3.client  # its types know each service by its literal name alone
        return connect(service, region_name="us-east-1", endpoint_url=endpoint_url)

    client("s3").create_bucket(Bucket=name)
    client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "timestamp", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "timestamp", "AttributeType": "N"},
        ],
    )
    queue_url, dlq_url = (
        client("sqs").create_queue(QueueName=f"{name}{suffix}")["QueueUrl"] for suffix in ("", "-dlq")
    )
    settings = Settings(
        table=name, bucket=name, queue_url=queue_url, dlq_url=dlq_url, max_receive_count=2, backoff_base_s=0
    )
    registry = Registry()
    pipeline = Pipeline(boot.assemble(settings, registry, boot.clients()), client)

    def enrich(event: Any) -> dict[str, Any]:
        pipeline.runs.append(event.id)
        return {"total_cents": round(event.data["total"] * 100)}

    def reject(event: Any) -> dict[str, Any]:
        pipeline.runs.append(event.id)
        raise Reject("no such customer")

    registry.add(Processor("order.created", enrich))
    registry.add(Processor("test.reject", reject))
    return pipeline


def order(id: str) -> dict[str, Any]:
    return {"id": id, "timestamp": 1_750_000_000_000, "type": "order.created", "data": {"total": 12.5}}


def test_an_event_s_whole_life(pipeline: Pipeline) -> None:
    # Process: the record and both archives are written
    for id in ("a", "b"):
        pipeline.send(order(id))
        assert pipeline.deliver() == []
    assert {pipeline.record(id)["status"]["S"] for id in ("a", "b")} == {"processed"}
    objects = pipeline.s3.list_objects_v2(Bucket=pipeline.settings.bucket)["Contents"]
    assert sorted({entry["Key"].partition("/")[0] for entry in objects}) == ["processed", "raw"]
    # Duplicate: the processor does not run again
    pipeline.send(order("a"))
    assert pipeline.deliver() == []
    assert sorted(pipeline.runs) == ["a", "b"]
    # Reject: the message is in the DLQ with the reason
    pipeline.send({**order("c"), "type": "test.reject"})
    assert pipeline.deliver() == []
    assert pipeline.record("c")["status"]["S"] == "dead"
    (dead,) = pipeline.dead()
    assert dead["MessageAttributes"][wire.ERROR_MESSAGE]["StringValue"] == "no such customer"
    # Redrive: the message, with its attributes, runs again
    record = as_lambda_gives_it({**dead, "Attributes": {}})
    attributes = queue.sendable(record["messageAttributes"])
    attributes |= {
        name: {"DataType": "String", "StringValue": value}
        for name, value in {wire.SOURCE: "redrive", wire.REDRIVE: "run"}.items()
    }
    pipeline.sqs.send_message(
        QueueUrl=pipeline.settings.queue_url, MessageBody=dead["Body"], MessageAttributes=attributes
    )
    pipeline.sqs.delete_message(QueueUrl=pipeline.settings.dlq_url, ReceiptHandle=dead["ReceiptHandle"])
    assert pipeline.deliver() == []
    assert pipeline.runs.count("c") == 2
    assert len(pipeline.dead()) == 1
    # Replay: a processed event runs again, once in each run
    for _ in range(2):
        pipeline.send(order("a"), **{wire.SOURCE: "replay", wire.REPLAY: "run-1"})
        assert pipeline.deliver() == []
    assert pipeline.runs.count("a") == 2
    assert pipeline.record("a")["attempt_count"]["N"] == "2"


def test_an_event_that_fails_is_hidden_and_then_dead(pipeline: Pipeline) -> None:
    def fail(event: Any) -> dict[str, Any]:
        raise RuntimeError(event.id)

    pipeline.runtime.registry.add(Processor("test.fail", fail))
    pipeline.send({**order("d"), "type": "test.fail"})
    # The first attempt hides the message without a delay, the second one is the last
    assert len(pipeline.deliver()) == 1
    assert pipeline.record("d")["status"]["S"] == "failed"
    assert len(pipeline.deliver()) == 1
    assert pipeline.record("d")["status"]["S"] == "dead"
    assert pipeline.record("d")["attempt_count"]["N"] == "2"
