"""What is said of a stack after a deploy or destroy that did not come to its end."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws.changesets import ChangeSet
from rtp.commands.render import stack_state
from rtp.config import Environment
from rtp.errors import AwsError, EndpointError, RtpError, WaitTimeoutError
from rtp.ops.stack.apply import execute
from rtp.ops.stack.operation import IntakeState, Operation, Stage, Target
from rtp.terminal.output import Output
from tests.unit.deploy.fakes import STACK_ID, Cloud

if TYPE_CHECKING:
    from pathlib import Path

UNREACHABLE = EndpointError("Nothing answered")
DENIED = AwsError("no", code="access-denied")


def after_deploy(root: Path, error: BaseException, operation: Operation) -> str:
    said = io.StringIO()
    with pytest.raises(type(error)), stack_state.after_deploy(Output(stderr=said), environment(root), operation):
        raise error
    return " ".join(said.getvalue().split())


def after_destroy(root: Path, error: BaseException, operation: Operation) -> str:
    said = io.StringIO()
    with pytest.raises(type(error)), stack_state.after_destroy(Output(stderr=said), environment(root), operation):
        raise error
    return " ".join(said.getvalue().split())


def environment(root: Path) -> Environment:
    return Environment(name="dev", project="shop", root=root)


@pytest.mark.parametrize(
    ("error", "stage", "expected"),
    [
        (KeyboardInterrupt(), Stage.IDLE, "shop-dev was not changed."),
        (KeyboardInterrupt(), Stage.REQUESTED, "may be changing"),
        (KeyboardInterrupt(), Stage.RUNNING, "goes on without rtp"),
        (KeyboardInterrupt(), Stage.DONE, "has been changed"),
        (UNREACHABLE, Stage.RUNNING, "goes on without rtp"),
        (AwsError("throttled"), Stage.RUNNING, "goes on without rtp"),
        (UNREACHABLE, Stage.REQUESTED, "may be changing"),
        (RtpError("it failed"), Stage.IDLE, ""),
        (RtpError("it failed"), Stage.DONE, ""),
    ],
)
def test_after_a_deploy(tmp_path: Path, error: BaseException, stage: Stage, expected: str) -> None:
    said = after_deploy(tmp_path, error, Operation(stage=stage))
    assert expected in said and bool(said) == bool(expected)


def test_a_deploy_interrupted_while_it_deletes_a_failed_stack_reports_what_it_deleted(tmp_path: Path) -> None:
    said = after_deploy(tmp_path, KeyboardInterrupt(), Operation(objects_deleted=1200))
    assert "1,200 object versions" in said and "was not deleted" in said


@pytest.mark.parametrize(
    ("error", "operation", "expected"),
    [
        (KeyboardInterrupt(), Operation(), "was not deleted; its event source is enabled."),
        (KeyboardInterrupt(), Operation(objects_deleted=1200), "1,200 object versions in its buckets are deleted"),
        (RtpError("locked"), Operation(objects_deleted=1200), "was not deleted; its event source is enabled."),
        (KeyboardInterrupt(), Operation(stage=Stage.DONE, objects_deleted=1, deletion_begun=True), "deleted in part"),
        (
            KeyboardInterrupt(),
            Operation(stage=Stage.DONE, deletion_begun=True, deleted=True),
            "is deleted; it was not",
        ),
        (
            UNREACHABLE,
            Operation(stage=Stage.RUNNING, objects_deleted=1, deletion_begun=True),
            "is being deleted by CloudFormation, which goes",
        ),
        (UNREACHABLE, Operation(stage=Stage.RUNNING), "is being changed by CloudFormation, which goes on"),
        (UNREACHABLE, Operation(stage=Stage.REQUESTED, deletion_begun=True), "may be being deleted"),
        (
            RtpError("left behind"),
            Operation(stage=Stage.DONE, objects_deleted=1, deletion_begun=True, deleted=True),
            "",
        ),
        (RtpError("refused"), Operation(), ""),
    ],
)
def test_after_a_destroy(tmp_path: Path, error: BaseException, operation: Operation, expected: str) -> None:
    said = after_destroy(tmp_path, error, operation)
    assert expected in said and bool(said) == bool(expected)


def test_an_event_source_that_could_not_be_enabled_again_is_reported(tmp_path: Path) -> None:
    said = after_destroy(tmp_path, UNREACHABLE, Operation(event_source_off=True))
    assert "may be disabled" in said and "rtp deploy" in said


@pytest.mark.parametrize(
    ("state", "stopped", "expected"),
    [
        (
            IntakeState.REOPENED,
            False,
            "is enabled. The API's intake is open again. `rtp destroy` starts again.",
        ),
        (IntakeState.CLOSED, False, "intake may still be closed: then every request gets 429. `rtp destroy"),
        (IntakeState.CLOSED, True, "`rtp deploy` opens the intake and enables the event source"),
    ],
)
def test_the_state_of_the_intake_is_reported_after_a_timeout(
    tmp_path: Path, state: IntakeState, stopped: bool, expected: str
) -> None:
    error = WaitTimeoutError("not drained")
    said = after_destroy(tmp_path, error, Operation(event_source_off=stopped, intake=state))
    assert expected in said
    assert ("rtp deploy" in said) == (state is IntakeState.CLOSED)


@pytest.mark.parametrize(
    ("answers", "stage"),
    [
        ({"execute_change_set": AwsError("no", code="access-denied")}, Stage.IDLE),
        ({"execute_change_set": UNREACHABLE}, Stage.REQUESTED),
        ({"describe_stack_events": DENIED}, Stage.RUNNING),
    ],
)
def test_an_update_is_running_once_cloudformation_has_accepted_it(
    tmp_path: Path, answers: dict[str, Exception], stage: Stage
) -> None:
    # Given an AWS that fails at one call, after the first look at the events
    cloud, operation, looks = Cloud(plan=[[]]), Operation(), iter(range(100))

    def failing(operation: str) -> Any:
        def answer(**_: Any) -> Any:
            if operation == "describe_stack_events" and next(looks) == 0:
                return {"StackEvents": []}
            raise answers[operation]

        return answer

    aws: Any = cloud.aws(**{operation: failing(operation) for operation in answers})
    change_set = ChangeSet("id", STACK_ID, "CREATE_COMPLETE", "", ())
    # When a change set is applied
    with pytest.raises(AwsError):
        list(execute.apply(Target(aws, environment(tmp_path), STACK_ID), change_set, operation, template={}))
    # Then it counts as begun only where it was
    assert operation.stage is stage
