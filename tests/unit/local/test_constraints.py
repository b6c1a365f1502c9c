"""Parameters that AWS's models refuse, in AWS's words."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.local import constraints
from rtp.local.patches.model_limits import SERVICES, _query

FAILED = "failed to satisfy constraint: Member must"


@pytest.mark.parametrize(
    ("service", "operation", "params", "refused"),
    [
        (
            "logs",
            "FilterLogEvents",
            {"limit": 10_001},
            f"'10001' at 'limit' {FAILED} have value less than or equal to 10000",
        ),
        ("logs", "FilterLogEvents", {"limit": 0}, f"'0' at 'limit' {FAILED} have value greater than or equal to 1"),
        (
            "logs",
            "FilterLogEvents",
            {"filterPattern": "x" * 1025},
            f"'{'x' * 1025}' at 'filterPattern' {FAILED} have length less than or equal to 1024",
        ),
        (
            "logs",
            "PutLogEvents",
            {"logEvents": [{"timestamp": 1, "message": "a"}, {"timestamp": 1, "message": ""}]},
            f"'' at 'logEvents.2.member.message' {FAILED} have length greater than or equal to 1",
        ),
        (
            "dynamodb",
            "ExecuteStatement",
            {"Statement": "x", "Parameters": []},
            f"'[]' at 'parameters' {FAILED} have length greater than or equal to 1",
        ),
        (
            "dynamodb",
            "BatchGetItem",
            {"RequestItems": {"t": {"Keys": []}}},
            f"'[]' at 'requestItems.t.member.keys' {FAILED} have length greater than or equal to 1",
        ),
        (
            "dynamodb",
            "BatchWriteItem",
            {"RequestItems": {"t": []}},
            "'{t=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must "
            "have length less than or equal to 25, Member must have length greater than or equal to 1]",
        ),
        (
            "cloudwatch",
            "DescribeAlarms",
            {"AlarmNames": ["a", ""]},
            f"'[a, ]' at 'alarmNames' {FAILED} satisfy constraint: [Member must have length less than or equal to 255, "
            "Member must have length greater than or equal to 1]",
        ),
        (
            "cloudwatch",
            "SetAlarmState",
            {"StateValue": "BAD"},
            f"'BAD' at 'stateValue' {FAILED} satisfy enum value set: [OK, ALARM, INSUFFICIENT_DATA]",
        ),
        (
            "lambda",
            "CreateEventSourceMapping",
            {"MaximumBatchingWindowInSeconds": 301},
            f"'301' at 'maximumBatchingWindowInSeconds' {FAILED} have value less than or equal to 300",
        ),
    ],
)
def test_a_parameter_outside_its_model_is_refused(
    service: str, operation: str, params: dict[str, Any], refused: str
) -> None:
    node = constraints.of(service, operation)
    assert node is not None
    assert constraints.refusal(node, params) == f"1 validation error detected: Value {refused}"


def test_every_parameter_that_fails_is_named() -> None:
    node = constraints.of("logs", "GetLogEvents")
    assert node is not None
    text = constraints.refusal(node, {"limit": 10_001, "startTime": -1, "logStreamName": "a:b"})
    assert text is not None
    assert text.startswith("3 validation errors detected: ")
    assert text.count(FAILED) == 3
    assert "'a:b' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression" in text


@pytest.mark.parametrize("value", [None, True, {}, "10001", 5.5])
def test_a_value_of_another_type_is_left_to_the_service(value: Any) -> None:
    node = constraints.of("logs", "FilterLogEvents")
    assert node is not None
    assert constraints.refusal(node, {"limit": value}) is None


def test_a_form_is_read_as_its_parameters() -> None:
    body = b"Action=CreateStack&StackName=a_b&Capabilities.member.1=BAD&Tags.member.1.Key=k&Tags.member.1.Value="
    protocol, operation, params = _query(body)
    assert (protocol, operation) == ("query", "CreateStack")
    assert params["Capabilities"] == ["BAD"]
    assert params["Tags"] == [{"Key": "k", "Value": ""}]
    node = constraints.of("cloudformation", operation)
    assert node is not None
    text = str(constraints.refusal(node, params))
    assert text.startswith("2 validation errors detected: Value '[BAD]' at 'capabilities' failed to satisfy constraint")
    assert "Value '' at 'tags.1.member.value'" in text


def test_what_rtp_itself_sends_is_accepted() -> None:
    for service, operation, params in (
        ("logs", "FilterLogEvents", {"logGroupName": "/aws/lambda/a-b_c.d", "limit": 10_000, "filterPattern": ""}),
        ("lambda", "GetFunctionConfiguration", {"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:a"}),
        ("dynamodb", "GetItem", {"TableName": "t", "Key": {"id": {"S": ""}}, "ReturnConsumedCapacity": "TOTAL"}),
        ("kms", "DescribeKey", {"KeyId": "alias/rtp"}),
    ):
        node = constraints.of(service, operation)
        assert node is not None
        assert constraints.refusal(node, params) is None


@pytest.mark.parametrize("rules", SERVICES, ids=lambda rules: rules.service)
def test_every_operation_of_a_checked_service_has_readable_constraints(rules: Any) -> None:
    from rtp.local import models

    operations = models.service(rules.service)["operations"]
    assert sum(constraints.of(rules.service, name) is not None for name in operations) > len(operations) / 2
    assert rules.own <= set(operations)
