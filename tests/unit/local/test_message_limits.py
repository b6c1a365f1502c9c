"""What SQS refuses of messages, names and redrive policies, and what it takes at the limit."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.local import message_limits

MAX = 1_048_576


def attribute(value: Any = "v", kind: str = "String") -> dict[str, Any]:
    return {"DataType": kind, "BinaryValue" if kind.startswith("Binary") else "StringValue": value}


@pytest.mark.parametrize(
    "message",
    [
        {"MessageBody": "x" * MAX},
        {"MessageBody": "x" * (MAX - 8), "MessageAttributes": {"a": attribute()}},
        {"MessageBody": "x", "DelaySeconds": 900},
        {"MessageBody": "x", "MessageGroupId": "!" * 128},
        {"MessageBody": "\t\n\r \ud7ff\ue000\ufffd\U0010ffff"},
        {"MessageBody": "x", "MessageAttributes": {f"a.{n}": attribute() for n in range(10)}},
        {"MessageBody": "x", "MessageAttributes": {"n": attribute("-1.5e3", "Number.float")}},
        {"MessageBody": "x", "MessageAttributes": {"b": attribute("eA==", "Binary.png")}},
        {"MessageBody": ""},
    ],
)
def test_a_message_at_the_limit_is_taken(message: dict[str, Any]) -> None:
    assert message_limits.refusal(message, MAX, is_fifo=False) is None


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ({"MessageBody": "x" * (MAX + 1)}, "InvalidParameterValue", "Message must be shorter than 1048576 bytes."),
        (
            {"MessageBody": "x" * (MAX - 7), "MessageAttributes": {"a": attribute()}},
            "InvalidParameterValue",
            "shorter than 1048576 bytes",
        ),
        ({"MessageBody": "\u00e9" * (MAX // 2 + 1)}, "InvalidParameterValue", "shorter than"),
        (
            {"MessageBody": "a\uffff"},
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are",
        ),
        ({"MessageBody": "a\x00"}, "InvalidMessageContents", "Invalid characters"),
        ({"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue", "DelaySeconds must be >= 0 and <= 900."),
        ({"MessageBody": "x", "DelaySeconds": -1}, "InvalidParameterValue", "Value -1 for parameter DelaySeconds"),
        ({"MessageBody": "x", "MessageGroupId": ""}, "InvalidParameterValue", "1 to 128 in length."),
        ({"MessageBody": "x", "MessageGroupId": "g" * 129}, "InvalidParameterValue", "1 to 128 in length."),
        ({"MessageBody": "x", "MessageDeduplicationId": "d"}, "InvalidParameterValue", "not valid for this queue type"),
        (
            {"MessageBody": "x", "MessageAttributes": {str(n): attribute() for n in range(11)}},
            "InvalidParameterValue",
            "Number of message attributes [11] exceeds the allowed maximum [10].",
        ),
        (
            {"MessageBody": "x", "MessageAttributes": {"piyo": attribute("")}},
            "InvalidParameterValue",
            "Message (user) attribute 'piyo' must contain a non-empty value of type 'String'.",
        ),
        (
            {"MessageBody": "x", "MessageAttributes": {"a": attribute("v", "Stringy")}},
            "InvalidParameterValue",
            "the set of supported type prefixes is Binary, Number, and String.",
        ),
        (
            {"MessageBody": "x", "MessageAttributes": {"a": attribute("v", "")}},
            "InvalidParameterValue",
            "The message attribute 'a' must contain non-empty message attribute type.",
        ),
        (
            {"MessageBody": "x", "MessageAttributes": {"a": attribute("x", "Number")}},
            "InvalidParameterValue",
            "a number",
        ),
        ({"MessageBody": "x", "MessageAttributes": {"AWS.a": attribute()}}, "InvalidParameterValue", "'AWS.a'"),
        ({"MessageBody": "x", "MessageAttributes": {"a..b": attribute()}}, "InvalidParameterValue", "'a..b'"),
    ],
)
def test_a_message_beyond_a_limit_is_refused(message: dict[str, Any], code: str, words: str) -> None:
    refused = message_limits.refusal(message, MAX, is_fifo=False)
    assert refused is not None
    assert refused[0] == code
    assert words in refused[1]


@pytest.mark.parametrize(
    ("name", "is_fifo", "refused"),
    [
        ("a" * 80, False, False),
        ("a" * 81, False, True),
        ("a b", False, True),
        ("a.fifo", False, True),
        ("a" * 75 + ".fifo", True, False),
        ("a" * 76 + ".fifo", True, True),
        ("a", True, True),
    ],
)
def test_the_name_of_a_queue(name: str, is_fifo: bool, refused: bool) -> None:
    assert (message_limits.name_refusal(name, is_fifo=is_fifo) is not None) == refused


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("{", "not a valid JSON map"),
        ("[]", "not a valid JSON map"),
        ('{"deadLetterTargetArn": "d", "maxReceiveCount": 1}', "Invalid value for deadLetterTargetArn."),
        ('{"maxReceiveCount": 1}', "mandatory attribute: deadLetterTargetArn."),
        ('{"deadLetterTargetArn": "a"}', "mandatory attribute: maxReceiveCount."),
        (
            '{"deadLetterTargetArn": "arn:aws:sqs:r:000000000000:d", "maxReceiveCount": 0}',
            "maxReceiveCount: 0, valid values are from 1 to 1000",
        ),
        (
            '{"deadLetterTargetArn": "arn:aws:sqs:r:000000000000:d", "maxReceiveCount": "1001"}',
            "maxReceiveCount: 1001",
        ),
        ('{"deadLetterTargetArn": "arn:aws:sqs:r:000000000000:d", "maxReceiveCount": "1000"}', None),
        ('{"deadLetterTargetArn": "arn:aws:sqs:r:000000000000:d", "maxReceiveCount": 1}', None),
    ],
)
def test_a_redrive_policy(policy: str, words: str | None) -> None:
    refused = message_limits.redrive_refusal(policy)
    assert refused is None if words is None else words in str(refused)
