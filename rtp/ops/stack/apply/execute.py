"""Applying a prepared change set and following it to its end."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from rtp.aws import changesets, stacks
from rtp.errors import AwsError, RtpError
from rtp.ops.stack.apply import causes
from rtp.ops.stack.apply.follow import Follower, Outage
from rtp.ops.stack.operation import Stage
from rtp.ops.stack.steps import Event, Phase, Tick, Warn
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from rtp.aws.changesets import ChangeSet
    from rtp.aws.states import StackState
    from rtp.ops.stack.apply.follow import Outcome
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.steps import Step


_E = TypeVar("_E")
_TAKEN = (
    "An earlier stack left it, such as one destroyed with its data kept, or it belongs to something else. "
    "`rtp deploy --adopt` takes table, bucket and key with their data into the new stack; or delete or rename it. "
)


class DeployFailedError(RtpError):
    """A stack operation failed; its cause and the next command."""

    default_code = "deploy-failed"


def apply(
    target: Target,
    change_set: ChangeSet,
    operation: Operation,
    *,
    template: Mapping[str, Any],
    expected: frozenset[str] = frozenset(),
    rollback: bool = True,
) -> Generator[Event | Tick | Warn, None, Outcome]:
    """Execute a change set and follow it to its end; a failure has its cause, where one is found.

    template: the one that the change set applies. expected: logical ids that change by themselves, and not as a mere
    consequence; empty where any may.
    """
    began_ms = times.now_ms()

    def start(token: str) -> None:
        changesets.execute(target.aws, change_set, token=token, rollback=rollback)

    outcome = yield from run(target, operation, start, expected)
    if outcome.good:
        return outcome
    return replace(outcome, cause=causes.first(target, outcome.failures, template, began_ms=began_ms))


def run(
    target: Target, operation: Operation, start: Callable[[str], None], expected: frozenset[str] = frozenset()
) -> Generator[Event | Tick | Warn, None, Outcome]:
    """Have CloudFormation start an operation with one call, and follow it to its end. start: takes the call's token."""
    token = stacks.new_token()
    follower = Follower(target.aws, target.stack_id, expected, token)
    with operation.requesting():
        start(token)
    return (yield from follow(follower, operation, target.paths))


def follow(
    follower: Follower, operation: Operation, paths: Mapping[str, str]
) -> Generator[Event | Tick | Warn, None, Outcome]:
    """Follow an operation that this run has started."""
    operation.stage = Stage.RUNNING
    yield from _steps(follower, follower.events(), operation, paths)
    operation.stage = Stage.DONE
    return follower.outcome


def wait_out(target: Target, operation: Operation, state: StackState) -> Generator[Step, None, None]:
    """Wait for the end of an operation that somebody else has started. state: the stack's, as it was described."""
    operation.stage = Stage.RUNNING
    yield Warn(f"{target.name} is {state}; waiting for that operation to end.")
    yield Phase("waiting")
    follower = Follower(target.aws, target.stack_id)
    yield from _steps(follower, follower.joined(), operation, target.paths)
    operation.stage = Stage.IDLE


def _steps(
    follower: Follower, events: Iterable[stacks.Event | Outage | None], operation: Operation, paths: Mapping[str, str]
) -> Iterator[Event | Tick | Warn]:
    began = time.monotonic()
    for event in _with_way_on(events, operation):
        elapsed = round(time.monotonic() - began, 2)
        if event is None:
            yield Tick(follower.done, follower.total, elapsed)
        elif isinstance(event, Outage):
            yield Warn(event.message)
        else:
            yield Event(
                event.time,
                event.logical_id,
                paths.get(event.logical_id, ""),
                event.resource_type,
                event.physical_id,
                event.status,
                event.reason,
                follower.done,
                follower.total,
                elapsed,
            )


def _with_way_on(events: Iterable[_E], operation: Operation) -> Iterator[_E]:
    """The same events; an error that ends them says that the operation continues, and how to join it."""
    try:
        yield from events
    except AwsError as error:
        raise type(error)(
            f"{error.message} CloudFormation continues without rtp.",
            hint=f"{error.hint} `{operation.command}` waits for its end and goes on from there.".lstrip(),
            code=error.code,
            service_code=error.service_code,
        ) from error


def failure(stack: str, operation: str, outcome: Outcome) -> DeployFailedError:
    """The error of a failed operation. operation: created, updated, deleted."""
    cause = outcome.cause
    text = f"{stack} was not {operation}"
    if cause is not None:
        where = f" ({cause.source})" if cause.source else ""
        text += f": {cause.path or cause.logical_id}{where} failed: {cause.reason}"
    elif outcome.reason:
        text += f": {outcome.reason}"
    hint = _next_step(outcome.state)
    if cause is not None and "60 seconds after deleting a queue" in cause.reason:
        hint = f"Wait a minute: SQS takes the name of a deleted queue again 60 s after its deletion. {hint}"
    if cause is not None and "already exists" in cause.reason:
        hint = _TAKEN + hint
    return DeployFailedError(f"{text}{'' if text.endswith('.') else '.'} It is now {outcome.state}.", hint=hint)


def _next_step(state: StackState) -> str:
    """What to do about a failed operation that has left a stack in this state."""
    if state.paused:
        return "The stack was left as it is. Fix the cause, then run `rtp deploy --no-rollback` to continue from here."
    if state.stuck:
        return "Run `rtp deploy`, which shows what is stuck and repairs it with your consent."
    if state.never_worked and state.delete_only:
        if state.failed:
            return "Run `rtp deploy`, which first deletes the failed stack with your consent."
        return "Fix the cause, then run `rtp deploy`, which first deletes the failed stack."
    if state.usable and state.rolled_back:
        return "The last good version runs again. Fix the cause, then run `rtp deploy`."
    return "Run `rtp status`, then repeat the command."
