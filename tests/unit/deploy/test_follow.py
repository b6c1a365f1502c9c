"""Following a stack operation, and what stops it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import stacks
from rtp.aws.states import StackState
from rtp.config import Environment
from rtp.errors import AwsError, CredentialsError, EndpointError, RefusedError
from rtp.ops.stack.apply import causes, execute
from rtp.ops.stack.apply.follow import Follower, Outcome
from rtp.ops.stack.operation import Operation, Target
from rtp.ops.stack.steps import Event, Tick, Warn
from tests.clocks import FakeClock
from tests.unit.deploy.fakes import STACK, STACK_ID, Cloud, FakeAws

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_events_of_earlier_operations_are_not_reported() -> None:
    # Given a stack with a past
    cloud = Cloud()
    cloud.event("Queue", "CREATE_FAILED", "long ago")
    cloud.event(STACK, "ROLLBACK_COMPLETE")
    follower = Follower(cloud.aws(), STACK_ID, clock=FakeClock().clock)  # type: ignore[arg-type]
    # When something new happens
    cloud.event("Table", "CREATE_COMPLETE")
    cloud.event(STACK, "CREATE_COMPLETE")
    told = [e.logical_id for e in follower.events() if isinstance(e, stacks.Event)]
    # Then only that is told
    assert told == ["Table"]
    outcome = follower.outcome
    assert (outcome.good, outcome.done, outcome.failures) == (True, 1, ())


def test_late_events_of_an_earlier_operation_are_not_the_end() -> None:
    # Given a follower of an operation, and events of the one before it that arrive only now
    cloud = Cloud(status="UPDATE_IN_PROGRESS")
    follower = Follower(cloud.aws(), STACK_ID, token="new", clock=FakeClock().clock)  # type: ignore[arg-type]
    cloud.token = "old"
    cloud.event("Table", "CREATE_COMPLETE")
    cloud.event(STACK, "CREATE_COMPLETE")
    # When the operation's own events follow, the last of them after somebody has cancelled it
    for cloud.token, logical_id, status in (
        ("new", STACK, "UPDATE_IN_PROGRESS"),
        ("new", "Queue", "UPDATE_COMPLETE"),
        ("console", STACK, "UPDATE_ROLLBACK_COMPLETE"),
    ):
        cloud.event(logical_id, status)
    reported = [e.logical_id for e in follower.events() if isinstance(e, stacks.Event)]
    # Then only those count
    assert (reported, str(follower.outcome.state)) == (["Queue"], "UPDATE_ROLLBACK_COMPLETE")


def test_an_operation_without_events_ends_with_the_state_of_the_stack() -> None:
    cloud, clock = Cloud(status="UPDATE_COMPLETE"), FakeClock()
    follower = Follower(cloud.aws(), STACK_ID, token="new", clock=clock.clock)  # type: ignore[arg-type]
    assert not any(follower.events())
    assert (str(follower.outcome.state), clock.now > 30) == ("UPDATE_COMPLETE", True)


def test_a_failure_that_a_rollback_follows_is_not_the_end() -> None:
    # Given a stack whose creation fails, and whose rollback begins only at the third look
    cloud = Cloud(status="CREATE_IN_PROGRESS")
    looks = 0

    def events(**_: Any) -> dict[str, Any]:
        nonlocal looks
        looks += 1
        if looks == 2:
            cloud.event("Queue", "CREATE_FAILED", "no")
            cloud.event(STACK, "CREATE_FAILED", "failed")
            cloud.status = "ROLLBACK_IN_PROGRESS"
        if looks == 4:
            cloud.event("Queue", "DELETE_COMPLETE")
            cloud.event(STACK, "ROLLBACK_COMPLETE")
        return {"StackEvents": cloud.events[::-1]}

    follower = Follower(cloud.aws(describe_stack_events=events), STACK_ID, clock=FakeClock().clock)  # type: ignore[arg-type]
    # When it is followed
    list(follower.events())
    # Then its end is the rollback's
    assert str(follower.outcome.state) == "ROLLBACK_COMPLETE"
    assert [f.logical_id for f in follower.outcome.failures] == ["Queue"]


def test_updates_without_a_change_are_left_out() -> None:
    cloud = Cloud()
    follower = Follower(cloud.aws(), STACK_ID, frozenset({"Fn"}), clock=FakeClock().clock)  # type: ignore[arg-type]
    for logical_id in ("Fn", "Topic"):
        cloud.event(logical_id, "UPDATE_COMPLETE")
    cloud.event("OldVersion", "DELETE_COMPLETE")
    cloud.event(STACK, "UPDATE_COMPLETE")
    assert [e.logical_id for e in follower.events() if isinstance(e, stacks.Event)] == ["Fn", "OldVersion"]
    assert (follower.done, follower.total) == (2, 2)


def test_an_operation_of_somebody_else_is_followed_to_its_end_even_when_it_is_over_already() -> None:
    cloud = Cloud(status="UPDATE_COMPLETE")
    cloud.event(STACK, "UPDATE_COMPLETE")
    follower = Follower(cloud.aws(), STACK_ID, clock=FakeClock().clock)  # type: ignore[arg-type]
    list(follower.joined())
    assert str(follower.outcome.state) == "UPDATE_COMPLETE"


def test_steps_have_paths_and_counts() -> None:
    cloud = Cloud()
    follower = Follower(cloud.aws(), STACK_ID, frozenset({"T", "U"}), clock=FakeClock().clock)  # type: ignore[arg-type]
    cloud.event("T", "CREATE_COMPLETE")
    cloud.event(STACK, "CREATE_COMPLETE")
    steps = list(execute.follow(follower, Operation(), {"T": "Storage/Table"}))
    (event,) = [s for s in steps if isinstance(s, Event)]
    assert (event.path, event.done, event.total) == ("Storage/Table", 1, 2)
    assert not [s for s in steps if isinstance(s, Tick)]


def failing(cloud: Cloud, template: dict[str, Any] | None = None, **answers: Any) -> Any:
    follower = Follower(cloud.aws(), STACK_ID, clock=FakeClock().clock)  # type: ignore[arg-type]
    follower._seen.clear()
    list(follower.events())
    aws: Any = cloud.aws(**answers)
    target = Target(aws, Environment(name="dev", root=Path()), STACK_ID, {"T": "Storage/Table"})
    return causes.first(target, follower.outcome.failures, template or {}, began_ms=0)


def test_the_first_cause_is_not_a_consequence_and_names_our_code() -> None:
    # Given a table that failed after others were cancelled because of it
    cloud = Cloud()
    cloud.event("Q", "CREATE_FAILED", "Resource creation cancelled")
    cloud.event(
        "T",
        "CREATE_FAILED",
        'Resource handler returned message: "Table already exists: t" (RequestToken: 1, HandlerErrorCode: X)',
        "AWS::DynamoDB::Table",
    )
    cloud.event(STACK, "ROLLBACK_COMPLETE")
    # When asked
    cause = failing(cloud)
    # Then it is the table, with its file and a tidy reason
    assert (cause.path, cause.source, cause.reason) == (
        "Storage/Table",
        "rtp/infra/storage.py",
        "Table already exists: t",
    )


def test_the_cause_of_a_failing_custom_resource_has_its_log_lines() -> None:
    # Given a custom resource behind a function of the stack
    cloud = Cloud()
    cloud.event("Emptied", "DELETE_FAILED", "Received response status [FAILED]", "Custom::EmptyBuckets")
    cloud.event(STACK, "DELETE_FAILED")
    template = {"Resources": {"Emptied": {"Properties": {"ServiceToken": {"Fn::GetAtt": ["Emptier", "Arn"]}}}}}
    lines = ["START 1", "AccessDenied in", "END 1", "REPORT 1"]
    # When asked for the cause
    cause = failing(
        cloud,
        template,
        describe_stack_resource=lambda **_: {"StackResourceDetail": {"PhysicalResourceId": "shop-dev-emptier"}},
        filter_log_events=lambda **asked: {"events": [{"message": f"{m} {asked['logGroupName']}"} for m in lines]},
    )
    # Then its lines are there, without Lambda's own
    assert cause.logs == ("AccessDenied in /aws/lambda/shop-dev-emptier",)


def test_a_refusal_before_the_start_is_a_cause() -> None:
    cloud = Cloud()
    cloud.event(STACK, "ROLLBACK_COMPLETE", "Validation failed")
    refusal = {
        "EventId": "1",
        "OperationId": "o",
        "EventType": "VALIDATION_ERROR",
        "ValidationStatus": "FAILED",
        "ValidationName": "NAME_CONFLICT_VALIDATION",
        "ValidationStatusReason": "'t' already exists.",
        "LogicalResourceId": "T",
        "ResourceType": "AWS::DynamoDB::Table",
        "Timestamp": None,
    }
    cause = failing(cloud, describe_events=lambda **_: {"OperationEvents": [refusal]})
    assert (cause.path, cause.reason) == ("Storage/Table", "'t' already exists.")


def test_the_error_names_cause_state_and_next_command() -> None:
    cloud = Cloud()
    cloud.event("T", "CREATE_FAILED", "Table already exists: t", "AWS::DynamoDB::Table")
    cloud.event(STACK, "ROLLBACK_COMPLETE")
    error = execute.failure(STACK, "created", Outcome(StackState.of("ROLLBACK_COMPLETE"), cause=failing(cloud)))
    assert error.message == (
        "shop-dev was not created: Storage/Table (rtp/infra/storage.py) failed: Table already exists: t. "
        "It is now ROLLBACK_COMPLETE."
    )
    assert "delete or rename it" in error.hint and "rtp deploy" in error.hint


class Unreachable:
    """DescribeStackEvents that fails with each of these errors in turn, and then answers."""

    def __init__(
        self, cloud: Cloud, errors: list[AwsError], *, then: tuple[str, str] = (STACK, "UPDATE_COMPLETE")
    ) -> None:
        self.cloud, self.errors, self.then = cloud, errors, then
        self.aws = cloud.aws(describe_stack_events=self._events)
        self.clock = FakeClock()
        self.begun = False

    def _events(self, **_: Any) -> dict[str, Any]:
        if self.begun and self.errors:
            raise self.errors.pop(0)
        if self.begun and self.then is not None and self.cloud.status != self.then[1]:
            self.cloud.event("Fn", "UPDATE_COMPLETE")
            self.cloud.event(*self.then)
        return {"StackEvents": self.cloud.events[::-1]}

    def steps(self, operation: Operation | None = None) -> Iterator[Any]:
        follower = Follower(self.aws, STACK_ID, clock=self.clock.clock)  # type: ignore[arg-type]
        self.begun = True
        return execute.follow(follower, operation or Operation(), {})


OUTAGE = EndpointError("Nothing answered.")
PASSING = [
    OUTAGE,
    AwsError("slow down", code="throttled"),
    AwsError("500", code="unavailable"),
    CredentialsError("expired"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda e: e.code)
def test_a_deploy_is_followed_through_an_outage(error: AwsError) -> None:
    # Given a connection that fails six times while CloudFormation works
    cloud = Unreachable(Cloud(), [error] * 6)
    # When the update is followed
    steps = list(cloud.steps())
    # Then that is said once, and its end; no event is missed, and the pauses grow
    warnings = [s.message for s in steps if isinstance(s, Warn)]
    assert len(warnings) == 2 and warnings[0].startswith(error.message)
    assert "CloudFormation goes on meanwhile; trying again for up to 15 minutes." in warnings[0]
    assert warnings[1] == "Following again; no event was missed."
    assert [s.logical_id for s in steps if isinstance(s, Event)] == ["Fn"]
    assert cloud.clock.pauses == sorted(cloud.clock.pauses) and cloud.clock.pauses[-1] > 15
    # And new credentials are read where they had expired
    assert cloud.aws.operations().count("renew") == (6 if isinstance(error, CredentialsError) else 0)


def test_an_outage_that_does_not_end_says_that_the_deployment_continues_and_how_to_join_it() -> None:
    operation = Operation(command="rtp destroy")
    cloud = Unreachable(Cloud(), [CredentialsError("Expired.", hint="Sign in again.")] * 100)
    with pytest.raises(CredentialsError) as caught:
        list(cloud.steps(operation))
    assert caught.value.message == "Expired. CloudFormation continues without rtp."
    assert caught.value.hint == "Sign in again. `rtp destroy` waits for its end and goes on from there."
    assert 900 <= cloud.clock.now < 960 and operation.may_be_running


def test_a_denied_call_ends_the_following_at_once() -> None:
    cloud = Unreachable(Cloud(), [AwsError("denied", code="access-denied")])
    with pytest.raises(AwsError, match="denied CloudFormation continues"):
        list(cloud.steps())
    assert cloud.clock.now == 0


def test_credentials_of_another_account_do_not_go_on() -> None:
    cloud = Unreachable(Cloud(), [CredentialsError("expired")] * 2)

    class Other(FakeAws):
        def renew(self) -> None:
            raise RefusedError("another account")

    cloud.aws = Other(cloud.aws.answers, local=True)
    with pytest.raises(RefusedError):
        list(cloud.steps())


def test_an_outage_between_a_failure_and_its_rollback_is_no_end() -> None:
    # Given a creation that fails, and a stack that cannot be described when it is to be seen whether a rollback follows
    cloud = Cloud(status="CREATE_IN_PROGRESS")
    unreachable = Unreachable(cloud, [], then=(STACK, "CREATE_FAILED"))
    answers: list[Any] = [OUTAGE, OUTAGE, "ROLLBACK_IN_PROGRESS"]

    def describe(**_: Any) -> dict[str, Any]:
        answer = answers.pop(0) if answers else cloud.status
        if isinstance(answer, AwsError):
            raise answer
        if answer == "ROLLBACK_IN_PROGRESS":
            cloud.event(STACK, "ROLLBACK_COMPLETE")
            unreachable.then = (STACK, "ROLLBACK_COMPLETE")
        return {"Stacks": [cloud.description() | {"StackStatus": answer}]}

    unreachable.aws.answers["describe_stacks"] = describe
    list(unreachable.steps())
    assert cloud.status == "ROLLBACK_COMPLETE" and answers == []


def test_events_of_a_page_that_was_read_before_an_error_are_not_lost() -> None:
    cloud = Cloud()
    cloud.event("A", "CREATE_COMPLETE")
    cloud.event("B", "CREATE_COMPLETE")
    known: set[str] = set()

    class Pages:
        broken = True

        def pages(self, *_: Any, **__: Any) -> Iterator[Any]:
            yield cloud.events[1]
            if self.broken:
                raise OUTAGE
            yield cloud.events[0]

    aws: Any = Pages()
    with pytest.raises(EndpointError):
        stacks.events_since(aws, STACK_ID, known)
    Pages.broken = False
    assert [e.logical_id for e in stacks.events_since(aws, STACK_ID, known)] == ["A", "B"]
