"""Applying a prepared change set and following it to its end."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import changesets
from rtp.errors import RtpError
from rtp.ops.stack.apply import causes
from rtp.ops.stack.apply.follow import Follower, Stage
from rtp.ops.stack.steps import Cause, Event, Tick

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.changesets import ChangeSet
    from rtp.ops.stack.apply.follow import Underway

_NEXT = {
    "ROLLBACK_COMPLETE": "Fix the cause, then run `rtp deploy`; it clears the failed stack away first.",
    "UPDATE_ROLLBACK_COMPLETE": "The last good version runs again. Fix the cause, then run `rtp deploy`.",
    "UPDATE_ROLLBACK_FAILED": "Run `rtp deploy`; it says what is stuck and gets it going with your consent.",
    "ROLLBACK_FAILED": "Run `rtp deploy`; it clears the failed stack away first, with your consent.",
    "CREATE_FAILED": "Left as it is. Fix the cause, then run `rtp deploy --no-rollback` to go on from here.",
    "UPDATE_FAILED": "Left as it is. Fix the cause, then run `rtp deploy --no-rollback` to go on from here.",
}


@dataclass(slots=True)
class Applied:
    """What came of it, once the steps are through."""

    done: int = 0
    status: str = ""
    reason: str = ""
    cause: Cause | None = None


class DeployFailedError(RtpError):
    """A stack operation failed; its cause and the next command."""

    default_code = "deploy-failed"


def apply(
    aws: Aws,
    change_set: ChangeSet,
    applied: Applied,
    *,
    expected: frozenset[str],
    rollback: bool,
    paths: Mapping[str, str],
    template: Mapping[str, Any],
    underway: Underway,
) -> Iterator[Event | Tick]:
    """Execute it and tell every event. `applied` holds the end; a failed one has a cause where there is one.

    expected: logical ids that change by themselves, and not as a mere consequence.
    """
    began_ms = int(time.time() * 1000)
    follower = Follower(aws, change_set.stack_id, expected, underway)
    with underway.asking():
        changesets.execute(aws, change_set, token=f"rtp-{uuid.uuid4()}", rollback=rollback)
    yield from told(follower, paths)
    applied.done, applied.status, applied.reason = follower.done, follower.status, follower.reason
    if not follower.good:
        applied.cause = causes.first(aws, change_set.stack_id, follower.failures, paths, template, began_ms=began_ms)


def told(follower: Follower, paths: Mapping[str, str], *, joined: bool = False) -> Iterator[Event | Tick]:
    """The follower's events as steps, without those of the stack itself. joined: of an operation under way already."""
    began = time.monotonic()
    follower.underway.stage = Stage.WORKING
    for event in follower.joined() if joined else follower.events():
        elapsed = round(time.monotonic() - began, 2)
        if event is None:
            yield Tick(follower.done, follower.total, elapsed)
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
    follower.underway.stage = Stage.IDLE if joined else Stage.DONE


def failure(stack: str, operation: str, applied: Applied) -> DeployFailedError:
    """The error of a failed operation. operation: created, updated, deleted."""
    cause = applied.cause
    said = f"{stack} was not {operation}"
    if cause is not None:
        where = f" ({cause.source})" if cause.source else ""
        said += f": {cause.path or cause.logical_id}{where} failed: {cause.reason}"
    elif applied.reason:
        said += f": {applied.reason}"
    hint = _NEXT.get(applied.status, "Run `rtp status`, then repeat the command.")
    if cause is not None and "already exists" in cause.reason:
        hint = "It was kept by an earlier `rtp destroy`, or belongs to something else: delete or rename it. " + hint
    return DeployFailedError(f"{said}{'' if said.endswith('.') else '.'} It is now {applied.status}.", hint=hint)
