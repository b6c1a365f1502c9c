"""A change set that is not applied: only an empty stack that was made for it goes with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.aws.changesets import Change, ChangeSet
from rtp.config import Environment
from rtp.errors import RtpError
from rtp.ops.stack.apply import adopt
from rtp.ops.stack.build.synth import Assembly
from rtp.ops.stack.operation import Operation, Target
from rtp.ops.stack.options import Options
from rtp.ops.stack.update import Update, carry_out
from tests.unit.deploy.fakes import STACK, STACK_ID, FakeAws, tags

if TYPE_CHECKING:
    from rtp.aws import Aws

QUEUE = {"LogicalResourceId": "Queue", "ResourceType": "AWS::SQS::Queue", "ResourceStatus": "CREATE_COMPLETE"}
OLD = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
NEW = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 1}}}}


@pytest.mark.parametrize(
    ("status", "old", "resources", "deleted"),
    [
        ("REVIEW_IN_PROGRESS", {}, [], True),
        ("REVIEW_IN_PROGRESS", OLD, [], False),  # an old description of a stack that was deployed
        ("REVIEW_IN_PROGRESS", {}, [QUEUE], False),  # of one that somebody else has created meanwhile
        ("CREATE_COMPLETE", OLD, [QUEUE], False),
    ],
)
def test_a_stack_is_deleted_only_where_it_was_made_for_the_change_set_and_is_empty(
    tmp_path: Path, status: str, old: dict[str, Any], resources: list[dict[str, Any]], deleted: bool
) -> None:
    described = {"StackId": STACK_ID, "StackName": STACK, "StackStatus": status, "Tags": tags("shop", "dev")}
    answers: dict[str, Any] = {
        "describe_stacks": lambda **_: {"Stacks": [described]},
        "list_stack_resources": lambda **_: {"StackResourceSummaries": resources},
        "delete_change_set": lambda **_: {},
        "delete_stack": lambda **_: {},
    }
    aws = FakeAws(answers)
    change_set = ChangeSet("id", STACK_ID, "CREATE_COMPLETE", "", (Change("Queue", "AWS::SQS::Queue", "False"),))
    update = Update(change_set, old, Assembly(tmp_path, tmp_path / "t", NEW, cached=False), False)
    target = Target(cast("Aws", aws), Environment(name="dev", project="shop", root=Path("/nowhere")))

    assert list(carry_out(target, update, Options(dry_run=True), Operation()))[-1].status == "dry-run"  # type: ignore[union-attr]

    assert ("delete_stack" in aws.operations()) is deleted


@pytest.mark.parametrize(
    ("status", "resources", "deleted"),
    [("REVIEW_IN_PROGRESS", [], True), ("REVIEW_IN_PROGRESS", [QUEUE], False), ("CREATE_COMPLETE", [QUEUE], False)],
)
def test_an_import_that_is_refused_deletes_no_stack_that_has_resources(
    status: str, resources: list[dict[str, Any]], deleted: bool
) -> None:
    described = {"StackId": STACK_ID, "StackName": STACK, "StackStatus": status, "Tags": tags("shop", "dev")}
    failed = {"ChangeSetId": "id", "StackId": STACK_ID, "Status": "FAILED", "StatusReason": "no", "Changes": []}
    answers: dict[str, Any] = {
        "create_change_set": lambda **_: {"Id": "id", "StackId": STACK_ID},
        "describe_change_set": lambda **_: failed,
        "describe_stacks": lambda **_: {"Stacks": [described]},
        "list_stack_resources": lambda **_: {"StackResourceSummaries": resources},
        "delete_stack": lambda **_: {},
    }
    aws = FakeAws(answers)
    target = Target(cast("Aws", aws), Environment(name="dev", project="shop", root=Path("/nowhere")))

    with pytest.raises(RtpError, match="cannot import"):
        adopt.prepared(target, OLD, [])

    assert ("delete_stack" in aws.operations()) is deleted
