"""Stacks that CloudFormation will not update as they are: explained, and fixed on consent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.aws import stacks
from rtp.errors import RtpError
from rtp.ops.access.question import Question
from rtp.ops.stack.apply import execute
from rtp.ops.stack.apply.follow import Follower, Stage
from rtp.ops.stack.steps import Phase, Warn
from rtp.ops.stack.teardown import inventory
from rtp.ops.stack.teardown.empty import remove
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource
    from rtp.config import Environment
    from rtp.ops.stack.apply.follow import Underway
    from rtp.ops.stack.steps import Step
    from rtp.ops.stack.teardown.empty import Removed

    Consent = Callable[[Question], None]
    Prepare = Callable[[dict[str, Any]], Iterator[Step]]

_NEVER_WORKED = {
    "ROLLBACK_COMPLETE": "its first deploy failed and was rolled back",
    "ROLLBACK_FAILED": "its first deploy failed, and so did the rollback",
    "DELETE_FAILED": "its deletion failed half-way",
}
_PAUSED = ("CREATE_FAILED", "UPDATE_FAILED")


def repair(
    aws: Aws,
    environment: Environment,
    found: dict[str, Any] | None,
    consent: Consent,
    *,
    rollback: bool,
    before_rollback: Prepare,
    paths: Mapping[str, str],
    underway: Underway,
    removed: Removed,
    recheck: Callable[[], None],
) -> Iterator[Step]:
    """Get a stack to where a change set can be made for it: wait for it, roll it back, or delete it.

    rollback: whether the coming deploy will roll back; one that will not may go on from a paused stack.
    before_rollback: what must be done to the stack, as it is described, before an update of it is rolled back.
    removed: of a deletion, how far it has got. recheck: raises where the stack is another's by now.
    """
    if found is None:
        return
    stack, stack_id = str(found["StackName"]), str(found["StackId"])
    status = str(found["StackStatus"])
    if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        underway.stage = Stage.WORKING
        yield Warn(f"{stack} is {status} already; waiting for that to end.")
        yield Phase("waiting")
        yield from execute.told(Follower(aws, stack_id, underway=underway), paths, joined=True)
        found = stacks.describe(aws, stack)
        if found is None:
            return
        status = str(found["StackStatus"])
    rolled_back = status in _PAUSED and rollback
    if rolled_back:
        yield from _roll_back(aws, environment, found, consent, before_rollback, paths, underway)
        found = stacks.describe(aws, stack)
        if found is None:
            return
        status = str(found["StackStatus"])
    if status in _NEVER_WORKED:
        resources, template = stacks.resources(aws, stack_id), stacks.template_of(aws, found)
        keep = inventory.kept(template, keep_data=False)
        if resources or not rolled_back:  # what was just rolled back with consent, and is empty, needs no second one
            consent(_deletion(aws, environment, found, resources, keep))
        yield from _delete(aws, found, resources, keep, paths, underway, removed, recheck)
    elif status == "UPDATE_ROLLBACK_FAILED":
        yield from _continue(aws, found, consent, before_rollback, paths, underway)


def _deletion(
    aws: Aws, environment: Environment, found: dict[str, Any], resources: list[Resource], keep: frozenset[str]
) -> Question:
    """What goes and what stays; where a protected environment's data are in it, asked as a destroy asks."""
    stack, status = str(found["StackName"]), str(found["StackStatus"])
    holding = inventory.holding(aws, resources)
    goes = [_item(i) for r, i in holding if r.logical_id not in keep]
    stays = [_item(i) for r, i in holding if r.logical_id in keep]
    count = sum(r.logical_id not in keep for r in resources)
    about = [
        f"{stack} is {status}: {_NEVER_WORKED[status]}. CloudFormation cannot update such a stack.",
        f"{many(count, 'resource')} would be deleted with it{', and what these hold:' if goes else '.'}",
        *goes,
    ]
    if stays:
        about += ["Its template retains these, whose names a new stack cannot have while they are there:", *stays]
    typed = environment.protected and bool(goes or (stays and status == "DELETE_FAILED"))
    return Question("Delete it and deploy anew?", tuple(about), stack if typed else "")


