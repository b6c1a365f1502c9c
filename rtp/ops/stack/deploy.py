"""Deploying: synthesise, repair the stack where it needs that, and bring it to the new template the shortest way."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rtp import fastpath
from rtp.aws import api, stacks
from rtp.errors import AwsError, RefusedError
from rtp.ops import files
from rtp.ops.access import guard, lock, ownership
from rtp.ops.stack import repair
from rtp.ops.stack.apply import adopt, emptier, lease, logging_role, publish, rollback
from rtp.ops.stack.build import assembly
from rtp.ops.stack.code import hotswap
from rtp.ops.stack.compare import approval, missing
from rtp.ops.stack.compare.changes import compare
from rtp.ops.stack.finish import finish
from rtp.ops.stack.operation import Target
from rtp.ops.stack.options import Mark
from rtp.ops.stack.prepare import prepare
from rtp.ops.stack.steps import Note, Phase, Result, Warn
from rtp.ops.stack.update import Update, carry_out
from rtp.ops.work.steps import drained
from rtp.text import suggest, times

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.stacks import Stack
    from rtp.config import Environment
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.compare.missing import Missing
    from rtp.ops.stack.operation import Operation
    from rtp.ops.stack.options import Options
    from rtp.ops.stack.steps import Step

FIRST_PHASE = "synthesising"  # before a deploy changes anything


def deploy(
    environment: Environment, connect: Callable[[], Aws], options: Options, operation: Operation
) -> Generator[Step, None, None]:
    """Deploy one environment; yields what happens. Raises RtpError.

    connect: gives AWS, and starts the embedded engine where the environment is on it.
    """
    if options.outputs_file is not None:
        files.check(options.outputs_file, "Nothing was changed; name another file.")
    with lock.held(environment.state, environment.name, "deploy"), ExitStack() as until_end:
        yield Phase(FIRST_PHASE)
        prepared = prepare(environment, connect)
        aws, built = prepared.aws, prepared.assembly
        yield Note(guard.where(aws, environment))
        yield from (Note(text) for text in prepared.notes)
        yield from (Warn(text) for text in prepared.warnings)
        if not options.dry_run:  # which changes nothing: CI may show the change sets of several changes at once
            again = options.unless_changed_since is not None  # the first deploy of --watch has said it
            yield from lease.take(aws, environment.names.stack, operation, until_end, quiet=again)
        paths = assembly.construct_paths(built.path, environment.names.stack)
        target, stack = _described(Target(aws, environment, paths=paths), options, operation)
        check_unchanged(target, stack, options.unless_changed_since)
        if stack is not None and stack.protected and not environment.protected:
            question = approval.unprotecting(target.name, environment.name)
            if options.dry_run:
                yield from (Warn(text) for text in question.about)
            else:
                operation.ask(question, target)
        is_adopting = options.adopt and (stack is None or stack.state.in_review)
        if is_adopting:
            yield from _logging_role(target, {}, built, options, operation)  # it may refuse; the import changes things
            yield from adopt.adopt(target, built, operation, dry_run=options.dry_run)
            target, stack = _described(target, options, operation)
        if stack is not None and not (stack.state.usable or stack.state.in_review):
            if options.dry_run:  # the CDK CLI would delete a stack that never worked
                yield Warn(f"{target.name} is {stack.state}; a deploy has to repair that first.")
                yield Result("dry-run", target.name, operation.elapsed_s)
                return
            yield from _repair(target, stack, built, options, operation)
            target, stack = _described(target, options, operation)
        yield from _bring(target, stack, built, options, operation, is_checked=is_adopting)


def mark(aws: Aws, environment: Environment) -> Mark:
    """The environment's stack as it is now; without an id where there is none. Raises AwsError."""
    stack = stacks.describe(aws, environment.names.stack)
    if stack is None:
        return Mark("", None)
    try:
        code = hotswap.hashes(Target(aws, environment))
    except AwsError:  # what is not known is not compared
        code = frozenset()
    return Mark(stack.id, stack.updated, code=code)


def check_unchanged(target: Target, stack: Stack | None, before: Mark | None) -> None:
    """Raises RefusedError where the stack is not the one that it was, or somebody else has deployed."""
    if before is None:
        return
    name, again = target.name, suggest.command("rtp", "deploy")
    is_same = stack is not None and stack.id == before.stack_id
    if stack is not None and is_same and (stack.updated == before.updated or not before.is_time_known):
        # A rollback or a hotswap leaves no trace at the stack. A function that is gone is created again.
        if before.code and not hotswap.hashes(target) <= before.code:
            raise RefusedError(
                f"The functions of {name} got other code by another command, such as a rollback; nothing was changed.",
                hint=suggest.sentence("{} replaces that by the code in this folder.", again),
                code="changed-elsewhere",
            )
        return
    if stack is None or stack.id != before.stack_id:
        what = "was deleted" if stack is None else "was deleted and created again"
        raise RefusedError(
            f"{name} {what} by another command; nothing was changed.",
            hint=suggest.sentence("{} creates or updates it.", again),
            code="changed-elsewhere",
        )
    when = f" at {times.clock(times.ms(stack.updated))}" if stack.updated else ""
    raise RefusedError(
        f"{name} was deployed by another command{when}; nothing was changed.",
        hint=suggest.sentence("{} replaces that by the code in this folder.", again),
        code="changed-elsewhere",
    )


