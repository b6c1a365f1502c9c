"""Stacks that CloudFormation will not update as they are: explained, and repaired with the operator's consent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import stacks
from rtp.errors import RtpError
from rtp.ops.access.question import Question
from rtp.ops.stack.apply import execute
from rtp.ops.stack.steps import Phase
from rtp.ops.stack.teardown import inventory
from rtp.ops.stack.teardown.empty import remove
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws.stacks import Resource, Stack
    from rtp.aws.states import StackState
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.steps import Step

    Prepare = Callable[[Stack], Iterator[Step]]


def repair(
    target: Target, operation: Operation, stack: Stack, *, rollback: bool, before_rollback: Prepare
) -> Iterator[Step]:
    """Bring a stack to where a change set can be made for it: wait for it, roll it back, or delete it.

    stack: as it was described. rollback: whether the coming deploy will roll back; one that will not may go on from a
    paused stack. before_rollback: what must be done to the stack before an update of it is rolled back.
    """
    current: Stack | None = stack
    if stack.state.busy:
        yield from execute.wait_out(target, operation, stack.state)
        current = stacks.describe(target.aws, target.name)
    rolled_back = current is not None and current.state.paused and rollback
    if current is not None and rolled_back:
        yield from _roll_back(target, operation, current, before_rollback)
        current = stacks.describe(target.aws, target.name)
    if current is None:
        return
    if current.state.delete_only:
        yield from _delete(target, operation, current, asked=rolled_back)
    elif current.state.stuck:
        yield from _continue(target, operation, current, before_rollback)


def _roll_back(target: Target, operation: Operation, stack: Stack, before_rollback: Prepare) -> Iterator[Step]:
    about = [
        f"{target.name} is {stack.state}: a deploy without rollback failed and was left as it was.",
        "A rollback restores what was deployed before it; `--no-rollback` would continue from here instead.",
    ]
    typed = ""
    if stack.state.never_worked:
        keep = inventory.kept(stacks.template_of(target.aws, stack), keep_data=False)
        contents = inventory.holding(target.aws, stacks.resources(target.aws, target.stack_id))
        goes = [_item(item) for resource, item in contents if resource.logical_id not in keep]
        if goes:
            about += ["It was the first deploy, so these would be deleted with their contents:", *goes]
            typed = target.name if target.environment.protected else ""
    operation.ask(Question("Roll it back first?", tuple(about), typed), target)
    if not stack.state.never_worked:
        yield from before_rollback(stack)
    yield Phase("rolling back")
    yield from execute.run(target, operation, lambda token: stacks.roll_back(target.aws, target.stack_id, token=token))


def _delete(target: Target, operation: Operation, stack: Stack, *, asked: bool) -> Iterator[Step]:
    """asked: the operator has agreed to a rollback just now; where that left nothing, no second consent is needed."""
    resources = stacks.resources(target.aws, target.stack_id)
    keep = inventory.kept(stacks.template_of(target.aws, stack), keep_data=False)
    if resources or not asked:
        operation.ask(_deletion(target, stack.state, resources, keep), target)
    outcome = yield from remove(target, operation, resources, keep, protected=stack.protected)
    if outcome.good:
        return
    cause = outcome.cause
    raise RtpError(
        f"The failed stack could not be deleted: {cause.path or cause.logical_id}: {cause.reason}."
        if cause
        else f"The failed stack could not be deleted; it is {outcome.state}.",
        hint="Run `rtp destroy`, then `rtp deploy`.",
        code="stuck",
    )


def _deletion(target: Target, state: StackState, resources: list[Resource], keep: frozenset[str]) -> Question:
    """What is deleted and kept. Data of a protected environment need the typed name, as for a destroy."""
    contents = inventory.holding(target.aws, resources)
    goes = [_item(item) for resource, item in contents if resource.logical_id not in keep]
    stays = [_item(item) for resource, item in contents if resource.logical_id in keep]
    count = sum(r.logical_id not in keep for r in resources)
    about = [
        f"{target.name} is {state}: {_history(state)}. CloudFormation cannot update such a stack.",
        f"{many(count, 'resource')} would be deleted with it{', and the contents of:' if goes else '.'}",
        *goes,
    ]
    if stays:
        about += ["Its template retains these, and a new stack cannot use their names while they exist:", *stays]
    typed = target.environment.protected and bool(goes or (stays and not state.never_worked))
    return Question("Delete it and deploy again?", tuple(about), target.name if typed else "")


def _history(state: StackState) -> str:
    """How a stack that can only be deleted came to that."""
    if not state.never_worked:
        return "its deletion failed half-way"
    return f"its first deploy failed{', and so did the rollback' if state.failed else ' and was rolled back'}"


def _item(item: inventory.Item) -> str:
    return f"  {item.kind} {item.name}{f': {item.note}' if item.note else ''}"


def _continue(target: Target, operation: Operation, stack: Stack, before_rollback: Prepare) -> Iterator[Step]:
    about = f"{target.name} is {stack.state}: an update failed, and these could not be restored:"
    operation.ask(Question("Try the rollback again?", (about, *_lines(target, _failed(target)))), target)
    yield from before_rollback(stack)
    yield from _once_more(target, operation)
    if _stuck(target) is None:
        return
    failed = _failed(target)
    names = tuple(e.logical_id for e in failed)
    consequence = "CloudFormation will then assume that they are as the old template says, which they may not be."
    lines = ("The rollback has failed again, at:", *_lines(target, failed), consequence)
    operation.ask(Question("Finish the rollback without them?", lines), target)
    yield from _once_more(target, operation, skip=names)
    if (state := _stuck(target)) is not None:
        raise RtpError(
            f"{target.name} is still {state}.",
            hint=f"Fix {', '.join(names)} by hand, then run `rtp deploy` again.",
            code="stuck",
        )


def _once_more(target: Target, operation: Operation, skip: tuple[str, ...] = ()) -> Iterator[Step]:
    yield Phase("rolling back")
    yield from execute.run(
        target, operation, lambda token: stacks.continue_rollback(target.aws, target.stack_id, token=token, skip=skip)
    )


def _stuck(target: Target) -> StackState | None:
    """The stack's state, where its rollback has still failed."""
    stack = stacks.describe(target.aws, target.name)
    return stack.state if stack is not None and stack.state.stuck else None


def _failed(target: Target) -> list[stacks.Event]:
    """The last event of every resource whose last event is a failure."""
    events = stacks.events_since(target.aws, target.stack_id, set())
    last = {e.logical_id: e for e in events if e.physical_id != target.stack_id}
    return [e for e in last.values() if e.status.not_restored]


def _lines(target: Target, failed: list[stacks.Event]) -> list[str]:
    return [f"  {target.paths.get(e.logical_id) or e.logical_id}: {e.reason}" for e in failed]