def _item(item: inventory.Item) -> str:
    return f"  {item.kind} {item.name}{f': {item.note}' if item.note else ''}"


def _roll_back(
    aws: Aws,
    environment: Environment,
    found: dict[str, Any],
    consent: Consent,
    before_rollback: Prepare,
    paths: Mapping[str, str],
    underway: Underway,
) -> Iterator[Step]:
    about = [
        f"{found['StackName']} is {found['StackStatus']}: a deploy without rollback failed and was left so.",
        "Rolled back, it is as it was before that; `--no-rollback` would go on from here instead.",
    ]
    typed = ""
    if found["StackStatus"] == "CREATE_FAILED":
        stack_id = str(found["StackId"])
        keep = inventory.kept(stacks.template_of(aws, found), keep_data=False)
        goes = [
            _item(i) for r, i in inventory.holding(aws, stacks.resources(aws, stack_id)) if r.logical_id not in keep
        ]
        if goes:
            about += ["It was the first deploy, so these would be deleted with what they hold:", *goes]
            typed = str(found["StackName"]) if environment.protected else ""
    consent(Question("Roll it back first?", tuple(about), typed))
    if found["StackStatus"] == "UPDATE_FAILED":
        yield from before_rollback(found)
    yield Phase("rolling back")
    follower = Follower(aws, str(found["StackId"]), underway=underway)
    with underway.asking():
        stacks.roll_back(aws, str(found["StackId"]))
    yield from execute.told(follower, paths)


def _delete(
    aws: Aws,
    found: dict[str, Any],
    resources: list[Resource],
    keep: frozenset[str],
    paths: Mapping[str, str],
    underway: Underway,
    removed: Removed,
    recheck: Callable[[], None],
) -> Iterator[Step]:
    yield from remove(
        aws,
        str(found["StackId"]),
        removed,
        resources=resources,
        keep=keep,
        paths=paths,
        protected=bool(found.get("EnableTerminationProtection")),
        underway=underway,
        recheck=recheck,
    )
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


def _continue(
    aws: Aws,
    found: dict[str, Any],
    consent: Consent,
    before_rollback: Prepare,
    paths: Mapping[str, str],
    underway: Underway,
) -> Iterator[Step]:
    stack, stack_id = str(found["StackName"]), str(found["StackId"])
    consent(
        Question(
            "Try the rollback again?",
            (
                f"{stack} is UPDATE_ROLLBACK_FAILED: an update failed, and these could not be put back:",
                *_listed(_failed(aws, stack_id), paths),
            ),
        )
    )
    yield from before_rollback(found)
    yield from _once_more(aws, stack_id, (), paths, underway)
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
    yield from _once_more(aws, stack_id, names, paths, underway)
    if _still_failed(aws, stack):
        raise RtpError(
            f"{stack} is still UPDATE_ROLLBACK_FAILED.",
            hint=f"Fix {', '.join(names)} by hand, then run `rtp deploy` again.",
            code="stuck",
        )


def _once_more(
    aws: Aws, stack_id: str, skip: tuple[str, ...], paths: Mapping[str, str], underway: Underway
) -> Iterator[Step]:
    yield Phase("rolling back")
    follower = Follower(aws, stack_id, underway=underway)
    with underway.asking():
        stacks.continue_rollback(aws, stack_id, skip=skip)
    yield from execute.told(follower, paths)


def _still_failed(aws: Aws, stack: str) -> bool:
    found = stacks.describe(aws, stack)
    return found is not None and found["StackStatus"] == "UPDATE_ROLLBACK_FAILED"


def _failed(aws: Aws, stack_id: str) -> list[stacks.Event]:
    """Resources whose last event is a failure, with it."""
    last = {e.logical_id: e for e in stacks.events_since(aws, stack_id, set()) if e.physical_id != stack_id}
    return [e for e in last.values() if e.status in ("UPDATE_FAILED", "DELETE_FAILED")]


def _listed(failed: list[stacks.Event], paths: Mapping[str, str]) -> list[str]:
    return [f"  {paths.get(e.logical_id) or e.logical_id}: {e.reason}" for e in failed]
