"""Stacks that CloudFormation will not update as they are: explained, and mended on consent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.aws import stacks
from rtp.errors import RtpError
from rtp.ops.stack import apply
from rtp.ops.stack.follow import Follower
from rtp.ops.stack.removal import Removed, remove
from rtp.ops.stack.steps import Phase, Question, Warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.ops.stack.steps import Step

    Consent = Callable[[Question], None]

_NEVER_WORKED = {
    "ROLLBACK_COMPLETE": "its first deploy failed and was rolled back",
    "ROLLBACK_FAILED": "its first deploy failed, and so did the rollback",
    "DELETE_FAILED": "its deletion failed half-way",
}
_PAUSED = ("CREATE_FAILED", "UPDATE_FAILED")


def mend(
    aws: Aws, found: dict[str, Any] | None, consent: Consent, *, rollback: bool, paths: Mapping[str, str]
) -> Iterator[Step]:
    """Get a stack to where a change set can be made for it: wait for it, roll it back, or delete it.

    rollback: whether the coming deploy will roll back; one that will not may go on from a paused stack.
    """
    if found is None:
        return
    stack, stack_id = str(found["StackName"]), str(found["StackId"])
    status = str(found["StackStatus"])
    if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        yield Warn(f"{stack} is {status} already; waiting for that to end.")
        yield Phase("waiting")
        yield from apply.told(Follower(aws, stack_id), paths, joined=True)
        found = stacks.describe(aws, stack)
        if found is None:
            return
        status = str(found["StackStatus"])
    if status in _PAUSED and rollback:
        yield from _roll_back(aws, found, consent, paths)
        found = stacks.describe(aws, stack)
        if found is None:
            return
        status = str(found["StackStatus"])
        if status in _NEVER_WORKED:
            yield from _delete(aws, stack_id, paths)
            return
    if status in _NEVER_WORKED:
        held = stacks.resources(aws, stack_id)
        consent(
            Question(
                "Delete it and deploy anew?",
                (
                    f"{stack} is {status}: {_NEVER_WORKED[status]}. CloudFormation cannot update such a stack.",
                    f"It still holds {len(held)} resources, which go with it." if held else "It holds no resources.",
                ),
            )
        )
        yield from _delete(aws, stack_id, paths)
    elif status == "UPDATE_ROLLBACK_FAILED":
        yield from _continue(aws, stack, stack_id, consent, paths)


def _roll_back(aws: Aws, found: dict[str, Any], consent: Consent, paths: Mapping[str, str]) -> Iterator[Step]:
    consent(
        Question(
            "Roll it back first?",
            (
                f"{found['StackName']} is {found['StackStatus']}: a deploy without rollback failed and was left so.",
                "Rolled back, it is as it was before that; `--no-rollback` would go on from here instead.",
            ),
        )
    )
    yield Phase("rolling back")
    follower = Follower(aws, str(found["StackId"]))
    stacks.roll_back(aws, str(found["StackId"]))
    yield from apply.told(follower, paths)


def _delete(aws: Aws, stack_id: str, paths: Mapping[str, str]) -> Iterator[Step]:
    removed = Removed()
    yield from remove(aws, stack_id, removed, resources=stacks.resources(aws, stack_id), paths=paths)
    if removed.status == "DELETE_COMPLETE":
        return
    cause = removed.cause
    raise RtpError(
        f"The failed stack could not be deleted: {cause.path or cause.logical_id}: {cause.reason}."
        if cause
        else f"The failed stack could not be deleted; it is {removed.status}.",
        hint="Run `rtp destroy`, then `rtp deploy`.",
        code="stuck",
    )


def _continue(aws: Aws, stack: str, stack_id: str, consent: Consent, paths: Mapping[str, str]) -> Iterator[Step]:
    consent(
        Question(
            "Try the rollback again?",
            (
                f"{stack} is UPDATE_ROLLBACK_FAILED: an update failed, and these could not be put back:",
                *_listed(_failed(aws, stack_id), paths),
            ),
        )
    )
    yield from _once_more(aws, stack_id, (), paths)
    if not _still_failed(aws, stack):
        return
    failed = _failed(aws, stack_id)
    names = tuple(e.logical_id for e in failed)
    consent(
        Question(
            "Finish the rollback without them?",
            (
                "The rollback has failed again, at:",
                *_listed(failed, paths),
                "CloudFormation will then take them to be as the old template says, which they may not be.",
            ),
        )
    )
    yield from _once_more(aws, stack_id, names, paths)
    if _still_failed(aws, stack):
        raise RtpError(
            f"{stack} is still UPDATE_ROLLBACK_FAILED.",
            hint=f"Mend {', '.join(names)} by hand, then run `rtp deploy` again.",
            code="stuck",
        )


def _once_more(aws: Aws, stack_id: str, skip: tuple[str, ...], paths: Mapping[str, str]) -> Iterator[Step]:
    yield Phase("rolling back")
    follower = Follower(aws, stack_id)
    stacks.continue_rollback(aws, stack_id, skip=skip)
    yield from apply.told(follower, paths)


def _still_failed(aws: Aws, stack: str) -> bool:
    found = stacks.describe(aws, stack)
    return found is not None and found["StackStatus"] == "UPDATE_ROLLBACK_FAILED"


def _failed(aws: Aws, stack_id: str) -> list[stacks.Event]:
    """Resources whose last event is a failure, with it."""
    last = {e.logical_id: e for e in stacks.events_since(aws, stack_id, set()) if e.physical_id != stack_id}
    return [e for e in last.values() if e.status in ("UPDATE_FAILED", "DELETE_FAILED")]


def _listed(failed: list[stacks.Event], paths: Mapping[str, str]) -> list[str]:
    return [f"  {paths.get(e.logical_id) or e.logical_id}: {e.reason}" for e in failed]
