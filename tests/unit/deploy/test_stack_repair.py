"""Stacks that CloudFormation will not update as they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.commands.render.progress import Progress
from rtp.config import Environment
from rtp.errors import RefusedError, RtpError
from rtp.ops.access.question import Question
from rtp.ops.stack import repair
from rtp.ops.stack.operation import Operation, Target
from rtp.ops.stack.steps import Warn
from rtp.terminal.output import Output
from tests.unit.deploy.fakes import STACK, STACK_ID, Cloud, FakeAws, stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws.stacks import Stack
    from rtp.ops.stack.steps import Step

PREPARED = Warn("nothing can be emptied")  # by what must be done before an update is rolled back
QUEUE = {
    "LogicalResourceId": "Queue",
    "PhysicalResourceId": "queue",
    "ResourceType": "AWS::SQS::Queue",
    "ResourceStatus": "CREATE_COMPLETE",
}


def bucket(name: str) -> dict[str, str]:
    return {**QUEUE, "LogicalResourceId": name, "PhysicalResourceId": name, "ResourceType": "AWS::S3::Bucket"}


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


def fix(
    cloud: Cloud, operator: Operator, *, rollback: bool = True, protected: bool = False, aws: Any = None
) -> tuple[FakeAws, list[Any]]:
    aws = aws or cloud.aws()
    found = stack(cloud.status, protected=cloud.protected)
    env = Environment(name="dev", project="shop", root=Path(), protected=protected)

    def prepare(_stack: Stack) -> Iterator[Step]:
        assert not {"rollback_stack", "continue_update_rollback"} & set(aws.operations())
        yield PREPARED

    target = Target(aws, env, STACK_ID, {"Queue": "Storage/Queue"})
    steps = repair.repair(target, Operation(operator), found, rollback=rollback, before_rollback=prepare)
    return aws, list(steps)


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_stack_that_never_worked_is_deleted_on_consent(status: str) -> None:
    # Given such a stack, which holds a queue
    cloud = Cloud(
        status=status, resources=[QUEUE], plan=[[("Queue", "DELETE_COMPLETE", ""), (STACK, "DELETE_COMPLETE", "")]]
    )
    operator = Operator()
    # When it is fixed
    aws, _ = fix(cloud, operator)
    # Then the operator was told what it is and what goes, and it was deleted
    assert status in operator.asked[0].about[0] and "1 resource would" in operator.asked[0].about[1]
    assert operator.asked[0].typed == ""
    assert "delete_stack" in aws.operations()


def test_retained_buckets_are_not_emptied_and_a_protected_name_is_typed() -> None:
    # Given a protected environment whose deletion failed, with objects in a bucket that is retained and in another
    template = {"Resources": {"Data": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "RetainExceptOnCreate"}}}
    cloud = Cloud(
        status="DELETE_FAILED",
        resources=[bucket("Data"), bucket("Logs"), QUEUE],
        template=template,
        protected=True,
        buckets={"Data": 7, "Logs": 3},
        plan=[[(STACK, "DELETE_COMPLETE", "")]],
    )
    operator = Operator()
    # When it is fixed
    aws, _ = fix(cloud, operator, protected=True)
    # Then the operator was told what goes and what stays, and had to type the name
    (question,) = operator.asked
    stays = question.about.index("  bucket Data: 7 object versions")
    assert question.typed == STACK
    assert "2 resources" in question.about[1]
    assert question.about.index("  bucket Logs: 3 object versions") < stays - 1
    assert "retains" in question.about[stays - 1]
    # And the stack went, in spite of its termination protection, with the objects of the one bucket alone
    assert (cloud.left("Data"), cloud.left("Logs")) == (7, 0)
    assert cloud.status == "DELETE_COMPLETE"
    assert aws.operations().index("delete_objects") < aws.operations().index("update_termination_protection")


def test_yes_does_not_replace_a_typed_name() -> None:
    said = io.StringIO()
    progress = Progress(Output(stderr=said, stdin=io.StringIO()))
    question = Question("Delete it?", ("It holds a table.",), typed=STACK)
    # Given nobody to ask / When a yes alone is given / Then it is refused, with what would be lost and the fix
    with pytest.raises(RefusedError) as caught:
        progress.ask(question, yes=True)
    assert "It holds a table." in said.getvalue() and f"--confirm={STACK}" in caught.value.hint
    # When the name is given / Then it goes on; another one is refused
    progress.ask(question, yes=False, confirm=STACK)
    with pytest.raises(RefusedError):
        progress.ask(question, yes=True, confirm="shop-prod")


def test_a_protected_stack_whose_first_deploy_failed_is_deleted() -> None:
    cloud = Cloud(status="ROLLBACK_COMPLETE", protected=True, plan=[[(STACK, "DELETE_COMPLETE", "")]])
    operator = Operator()
    fix(cloud, operator, protected=True)
    # Nothing was lost, so a yes is enough
    assert cloud.status == "DELETE_COMPLETE" and operator.asked[0].typed == ""


def test_data_left_by_a_rolled_back_creation_needs_consent_again() -> None:
    # Given a creation that was left half-way, and whose rollback cannot delete a bucket with something in it
    cloud = Cloud(
        status="CREATE_FAILED",
        resources=[bucket("Data")],
        buckets={"Data": 1},
        plan=[[("Data", "DELETE_FAILED", "not empty"), (STACK, "ROLLBACK_FAILED", "")]],
    )
    # When the rollback was consented to, and the deletion of the bucket's contents is not
    with pytest.raises(RefusedError):
        fix(cloud, Operator(1))
    # Then they are there
    assert cloud.left("Data") == 1


def test_without_consent_nothing_is_done() -> None:
    cloud = Cloud(status="ROLLBACK_COMPLETE")
    aws: Any = cloud.aws()
    with pytest.raises(RefusedError):
        fix(cloud, Operator(0), aws=aws)
    assert set(aws.operations()) <= {"list_stack_resources", "describe_stacks", "get_template"}


def test_a_failed_rollback_is_continued() -> None:
    # Given an update whose rollback could not put the queue back
    cloud = Cloud(status="UPDATE_ROLLBACK_FAILED", plan=[[(STACK, "UPDATE_ROLLBACK_COMPLETE", "")]])
    cloud.event("Queue", "UPDATE_FAILED", "AccessDenied")
    operator = Operator()
    # When
    aws, steps = fix(cloud, operator)
    # Then the operator saw which resource and why, and the rollback went on with it, once it could do no harm
    assert PREPARED in steps
    assert operator.asked[0].about[1] == "  Storage/Queue: AccessDenied"
    (asked,) = (params for name, params in aws.asked if name == "continue_update_rollback")
    assert (asked["StackName"], "ResourcesToSkip" in asked) == (STACK_ID, False)


def test_a_rollback_that_fails_again_may_skip_resources() -> None:
    # Given one that fails a second time
    again = [("Queue", "UPDATE_FAILED", "AccessDenied"), (STACK, "UPDATE_ROLLBACK_FAILED", "")]
    cloud = Cloud(status="UPDATE_ROLLBACK_FAILED", plan=[again, [(STACK, "UPDATE_ROLLBACK_COMPLETE", "")]])
    cloud.event("Queue", "UPDATE_FAILED", "AccessDenied")
    operator = Operator()
    # When
    aws, _ = fix(cloud, operator)
    # Then it was asked for once more, and the queue left out
    assert len(operator.asked) == 2
    calls = [p for name, p in aws.asked if name == "continue_update_rollback"]
    assert calls[1]["ResourcesToSkip"] == ["Queue"]


def test_a_rollback_that_cannot_be_repaired_is_an_error_with_the_manual_fix() -> None:
    again = [("Queue", "UPDATE_FAILED", "AccessDenied"), (STACK, "UPDATE_ROLLBACK_FAILED", "")]
    cloud = Cloud(status="UPDATE_ROLLBACK_FAILED", plan=[list(again), list(again)])
    with pytest.raises(RtpError, match="still UPDATE_ROLLBACK_FAILED") as caught:
        fix(cloud, Operator())
    assert "Queue" in caught.value.hint


def test_a_stack_paused_by_no_rollback_is_rolled_back_first_unless_the_deploy_has_no_rollback() -> None:
    # Given a paused update
    cloud = Cloud(status="UPDATE_FAILED", plan=[[(STACK, "UPDATE_ROLLBACK_COMPLETE", "")]])
    # When the next deploy would roll back
    aws, steps = fix(cloud, Operator())
    # Then it is rolled back first, once that could do no harm
    assert "rollback_stack" in aws.operations() and PREPARED in steps
    # When the next deploy would not
    cloud = Cloud(status="UPDATE_FAILED")
    aws, _ = fix(cloud, Operator(0), rollback=False)
    # Then it is left as it is
    assert "rollback_stack" not in aws.operations()


def test_a_paused_creation_is_deleted_after_its_rollback() -> None:
    cloud = Cloud(status="CREATE_FAILED", plan=[[(STACK, "ROLLBACK_COMPLETE", "")], [(STACK, "DELETE_COMPLETE", "")]])
    aws, steps = fix(cloud, Operator())
    assert [n for n in aws.operations() if n in ("rollback_stack", "delete_stack")] == [
        "rollback_stack",
        "delete_stack",
    ]
    assert PREPARED not in steps


def test_the_rollback_of_a_creation_needs_consent_with_what_it_would_delete() -> None:
    # Given a creation that was left half-way and has taken events
    cloud = Cloud(status="CREATE_FAILED", resources=[bucket("Data"), QUEUE], buckets={"Data": 7})
    for protected in (False, True):
        operator = Operator(0)
        # When it is to be rolled back / Then what would go is said, and of a protected one the name is to be typed
        with pytest.raises(RefusedError):
            fix(cloud, operator, protected=protected)
        (question,) = operator.asked
        assert "  bucket Data: 7 object versions" in question.about
        assert question.typed == (STACK if protected else "")


def test_a_deploy_waits_for_a_running_operation() -> None:
    # Given an update that ends at the second look
    cloud = Cloud(status="UPDATE_IN_PROGRESS")
    looks = iter(["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE_COMPLETE"])

    def describe(**_: Any) -> dict[str, Any]:
        return {"Stacks": [{"StackName": STACK, "StackId": STACK_ID, "StackStatus": next(looks)}]}

    aws: Any = cloud.aws(describe_stacks=describe)
    # When
    _, steps = fix(cloud, Operator(0), aws=aws)
    # Then nothing is asked, and the operator is told
    assert isinstance(steps[0], Warn) and "waiting" in steps[0].message


def test_an_interrupt_before_the_wait_reports_that_cloudformation_continues() -> None:
    cloud, operation, env = Cloud(status="UPDATE_IN_PROGRESS"), Operation(), Environment(name="dev", root=Path())
    aws: Any = cloud.aws()
    found = stack(cloud.status)
    target = Target(aws, env, STACK_ID)
    steps = repair.repair(target, operation, found, rollback=True, before_rollback=lambda _: iter(()))
    assert isinstance(next(steps), Warn) and operation.may_be_running


def test_a_working_stack_is_not_repaired() -> None:
    aws, steps = fix(Cloud(status="UPDATE_COMPLETE"), Operator(0))
    assert steps == [] and aws.asked == []
