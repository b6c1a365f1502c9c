"""Queues on the engine: unconfirmed messages are delivered again, none is lost, DLQ messages can be moved back."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.engine.conftest import Lab

ANSWERING = """
import json
def handler(event, context):
    failures = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        failures += [{"itemIdentifier": record["messageId"]}] if body.get("fail") else []
        failures += body.get("failures", [])
    return {"batchItemFailures": failures}
"""


@pytest.mark.parametrize(
    "failures",
    [[{"itemIdentifier": ""}], [{"itemIdentifier": None}], [{"itemIdentifier": "unknown"}], [{"misspelt": "x"}], ["x"]],
)
def test_a_malformed_answer_fails_the_whole_batch(lab: Lab, wait_for: Callable[..., Any], failures: list[Any]) -> None:
    # Given
    url, arn, dlq_url, _ = lab.queue_with_dlq(receives=1)
    lab.add_event_source(lab.function(ANSWERING), arn)
    # When
    lab.call("sqs", "send_message", QueueUrl=url, MessageBody=json.dumps({"failures": failures}))
    # Then nothing was deleted: the message is in the DLQ
    assert wait_for(lambda: lab.depth(dlq_url) == (1, 0))


def test_the_same_event_goes_to_the_dead_letter_queue_after_its_attempts(
    lab: Lab, wait_for: Callable[..., Any]
) -> None:
    # Given
    url, arn, dlq_url, _ = lab.queue_with_dlq(receives=2, visibility=3)
    lab.add_event_source(lab.function(ANSWERING), arn)
    # When
    for body in ({"fail": True}, {}, {}):
        lab.call("sqs", "send_message", QueueUrl=url, MessageBody=json.dumps(body))
    # Then
    assert wait_for(lambda: lab.depth(dlq_url) == (1, 0) and lab.depth(url) == (0, 0))
    received = lab.aws.client("sqs").receive_message(QueueUrl=dlq_url, MessageSystemAttributeNames=["All"])
    attributes = received["Messages"][0]["Attributes"]
    assert attributes["ApproximateReceiveCount"] == "3"
    assert attributes["DeadLetterQueueSourceArn"] == arn


def test_no_message_is_lost_between_pollers_and_senders(lab: Lab, wait_for: Callable[..., Any]) -> None:
    # Given
    url, arn, dlq_url, _ = lab.queue_with_dlq(receives=1, visibility=30)
    lab.add_event_source(lab.function(ANSWERING), arn)
    count = 4 * 100

    def send(offset: int) -> None:
        for n in range(offset, offset + 100, 10):
            entries = [
                {"Id": str(i), "MessageBody": json.dumps({"fail": True, "n": n + i}), "DelaySeconds": 0}
                for i in range(10)
            ]
            lab.call("sqs", "send_message_batch", QueueUrl=url, Entries=entries)

    # When
    senders = [threading.Thread(target=send, args=(start,)) for start in range(0, count, 100)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    lab.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    # Then every one is somewhere
    assert wait_for(lambda: sum(lab.depth(url)) + sum(lab.depth(dlq_url)) == count)


def test_deleting_twice_is_no_error_but_nonsense_is(lab: Lab) -> None:
    url, _ = lab.queue()
    lab.call("sqs", "send_message", QueueUrl=url, MessageBody="x")
    handle = lab.call("sqs", "receive_message", QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    for _ in range(2):
        lab.call("sqs", "delete_message", QueueUrl=url, ReceiptHandle=handle)
    with pytest.raises(AwsError, match="receipt handle"):
        lab.call("sqs", "delete_message", QueueUrl=url, ReceiptHandle="nonsense")


def test_a_long_queue_is_emptied_from_its_front(lab: Lab) -> None:
    # Given
    url, _ = lab.queue(VisibilityTimeout="600")
    entries = [{"Id": str(i), "MessageBody": "x"} for i in range(10)]
    for _ in range(300):
        lab.call("sqs", "send_message_batch", QueueUrl=url, Entries=entries)
    # When
    for _ in range(20):
        for message in lab.call("sqs", "receive_message", QueueUrl=url, MaxNumberOfMessages=10)["Messages"]:
            lab.call("sqs", "delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    # Then
    assert lab.depth(url) == (2800, 0)


def test_dlq_messages_are_moved_back_at_a_rate(lab: Lab, wait_for: Callable[..., Any]) -> None:
    # Given
    url, arn, dlq_url, dlq_arn = lab.queue_with_dlq(receives=1, visibility=0)
    for n in range(20):
        lab.call("sqs", "send_message", QueueUrl=url, MessageBody=str(n))
    for _ in range(4):
        lab.call("sqs", "receive_message", QueueUrl=url, MaxNumberOfMessages=10)
    assert lab.depth(dlq_url) == (20, 0)
    client = lab.aws.client("sqs")
    assert client.list_dead_letter_source_queues(QueueUrl=dlq_url)["queueUrls"] == [url]
    # When
    handle = client.start_message_move_task(SourceArn=dlq_arn, MaxNumberOfMessagesPerSecond=10)["TaskHandle"]
    with pytest.raises(AwsError, match="already"):
        lab.call("sqs", "start_message_move_task", SourceArn=dlq_arn)
    time.sleep(0.5)
    stopped = client.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    # Then it moves slowly, and ends when it is cancelled
    assert 1 <= stopped < 20
    assert wait_for(lambda: client.list_message_move_tasks(SourceArn=dlq_arn)["Results"][0]["Status"] == "CANCELLED")
    # When
    client.start_message_move_task(SourceArn=dlq_arn)
    assert wait_for(lambda: client.list_message_move_tasks(SourceArn=dlq_arn)["Results"][0]["Status"] == "COMPLETED")
    # Then
    assert lab.depth(dlq_url) == (0, 0)
    assert lab.depth(url) == (20, 0)
    with pytest.raises(AwsError, match="Dead Letter"):
        lab.call("sqs", "start_message_move_task", SourceArn=arn)
