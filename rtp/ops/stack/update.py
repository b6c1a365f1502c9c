"""Carrying out a prepared change set: have it approved, apply it, watch the alarms; or discard it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rtp.aws import changesets, stacks
from rtp.errors import RefusedError
from rtp.ops.access import ownership
from rtp.ops.stack.apply import alarm_watch, execute, rollback
from rtp.ops.stack.code import hotswap, versions
from rtp.ops.stack.compare import approval, missing
from rtp.ops.stack.finish import finish
from rtp.ops.stack.steps import Phase, Result
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws.alarms import Alarm
    from rtp.aws.changesets import ChangeSet
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.compare.missing import Missing
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.options import Options
    from rtp.ops.stack.steps import Step


@dataclass(frozen=True, slots=True)
class Update:
    """A prepared change set: from the template `old` to that of `built`.

    protected: whether termination protection is on where the change set is discarded.
    gone: resources that the change set is to create again.
    keeps_data: refuse where what holds data would be replaced or removed, even with consent.
    """

    change_set: ChangeSet
    old: dict[str, Any]
    built: Assembly
    protected: bool
    gone: tuple[Missing, ...] = ()
    keeps_data: bool = False


def carry_out(target: Target, update: Update, options: Options, operation: Operation) -> Iterator[Step]:
    """Show the change set, have it approved and apply it; discard it where it is not applied. Raises RtpError."""
    aws, environment, change_set = target.aws, target.environment, update.change_set
    before = stacks.describe(aws, change_set.stack_id)
    try:  # another project may have created it since it was described, and the change set would then update that
        ownership.check(aws, before, environment, former_owner=target.former_owner)
    except RefusedError:
        _discard(target, update)
        raise
    unrestored = [m for m in update.gone if m.logical_id not in {c.logical_id for c in change_set.changes}]
    if unrestored:  # a service may have said so of one that exists
        absent = {m.logical_id for m in missing.find(aws, change_set.stack_id).gone}
        unrestored = [m for m in unrestored if m.logical_id in absent]
    if unrestored:
        _discard(target, update)
        raise missing.not_restored(target.name, unrestored)
    if change_set.empty:
        _discard(target, update)
        yield from finish(target, options, operation, "unchanged", built=update.built)
        return
    new = before is None or before.state.in_review or before.imported
    plan = approval.plan(target.name, update.old, update.built.template, target.paths, change_set, create=new)
    yield plan
    try:
        if update.keeps_data:
            approval.check_data(plan)
    except RefusedError:
        _discard(target, update)
        raise
    if options.dry_run:
        _discard(target, update)
        yield Result("dry-run", target.name, operation.elapsed_s)
        return
    try:
        for question in approval.questions(plan, environment):
            operation.ask(question, target)
    except BaseException:
        _discard(target, update)
        raise
    watching = bool(options.watch_alarms_s) and not new
    if watching:
        yield from rollback.already_firing(target)
    # An alarm that has fired before the update says nothing about it.
    watched = alarm_watch.quiet(aws, environment.names)[0] if watching and environment.local else ()
    if not new:
        yield from versions.make_room(target, update.old, update.built.template)
    yield Phase("creating" if new else "updating")
    began_ms = times.now_ms()
    outcome = yield from execute.apply(
        target,
        change_set,
        operation,
        template=update.built.template,
        expected=frozenset(c.logical_id for c in plan.changes),
        rollback=options.rollback,
    )
    verb = "created" if new else "updated"
    if not outcome.good:
        yield Result("failed", target.name, operation.elapsed_s, outcome.done, outcome.cause)
        raise execute.failure(target.name, verb, outcome)
    target = replace(target, former_owner=None)  # it has our tags now
    if watched:
        yield from _watch(target, operation, watched, options.watch_alarms_s, since_ms=began_ms, old=update.old)
        target.recheck()
    if not new and hotswap.diverged(hotswap.running(target), update.built.template, update.built, target.paths):
        yield from hotswap.put_back(target, update.built)  # an update touches only what its templates differ in
    if update.gone and (still := missing.find(aws, change_set.stack_id).gone):
        raise missing.not_restored(target.name, still)
    yield from versions.prune(target, update.built.template)
    yield from finish(target, options, operation, verb, outcome.done, built=update.built)


def _watch(
    target: Target,
    operation: Operation,
    watched: tuple[Alarm, ...],
    seconds: int,
    *,
    since_ms: int,
    old: dict[str, Any],
) -> Iterator[Step]:
    """Raises RtpError when the update was rolled back."""
    outcome = yield from rollback.watch(target, operation, watched, seconds, since_ms=since_ms, old=old)
    if outcome is None:
        return
    if not outcome.good:
        raise execute.failure(target.name, "rolled back", outcome)
    yield Result("rolled-back", target.name, operation.elapsed_s, outcome.done)
    raise execute.DeployFailedError(
        f"{target.name} was updated and rolled back: {outcome.reason}.",
        hint="See `rtp logs --level error`; fix the cause, then run `rtp deploy` again.",
        code="rolled-back",
    )


def _discard(target: Target, update: Update) -> None:
    """Delete the change set, and the empty stack that was made for it.

    The CDK CLI switches termination protection as soon as it has prepared a change set.
    """
    aws, stack_id = target.aws, update.change_set.stack_id
    changesets.delete(aws, update.change_set)
    stack = stacks.describe(aws, stack_id)
    owner = ownership.foreign(aws, stack, target.environment)
    if stack is None or (owner is not None and owner != target.former_owner):
        return
    empty = stack.state.in_review and not update.old  # a description may be an old one
    protect = update.protected and not empty
    if stack.protected != protect:
        stacks.protect(aws, stack_id, on=protect)
    if empty:
        stacks.delete_empty(aws, stack_id)