def _described(target: Target, options: Options, operation: Operation) -> tuple[Target, Stack | None]:
    """The stack as it is now, and the target that names it: ours, or taken over with consent. Raises RefusedError."""
    stack = stacks.describe(target.aws, target.name)
    operation.outputs_before = api.reachable(stack.outputs, target.aws) if stack else {}
    target = replace(target, stack_id=stack.id if stack else "")
    owner = ownership.foreign(target.aws, stack, target.environment)
    if owner == ownership.NOBODY and options.adopt and stack is not None and (stack.imported or stack.state.in_review):
        target = replace(target, former_owner=owner)  # an import has no tags; the update that follows gives them
    if owner is not None and target.former_owner is None and options.take_over:
        target = replace(target, former_owner=owner)
        operation.ask(ownership.take_over(target.environment, owner), target)
    ownership.check(target.aws, stack, target.environment, former_owner=target.former_owner)
    return target, stack


def _repair(target: Target, stack: Stack, built: Assembly, options: Options, operation: Operation) -> Iterator[Step]:
    yield from repair.repair(
        target,
        operation,
        stack,
        rollback=options.rollback,
        before_rollback=lambda current: emptier.replace_before_rollback(target, current, built),
    )


def _logging_role(
    target: Target, old: Mapping[str, Any], built: Assembly, options: Options, operation: Operation
) -> Iterator[Step]:
    yield from logging_role.ensure(
        target, old, built.template, operation, make=options.make_logging_role, dry_run=options.dry_run
    )


def _bring(
    target: Target,
    stack: Stack | None,
    built: Assembly,
    options: Options,
    operation: Operation,
    *,
    is_checked: bool,
) -> Iterator[Step]:
    """Bring the stack from its template to the new one, the shortest way.

    Where the two are the same, restore what was changed outside CloudFormation; where only code differs, update that.
    is_checked: whether API Gateway's logging role was checked already.
    """
    dry_run, old = options.dry_run, stacks.template_of(target.aws, stack)
    manifest = assembly.manifest(built.path, target.name)
    working = stack is not None and stack.state.usable
    if stack is not None and not stack.state.in_review:
        yield from emptier.check_removal(target, stack, old, built.template, dry_run=dry_run)
    gone: tuple[Missing, ...] = ()
    if stack is not None and working:
        found = missing.find(target.aws, stack.id)
        gone = found.gone
        yield from (Warn(m.problem) for m in found.missing if m.ends)
        yield from (Warn(missing.announcement(m)) for m in gone)
    if dry_run and working:
        diverged = hotswap.diverged(hotswap.running(target), old, built, target.paths)
        yield from (Warn(d.description) for d in diverged if d.function not in {m.name for m in gone})
    if stack is not None and working and not gone and old == built.template and assembly.matches(manifest, stack):
        restored: tuple[str, ...] = ()
        if options.hotswap and not dry_run:
            operation.has_swapped = True
            restored = drained(hotswap.put_back(target, built))
        elif not dry_run:
            restored = yield from hotswap.put_back(target, built)
        status = ("hotswapped" if options.hotswap else "restored") if restored else "unchanged"
        yield from finish(target, options, operation, status, len(restored), built=built, restored=restored)
        return
    changes = compare(old, built.template, target.paths)
    code_only = working and publish.only_code(changes) and not target.environment.protected
    if options.hotswap:
        if code_only and not gone and target.former_owner is None:  # a hotswap would leave the former owner's tags
            yield Phase("updating the functions")
            operation.check_lease()
            operation.is_swapping = operation.has_swapped = True
            hotswap.swap(target, publish.code_archive(built, changes))
            operation.is_swapping = False
            yield from finish(target, options, operation, "hotswapped", len(changes), built=built)
            return
        more = "A resource is missing" if gone else "More than code has changed"
        yield Warn(f"{more}, so this is a deploy through CloudFormation.")
    if not is_checked:
        yield from _logging_role(target, old, built, options, operation)
    yield Phase("publishing assets and preparing the change set")
    has_alarms = working and stack is not None and not stack.imported
    triggers = rollback.triggers(target, stack if has_alarms else None, options.watch_alarms_s)
    change_set = None
    if code_only and not triggers.alarms and not gone:
        change_set = publish.code_alone(target, built, changes, manifest.tags)
    elif target.environment.embedded and not gone and fastpath.enabled("engine-publish"):
        change_set = publish.on_engine(target, built, manifest, stack)
    if change_set is None:
        change_set = publish.with_cdk(target, built, triggers, revert_drift=bool(gone))
    protected = stack is not None and stack.protected
    if change_set.empty and not dry_run:
        protected = manifest.termination_protection  # which may be all that was to change
    target = replace(target, stack_id=change_set.stack_id)
    yield from carry_out(target, Update(change_set, old, built, protected, gone), options, operation)
