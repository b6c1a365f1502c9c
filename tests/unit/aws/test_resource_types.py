"""The registry of resource types, and how their existence is looked up."""

from __future__ import annotations

import importlib.resources
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from rtp.aws import inventory, resource_types
from rtp.aws.lookups import Existence
from rtp.aws.resource_types import ADDED, TYPES, ResourceType
from rtp.errors import AwsError
from tests.unit.deploy.fakes import FakeAws


@pytest.mark.parametrize("known", TYPES.values(), ids=list(TYPES))
def test_a_type_is_looked_up_or_part_of_one_that_is(known: ResourceType) -> None:
    assert known.name and len(known.name) <= 22
    if known.lookup is None:
        assert TYPES[known.part_of].lookup is not None
    else:
        assert not known.part_of


def test_what_holds_data_is_known_by_its_own_service() -> None:
    data = {known.name for known in TYPES.values() if known.holds_data}
    assert data == {"table", "bucket", "queue", "key", "log group"}
    assert all(known.lookup for known in TYPES.values() if known.holds_data)


def test_the_data_that_an_extension_adds_is_known() -> None:
    # Given the types that cfn-lint calls stateful
    file = importlib.resources.files("cfnlint.data.AdditionalSpecs") / "StatefulResources.json"
    stateful = set(json.loads(file.read_text())["ResourceTypes"])
    # Then each holds data; but what a nested stack or another account holds is not asked
    unasked = {"AWS::CloudFormation::Stack", "AWS::Organizations::Account"}
    assert {t for t in stateful - unasked if not resource_types.of(t).holds_data} == set()
    assert {t for t, known in ADDED.items() if known.holds_data != known.kept_with_data} == set()
    assert not set(ADDED) & set(TYPES)


@pytest.mark.parametrize("known", ADDED.values(), ids=list(ADDED))
def test_an_added_type_has_a_name_for_people(known: ResourceType) -> None:
    assert known.name != known.type and len(known.name) <= 22
    assert not known.part_of or TYPES[known.part_of].lookup is not None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("shop-dev-Rule-1", {"Name": "shop-dev-Rule-1"}),
        ("bus|shop-dev-Rule-1", {"Name": "shop-dev-Rule-1", "EventBusName": "bus"}),
        ("bus/shop-dev-Rule-1", {"Name": "shop-dev-Rule-1", "EventBusName": "bus"}),
    ],
)
def test_a_rule_is_looked_up_on_its_bus(name: str, given: dict[str, str]) -> None:
    aws: Any = FakeAws({"describe_rule": lambda **_: {}})
    assert inventory.lookup(aws, "AWS::Events::Rule", name) == Existence(True)
    assert aws.asked == [("describe_rule", given)]


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("dynamodb:us-east-1:111122223333:table/t", ("table", "t")),
        ("s3:::b", ("bucket", "b")),
        ("kms:cn-north-1:111122223333:key/k", ("key", "k")),
        ("sqs:us-east-1:111122223333:q", ("queue", "arn:aws:sqs:us-east-1:111122223333:q")),
        ("sns:us-east-1:111122223333:t", ("topic", "arn:aws:sns:us-east-1:111122223333:t")),
        ("lambda:us-east-1:111122223333:function:f", ("function", "f")),
        ("lambda:us-east-1:111122223333:function:f:live", ("function", "f")),
        ("lambda:us-east-1:111122223333:event-source-mapping:u", ("event source", "u")),
        ("logs:us-east-1:111122223333:log-group:/aws/lambda/f", ("log group", "/aws/lambda/f")),
        ("logs:us-east-1:111122223333:log-group:/aws/lambda/f:*", ("log group", "/aws/lambda/f")),
        ("cloudwatch:us-east-1:111122223333:alarm:a", ("alarm", "a")),
        ("cloudwatch::111122223333:dashboard/d", ("dashboard", "d")),
        ("apigateway:us-east-1::/restapis/x/stages/prod", ("REST API", "x")),
        ("apigateway:us-east-1::/apikeys/k", ("API key", "k")),
        ("apigateway:us-east-1::/usageplans/p", ("usage plan", "p")),
        ("codedeploy:us-east-1:111122223333:application:s", ("CodeDeploy application", "s")),
        ("codedeploy:us-east-1:111122223333:deploymentgroup:s/g", ("CodeDeploy application", "s")),
        ("iam::111122223333:role/path/r", ("role", "r")),
        ("cloudformation:us-east-1:1:stack/s/1", ("stack", "arn:aws:cloudformation:us-east-1:1:stack/s/1")),
        ("events:us-east-1:111122223333:rule/bus/r", ("event rule", "bus/r")),
        ("glue:us-east-1:111122223333:database/d", None),
    ],
)
def test_what_an_arn_names_is_known_and_can_be_asked(arn: str, name: tuple[str, str] | None) -> None:
    known = resource_types.of_arn(f"arn:aws:{arn}")
    assert (known and (known[0].name, known[1])) == name
    assert known is None or known[0].lookup is not None


@pytest.mark.parametrize(("name", "calls"), [("Custom::Theirs", True), ("AWS::EC2::VPC", False)])
def test_a_type_that_rtp_does_not_use_has_its_own_name(name: str, calls: bool) -> None:
    known = resource_types.of(name)
    assert (known.name, known.calls_function, known.holds_data) == (name, calls, False)
    aws: Any = FakeAws()
    assert inventory.lookup(aws, name, "x") is None


@pytest.mark.parametrize("code", ["404", "NoSuchEntity", "ResourceNotFoundException"])
def test_a_service_that_does_not_know_a_resource_says_so_by_an_error(code: str) -> None:
    def unknown(**_: Any) -> Any:
        raise AwsError("no", service_code=code)

    aws: Any = FakeAws({"describe_table": unknown})
    assert inventory.lookup(aws, resource_types.TABLE, "t") == Existence(False)


def test_a_key_that_waits_for_its_deletion_has_a_date() -> None:
    date = datetime(2026, 1, 2, tzinfo=UTC)
    aws: Any = FakeAws(
        {"describe_key": lambda **_: {"KeyMetadata": {"KeyState": "PendingDeletion", "DeletionDate": date}}}
    )
    assert inventory.lookup(aws, resource_types.KEY, "k") == Existence(True, "2026-01-02")


def test_a_queue_that_was_found_by_its_tags_is_looked_up_by_its_name() -> None:
    asked: dict[str, Any] = {}
    aws: Any = FakeAws({"get_queue_url": lambda **given: asked.update(given)})
    assert inventory.lookup(aws, resource_types.QUEUE, "arn:aws:sqs:us-east-1:1:q") == Existence(True)
    assert asked == {"QueueName": "q", "QueueOwnerAWSAccountId": "1"}


def test_an_alarm_and_a_log_group_are_looked_for_in_lists() -> None:
    aws: Any = FakeAws(
        {
            "describe_alarms": lambda **_: {"MetricAlarms": []},
            "describe_log_groups": lambda **_: {"logGroups": [{"logGroupName": "/aws/lambda/f-2"}]},
        }
    )
    assert inventory.lookup(aws, "AWS::CloudWatch::Alarm", "a") == Existence(False)
    assert inventory.lookup(aws, resource_types.LOG_GROUP, "/aws/lambda/f") == Existence(False)
    assert inventory.lookup(aws, resource_types.LOG_GROUP, "/aws/lambda/f-2") == Existence(True)
