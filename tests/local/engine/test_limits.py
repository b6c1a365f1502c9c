"""What AWS refuses, or answers in its own form, beyond the recorded answers of test_answers.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.engine.requests_of_aws import Bench

if TYPE_CHECKING:
    from tests.local.engine.conftest import Lab


@pytest.fixture
def bench(lab: Lab) -> Bench:
    return Bench(lab)


def refused(code: str, words: str, answer: dict[str, Any], status: int = 400) -> None:
    assert (answer.get("code"), answer.get("status")) == (code, status), answer
    assert words in answer["msg"]


def test_queues_at_and_beyond_their_limits(bench: Bench) -> None:
    url = bench.queue("limits")
    refused("InvalidAttributeName", "Unknown Attribute Foo.", bench.sqs("get_queue_attributes", AttributeNames=["Foo"]))
    refused(
        "InvalidAttributeValue",
        "Invalid value for the parameter VisibilityTimeout.",
        bench.sqs("set_queue_attributes", Attributes={"VisibilityTimeout": "43201"}),
    )
    policy = {"deadLetterTargetArn": bench.arn(url) + "-none", "maxReceiveCount": 1}
    answer = bench.sqs("set_queue_attributes", Attributes={"RedrivePolicy": json.dumps(policy)})
    refused("InvalidParameterValue", "Reason: Dead letter target does not exist.", answer)
    answer = bench.sqs("receive_message", VisibilityTimeout=43_201)
    refused("InvalidParameterValue", "for parameter VisibilityTimeout is invalid", answer)
    answer = bench.answer("sqs", "create_queue", QueueName="a b")
    refused("InvalidParameterValue", "alphanumeric characters, hyphens, or underscores. 1 to 80 in length", answer)
    assert bench.sqs("receive_message", WaitTimeSeconds=0, VisibilityTimeout=43_200) == {"ok": 200}
    # Then without names no attribute is returned
    assert "Attributes" not in bench.client("sqs").get_queue_attributes(QueueUrl=url)


def test_a_receipt_handle_that_is_old_or_none(bench: Bench) -> None:
    url = bench.queue("handles")
    bench.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    handle = bench.client("sqs").receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]

    def hide(handle: str, seconds: int) -> dict[str, Any]:
        return bench.sqs("change_message_visibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    assert hide(handle, 60) == {"ok": 200}
    refused("InvalidParameterValue", "beyond the limit [43200 seconds]", hide(handle, 43_200))
    refused("ReceiptHandleIsInvalid", '"garbage" is not a valid receipt handle.', hide("garbage", 1), 404)
    bench.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=handle)
    refused("InvalidParameterValue", "Message does not exist or is not available", hide(handle, 1))


def test_the_name_of_a_deleted_queue_is_free_a_minute_later(bench: Bench) -> None:
    url, _ = bench.lab.queue("deleted")
    assert bench.sqs("delete_queue", QueueUrl=url) == {"ok": 200}
    answer = bench.answer("sqs", "create_queue", QueueName=url.rpartition("/")[2])
    refused("AWS.SimpleQueueService.QueueDeletedRecently", "You must wait 60 seconds", answer)


def test_a_payload_that_lambda_does_not_take(bench: Bench) -> None:
    function = bench.function("echo", "def handler(event, context):\n    return event\n")

    def invoke(payload: bytes, **more: str) -> dict[str, Any]:
        return bench.answer("lambda", "invoke", FunctionName=function, Payload=payload, **more)

    refused("InvalidRequestContentException", "Could not parse request body into json", invoke(b"{bad"))
    large = b'"%s"' % (b"x" * 1_048_576)
    refused("RequestEntityTooLargeException", "the Event invocation type", invoke(large, InvocationType="Event"), 413)
    refused("RequestEntityTooLargeException", "too large", invoke(b'"%s"' % (b"x" * 6_291_456)), 413)
    assert invoke(large) == {"ok": 200}


FAILURES = {
    "raise ValueError('x')": ("ValueError", "x"),
    "import sys; sys.exit(3)": ("Runtime.ExitError", "Error: Runtime exited with error: exit status 3"),
    "return {1, 2}": (
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type set is not JSON serializable",
    ),
    "return 'x' * 6_291_600": ("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed"),
}


def test_how_an_invocation_fails(bench: Bench) -> None:
    code = "def handler(event, context):\n" + "".join(
        f"    if event == {number}:\n        {statement}\n" for number, statement in enumerate(FAILURES)
    )
    function = bench.function("failing", code)
    for number, (kind, words) in enumerate(FAILURES.values()):
        answered = bench.client("lambda").invoke(FunctionName=function, Payload=str(number))
        payload = json.loads(answered["Payload"].read())
        assert answered["FunctionError"] == "Unhandled"
        assert payload["errorType"] == kind
        assert words in payload["errorMessage"]
    missing = bench.function("missing", "import no_such_module\n", Handler="h.handler")
    payload = json.loads(bench.client("lambda").invoke(FunctionName=missing)["Payload"].read())
    assert payload["errorMessage"] == "Unable to import module 'h': No module named 'no_such_module'"
    assert payload["errorType"] == "Runtime.ImportModuleError"


def test_a_mapping_of_a_function_that_runs_longer_than_the_queue_hides_a_message(bench: Bench) -> None:
    function = bench.function("long", "def handler(event, context): ...\n", Timeout=60)
    arn = bench.arn(bench.queue("short", VisibilityTimeout="30"))
    answer = bench.answer("lambda", "create_event_source_mapping", FunctionName=function, EventSourceArn=arn)
    words = "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"
    refused("InvalidParameterValueException", words, answer)
    answer = bench.answer("lambda", "create_event_source_mapping", FunctionName=function, EventSourceArn=arn + "x")
    refused("InvalidParameterValueException", "AWS.SimpleQueueService.NonExistentQueue", answer)
