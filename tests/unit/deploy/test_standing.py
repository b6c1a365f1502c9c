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
from rtp.ops.stack.apply.follow import Stage, Underway
from rtp.ops.stack.deploy import Deploy
from rtp.ops.stack.teardown.destroy import Destroy
from rtp.ops.stack.teardown.empty import Removed
from rtp.ops.stack.teardown.intake import State
from rtp.terminal.output import Output
from tests.unit.deploy.fakes import STACK_ID, Cloud, FakeAws

if TYPE_CHECKING:
    from pathlib import Path

UNREACHABLE = EndpointError("Nothing answered")


def after_deploy(root: Path, error: BaseException, stage: Stage, removed: Removed) -> str:
    said = io.StringIO()
    env = Environment(name="dev", project="shop", root=root)
    connect: Any = None
    consent: Any = None
    work = Deploy(env, connect, consent, underway=Underway(stage), removed=removed)
    with pytest.raises(type(error)), stack_state.after_deploy(Output(stderr=said), work):
        raise error
    return " ".join(said.getvalue().split())


def after_destroy(
    root: Path,
    error: BaseException,
    stage: Stage,
    removed: Removed,
    *,
    stopped: bool = False,
    intake: State = State.UNTOUCHED,
) -> str:
    said = io.StringIO()
    aws: Any = FakeAws()
    approve: Any = None
    env = Environment(name="dev", project="shop", root=root)
    work = Destroy(env, aws, approve, removed=removed, underway=Underway(stage), stopped=stopped, intake=intake)
    with pytest.raises(type(error)), stack_state.after_destroy(Output(stderr=said), work):
        raise error
    return " ".join(said.getvalue().split())


@pytest.mark.parametrize(
    ("error", "stage", "expected"),
    [
        (KeyboardInterrupt(), Stage.IDLE, "shop-dev was not changed."),
        (KeyboardInterrupt(), Stage.ASKED, "may be changing"),
        (KeyboardInterrupt(), Stage.WORKING, "goes on by itself"),
        (KeyboardInterrupt(), Stage.DONE, "has been changed"),
        (UNREACHABLE, Stage.WORKING, "goes on by itself"),
        (AwsError("throttled"), Stage.WORKING, "goes on by itself"),
        (UNREACHABLE, Stage.ASKED, "may be changing"),
        (RtpError("it failed"), Stage.IDLE, ""),
        (RtpError("it failed"), Stage.DONE, ""),
    ],
)
def test_after_a_deploy(tmp_path: Path, error: BaseException, stage: Stage, expected: str) -> None:
    said = after_deploy(tmp_path, error, stage, Removed())
    assert expected in said and bool(said) == bool(expected)


def test_a_deploy_that_was_clearing_away_a_stack_says_what_it_deleted(tmp_path: Path) -> None:
    said = after_deploy(tmp_path, KeyboardInterrupt(), Stage.IDLE, Removed(objects=1200))
    assert "1,200 object versions" in said and "was not deleted" in said


@pytest.mark.parametrize(
    ("error", "stage", "removed", "expected"),
    [
        (KeyboardInterrupt(), Stage.IDLE, Removed(), "was not deleted; its event source runs."),
        (KeyboardInterrupt(), Stage.IDLE, Removed(objects=1200), "1,200 object versions in its buckets are gone"),
        (RtpError("locked"), Stage.IDLE, Removed(objects=1200), "was not deleted; its event source runs."),
        (KeyboardInterrupt(), Stage.DONE, Removed(objects=1, begun=True, status="DELETE_FAILED"), "deleted in part"),
        (KeyboardInterrupt(), Stage.DONE, Removed(begun=True, status="DELETE_COMPLETE"), "is deleted; that nothing"),
        (UNREACHABLE, Stage.WORKING, Removed(objects=1, begun=True), "is being deleted by CloudFormation, which goes"),
        (UNREACHABLE, Stage.WORKING, Removed(), "is being changed by CloudFormation, which goes on"),
        (UNREACHABLE, Stage.ASKED, Removed(begun=True), "may be being deleted"),
        (RtpError("left behind"), Stage.DONE, Removed(objects=1, begun=True, status="DELETE_COMPLETE"), ""),
        (RtpError("refused"), Stage.IDLE, Removed(), ""),
    ],
)
def test_after_a_destroy(tmp_path: Path, error: BaseException, stage: Stage, removed: Removed, expected: str) -> None:
    said = after_destroy(tmp_path, error, stage, removed)
    assert expected in said and bool(said) == bool(expected)


def test_an_event_source_that_could_not_be_switched_on_again_is_told(tmp_path: Path) -> None:
    said = after_destroy(tmp_path, UNREACHABLE, Stage.IDLE, Removed(), stopped=True)
    assert "may stand still" in said and "rtp deploy" in said


@pytest.mark.parametrize(
    ("state", "stopped", "expected"),
    [
        (State.OPENED, False, "its event source runs. The API's intake is open again. `rtp destroy` starts again."),
        (State.CLOSED, False, "intake may still be closed: then every request gets 429. `rtp destroy"),
        (State.CLOSED, True, "`rtp deploy` opens the intake and enables the event source"),
    ],
)
def test_what_became_of_the_intake_is_told_also_after_a_timeout(
    tmp_path: Path, state: State, stopped: bool, expected: str
) -> None:
    error = WaitTimeoutError("not drained")
    said = after_destroy(tmp_path, error, Stage.IDLE, Removed(), stopped=stopped, intake=state)
    assert expected in said
    assert ("rtp deploy" in said) == (state is State.CLOSED)


@pytest.mark.parametrize(
    ("answers", "stage"),
    [
        ({"execute_change_set": AwsError("no", code="access-denied")}, Stage.IDLE),
        ({"execute_change_set": UNREACHABLE}, Stage.ASKED),
        ({"describe_stack_events": UNREACHABLE}, Stage.WORKING),
    ],
)
def test_an_update_is_under_way_once_cloudformation_has_taken_it_on(
    answers: dict[str, Exception], stage: Stage
) -> None:
    # Given an AWS that fails at one call, after the first look at the events
    cloud, underway, looks = Cloud(plan=[[]]), Underway(), iter(range(100))

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
        list(
            execute.apply(
                aws,
                change_set,
                execute.Applied(),
                expected=frozenset(),
                rollback=True,
                paths={},
                template={},
                underway=underway,
            )
        )
    # Then it counts as begun only where it was
    assert underway.stage is stage
