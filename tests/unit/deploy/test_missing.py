"""What was deleted outside CloudFormation: found, named, and created again by a drift-aware change set."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.aws.changesets import Change, ChangeSet
from rtp.config import Environment
from rtp.errors import AwsError, RtpError
from rtp.ops.stack.build.synth import Assembly
from rtp.ops.stack.compare import approval, missing
from rtp.ops.stack.operation import Operation, Target
from rtp.ops.stack.options import Options
from rtp.ops.stack.update import Update, carry_out
from tests.clocks import FakeClock
from tests.unit.deploy.fakes import STACK, STACK_ID, FakeAws, tags

if TYPE_CHECKING:
    from rtp.aws import Aws

TYPES = {
    "Key": ("AWS::ApiGateway::ApiKey", "k1"),
    "Queue": ("AWS::SQS::Queue", "https://sqs.us-east-1.amazonaws.com/111122223333/shop-dev-queue"),
    "Table": ("AWS::DynamoDB::Table", "shop-dev-table"),
    "Logs": ("AWS::Logs::LogGroup", "/aws/lambda/shop-dev-worker"),
    "Master": ("AWS::KMS::Key", "m1"),
    "Policy": ("AWS::SQS::QueuePolicy", "p"),  # a part of the queue
}


def gone(**_: Any) -> Any:
    raise AwsError("no", service_code="ResourceNotFoundException")


def account(**answers: Any) -> FakeAws:
    """One in which every resource of the stack exists, but for the answers given."""
    listed = [
        {"LogicalResourceId": i, "PhysicalResourceId": name, "ResourceType": kind, "ResourceStatus": "CREATE_COMPLETE"}
        for i, (kind, name) in TYPES.items()
    ]
    return FakeAws(
        {
            "list_stack_resources": lambda **_: {"StackResourceSummaries": listed},
            "get_api_key": lambda **_: {},
            "get_queue_attributes": lambda **_: {},
            "describe_table": lambda **_: {},
            "describe_log_groups": lambda **p: {"logGroups": [{"logGroupName": p["logGroupNamePrefix"]}]},
            "describe_key": lambda **_: {"KeyMetadata": {"KeyState": "Enabled"}},
        }
        | answers
    )


def find(aws: FakeAws) -> missing.Found:
    return missing.find(cast("Aws", aws), STACK, clock=FakeClock().clock)


def test_nothing_is_missing_where_every_service_answers() -> None:
    assert find(account()) == missing.Found(())


def test_each_missing_resource_is_named_with_the_command() -> None:
    found = find(account(get_api_key=gone, get_queue_attributes=gone, describe_log_groups=lambda **_: {}))
    assert [m.problem for m in found.missing] == [
        "the API key k1 was deleted outside CloudFormation; `rtp deploy` creates it again",
        "the queue shop-dev-queue was deleted outside CloudFormation; `rtp deploy` creates it again",
        "the log group /aws/lambda/shop-dev-worker was deleted outside CloudFormation; `rtp deploy` creates it again",
    ]
    assert found.gone == found.missing


def test_a_key_whose_deletion_is_pending_can_be_kept() -> None:
    ends = datetime(2027, 1, 8, tzinfo=UTC)
    found = find(
        account(describe_key=lambda **_: {"KeyMetadata": {"KeyState": "PendingDeletion", "DeletionDate": ends}})
    )
    (key,) = found.missing
    assert "2027-01-08" in key.problem and "`aws kms cancel-key-deletion --key-id=m1`" in key.problem
    assert found.gone == ()  # no deploy could create it again under its id


def test_a_service_that_has_not_noticed_a_creation_yet_is_asked_again() -> None:
    answers = iter([gone, gone])
    found = find(account(describe_table=lambda **p: next(answers, lambda **_: {})(**p)))
    assert found.missing == ()


def test_what_may_not_be_asked_is_not_called_missing() -> None:
    def denied(**_: Any) -> Any:
        raise AwsError("not allowed", code="access-denied", service_code="AccessDenied")

    found = find(account(describe_table=denied))
    assert (found.missing, found.unread) == ((), ("table shop-dev-table: not allowed",))


TABLE = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "t"}}
TEMPLATE = {"Resources": {"T": TABLE, "Fn": {"Type": "AWS::Lambda::Function", "Properties": {}}}}


def test_the_plan_says_what_is_created_again_and_what_is_set_back() -> None:
    changes = (
        Change("T", "AWS::DynamoDB::Table", drift="DELETED"),
        Change("Fn", "AWS::Lambda::Function", "False", drift="MODIFIED"),
        Change("Other", "AWS::SQS::Queue", "False", drift="IN_SYNC"),
    )
    change_set = ChangeSet("id", STACK_ID, "CREATE_COMPLETE", "", changes)
    plan = approval.plan(STACK, TEMPLATE, TEMPLATE, {}, change_set, create=False)
    assert [(c.logical_id, c.action, c.loses_data) for c in plan.changes] == [
        ("T", "recreate", False),
        ("Fn", "revert", False),
    ]


def applied(root: Path, aws: FakeAws, *changes: Change) -> Any:
    """Show a change set with these changes, in which CloudFormation does not create the missing table again.

    Returns the last step.
    """
    described = {"StackId": STACK_ID, "StackName": STACK, "StackStatus": "CREATE_COMPLETE", "Tags": tags("shop", "dev")}
    aws.answers |= {"describe_stacks": lambda **_: {"Stacks": [described]}, "delete_change_set": lambda **_: {}}
    reason = "The submitted information didn't contain changes."
    status = ("CREATE_COMPLETE", "") if changes else ("FAILED", reason)
    change_set = ChangeSet("id", STACK_ID, *status, changes)
    table = missing.Missing("table", "shop-dev-table", "Table", holds_data=True)
    update = Update(change_set, TEMPLATE, Assembly(root, root / "t", TEMPLATE, cached=False), False, (table,))
    target = Target(cast("Aws", aws), Environment(name="dev", project="shop", root=Path("/nowhere")))
    return list(carry_out(target, update, Options(dry_run=True), Operation()))[-1]


def test_a_change_set_that_creates_nothing_again_is_no_success(tmp_path: Path) -> None:
    """CloudFormation compares some types with their template alone."""
    aws = account(describe_table=gone)
    with pytest.raises(RtpError, match="the table shop-dev-table") as caught:
        applied(tmp_path, aws)
    assert "rtp destroy --keep-data" in caught.value.hint and "rtp deploy --adopt" in caught.value.hint
    assert "delete_change_set" in aws.operations()


def test_a_resource_that_its_service_knows_again_is_not_missing(tmp_path: Path) -> None:
    """A service that has just created something may say that it does not exist."""
    aws = account()
    result = applied(tmp_path, aws, Change("Fn", "AWS::Lambda::Function", "False"))
    assert result.status == "dry-run"
    assert "describe_table" in aws.operations() and "delete_change_set" in aws.operations()
