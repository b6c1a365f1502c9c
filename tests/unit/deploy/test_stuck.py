"""Stacks that CloudFormation will not update as they are."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.errors import RefusedError, RtpError
from rtp.ops.stack import stuck
from rtp.ops.stack.steps import Question, Warn
from tests.unit.deploy.fakes import STACK, STACK_ID, Cloud, FakeAws

QUEUE = {
    "LogicalResourceId": "Queue",
    "PhysicalResourceId": "queue",
    "ResourceType": "AWS::SQS::Queue",
    "ResourceStatus": "CREATE_COMPLETE",
}


class Operator:
    """Says yes to so many questions, and keeps them."""

    def __init__(self, consents: int = 99) -> None:
        self.left = consents
        self.asked: list[Question] = []

    def __call__(self, question: Question) -> None:
        self.asked.append(question)
        if self.left == 0:
            raise RefusedError("no")
        self.left -= 1


def mend(cloud: Cloud, operator: Operator, *, rollback: bool = True) -> tuple[FakeAws, list[Any]]:
    aws: Any = cloud.aws()
    found = {"StackName": STACK, "StackId": STACK_ID, "StackStatus": cloud.status}
    return aws, list(stuck.mend(aws, found, operator, rollback=rollback, paths={"Queue": "Storage/Queue"}))


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_stack_that_never_worked_is_deleted_on_consent(status: str) -> None:
    # Given such a stack, which holds a queue
    cloud = Cloud(
        status=status, resources=[QUEUE], plan=[[("Queue", "DELETE_COMPLETE", ""), (STACK, "DELETE_COMPLETE", "")]]
    )
    operator = Operator()
    # When it is mended
    aws, _ = mend(cloud, operator)
    # Then the operator was told what it is and what goes, and it was deleted
    assert status in operator.asked[0].about[0] and "1 resources" in operator.asked[0].about[1]
    assert "delete_stack" in aws.operations()


def test_without_consent_nothing_is_done() -> None:
    cloud = Cloud(status="ROLLBACK_COMPLETE")
    aws: Any = cloud.aws()
    found = {"StackName": STACK, "StackId": STACK_ID, "StackStatus": cloud.status}
    with pytest.raises(RefusedError):
        list(stuck.mend(aws, found, Operator(0), rollback=True, paths={}))
    assert set(aws.operations()) <= {"list_stack_resources", "describe_stacks"}


def test_a_rollback_that_got_stuck_is_tried_again() -> None:
    # Given an update whose rollback could not put the queue back
    cloud = Cloud(status="UPDATE_ROLLBACK_FAILED", plan=[[(STACK, "UPDATE_ROLLBACK_COMPLETE", "")]])
    cloud.tell("Queue", "UPDATE_FAILED", "AccessDenied")
    operator = Operator()
    # When
    aws, _ = mend(cloud, operator)
    # Then the operator saw which resource and why, and the rollback went on with it
    assert operator.asked[0].about[1] == "  Storage/Queue: AccessDenied"
    assert [p for name, p in aws.asked if name == "continue_update_rollback"] == [{"StackName": STACK_ID}]


def test_a_rollback_that_fails_again_may_leave_resources_out() -> None:
    # Given one that fails a second time
    again = [("Queue", "UPDATE_FAILED", "AccessDenied"), (STACK, "UPDATE_ROLLBACK_FAILED", "")]
    cloud = Cloud(status="UPDATE_ROLLBACK_FAILED", plan=[again, [(STACK, "UPDATE_ROLLBACK_COMPLETE", "")]])
    cloud.tell("Queue", "UPDATE_FAILED", "AccessDenied")
    operator = Operator()
    # When
    aws, _ = mend(cloud, operator)
    # Then it was asked for once more, and the queue left out
    assert len(operator.asked) == 2
    calls = [p for name, p in aws.asked if name == "continue_update_rollback"]
    assert calls[1] == {"StackName": STACK_ID, "ResourcesToSkip": ["Queue"]}


def test_one_that_cannot_be_mended_says_what_to_do_by_hand() -> None:
    again = [("Queue", "UPDATE_FAILED", "AccessDenied"), (STACK, "UPDATE_ROLLBACK_FAILED", "")]
    cloud = Cloud(status="UPDATE_ROLLBACK_FAILED", plan=[list(again), list(again)])
    with pytest.raises(RtpError, match="still UPDATE_ROLLBACK_FAILED") as caught:
        mend(cloud, Operator())
    assert "Queue" in caught.value.hint


def test_a_stack_left_by_no_rollback_is_rolled_back_first_unless_the_deploy_goes_on_without() -> None:
    # Given a paused update
    cloud = Cloud(status="UPDATE_FAILED", plan=[[(STACK, "UPDATE_ROLLBACK_COMPLETE", "")]])
    # When the next deploy would roll back
    aws, _ = mend(cloud, Operator())
    # Then it is rolled back first
    assert "rollback_stack" in aws.operations()
    # When the next deploy would not
    cloud = Cloud(status="UPDATE_FAILED")
    aws, _ = mend(cloud, Operator(0), rollback=False)
    # Then it is left as it is
    assert "rollback_stack" not in aws.operations()


def test_a_paused_creation_is_deleted_after_its_rollback() -> None:
    cloud = Cloud(status="CREATE_FAILED", plan=[[(STACK, "ROLLBACK_COMPLETE", "")], [(STACK, "DELETE_COMPLETE", "")]])
    aws, _ = mend(cloud, Operator())
    assert [n for n in aws.operations() if n in ("rollback_stack", "delete_stack")] == [
        "rollback_stack",
        "delete_stack",
    ]


def test_an_operation_under_way_is_waited_for() -> None:
    # Given an update that ends at the second look
    cloud = Cloud(status="UPDATE_IN_PROGRESS")
    looks = iter(["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE_COMPLETE"])

    def describe(**_: Any) -> dict[str, Any]:
        return {"Stacks": [{"StackName": STACK, "StackId": STACK_ID, "StackStatus": next(looks)}]}

    aws: Any = cloud.aws(describe_stacks=describe)
    found = {"StackName": STACK, "StackId": STACK_ID, "StackStatus": "UPDATE_IN_PROGRESS"}
    # When
    steps = list(stuck.mend(aws, found, Operator(0), rollback=True, paths={}))
    # Then nothing is asked, and the operator is told
    assert isinstance(steps[0], Warn) and "waiting" in steps[0].message


def test_a_working_stack_is_left_alone() -> None:
    aws, steps = mend(Cloud(status="UPDATE_COMPLETE"), Operator(0))
    assert steps == [] and aws.asked == []
