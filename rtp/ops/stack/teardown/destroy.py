"""Destroys a stack: shows what is deleted and kept, stops the event source, empties, deletes, and verifies."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rtp.aws import resource_types, stacks
from rtp.contract import Output
from rtp.errors import AwsError, NotFoundError, RtpError
from rtp.ops.access import guard, lock, ownership
from rtp.ops.access.question import Question
from rtp.ops.stack.apply import execute, lease
from rtp.ops.stack.build import assembly
from rtp.ops.stack.code import update
from rtp.ops.stack.operation import Target
from rtp.ops.stack.steps import Note, Phase, Result, Warn
from rtp.ops.stack.teardown import inventory, keys, proof, retain, secrets
from rtp.ops.stack.teardown.drain import TIMEOUT_S, Drain
from rtp.ops.stack.teardown.empty import remove
from rtp.ops.stack.teardown.intake import Intake, noticed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource, Stack
    from rtp.config import Environment
    from rtp.ops.stack.apply.follow import Outcome
    from rtp.ops.stack.operation import Operation
    from rtp.ops.stack.steps import Step
    from rtp.ops.stack.teardown.inventory import Plan
    from rtp.ops.stack.teardown.keys import OwnKeys
    from rtp.ops.stack.teardown.proof import Proof


@dataclass(frozen=True, slots=True)
class Options:
    """How to destroy. keep_data: table, buckets and key survive. drain: drain the queue first, within drain_s."""

    keep_data: bool = False
    drain: bool = False
    drain_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class _Contents:
    """A stack as it was described, with its resources and template, and the logical ids that are kept."""

    stack: Stack
    resources: list[Resource]
    template: dict[str, Any]
    keep: frozenset[str]

    @property
    def event_sources(self) -> list[str]:
        return [r.physical_id for r in self.resources if r.resource_type == resource_types.EVENT_SOURCE]


def destroy(
    aws: Aws, environment: Environment, options: Options, operation: Operation
) -> Generator[Step | Plan | Proof, None, None]:
    """Destroy one environment; yields what happens. Raises RtpError, also where something is left over."""
    name = environment.names.stack
    with lock.held(environment.state, environment.name, "destroy"), ExitStack() as until_end:
        guard.account(aws, environment)
        yield Note(guard.where(aws, environment))
        yield from lease.take(aws, name, operation, until_end)
        stack = stacks.describe(aws, name)
        if stack is None:
            yield from _absent(Target(aws, environment))
            return
        ownership.check(aws, stack, environment)
        paths = assembly.construct_paths(environment.state / "cdk" / environment.name, name)
        target = Target(aws, guard.as_deployed(environment, stack), stack.id, paths)
        if stack.state.busy:
            yield from execute.wait_out(target, operation, stack.state)
            stack = stacks.describe(aws, name)
            if stack is None:
                yield Result("destroyed", name, operation.elapsed_s)
                return
            ownership.check(aws, stack, environment)
            target = replace(target, stack_id=stack.id)  # another one, where it was deployed again meanwhile
        yield from _destroy(target, stack, options, operation)


def _destroy(target: Target, stack: Stack, options: Options, operation: Operation) -> Iterator[Step | Plan | Proof]:
    resources = stacks.resources(target.aws, target.stack_id)
    template = stacks.template_of(target.aws, stack)
    keep = inventory.kept(template, keep_data=options.keep_data)
    contents = _Contents(stack, resources, template, keep)
    if options.keep_data:
        retain.check(stack, resources, keep)
    plan = inventory.plan(target, resources, template, keep, drain=options.drain)
    own = secrets.of(target.aws, target.environment, keep_data=options.keep_data)
    clients = keys.of(target.aws, target.environment)
    yield replace(plan, goes=plan.goes + own.goes + clients.goes, stays=own.stays + plan.stays)
    for unchecked in filter(None, (own.unchecked, clients.unchecked)):
        yield Warn(unchecked)
    if not options.drain:
        yield from _closed_before(target.aws, contents.stack.outputs)
    operation.ask(_question(target), target)
    outcome = yield from _delete(target, contents, options, operation, partial(_detach, target, clients))
    if not outcome.good:
        yield Result("failed", target.name, operation.elapsed_s, outcome.done, outcome.cause)
        raise _failure(target.name, outcome)
    gone, left = secrets.delete(target.aws, own)
    keys_gone, keys_left = keys.delete(target.aws, target.environment, clients)
    gone, left = gone + keys_gone, left + keys_left
    yield Phase("verifying what is gone")
    api_id = contents.stack.outputs.get(Output.API_ID, "")
    proven = yield from proof.prove(
        target, resources, keep, keep_data=options.keep_data, api_id=api_id, known=own.names + clients.ids
    )
    proven = replace(proven, gone=replace(proven.gone, asked=proven.gone.asked + gone), left=proven.left + left)
    yield proven
    yield Result("destroyed" if proven.clean else "failed", target.name, operation.elapsed_s, proven.gone.proven)
    if not proven.clean:
        wrong = [item.name for item in proven.left if not item.expected]
        raise RtpError(
            f"{target.name} is deleted, but this still exists: {', '.join(wrong[:5])}{' …' if wrong[5:] else ''}.",
            hint="Delete it by hand if it is yours; nothing uses it any more.",
            code="left-behind",
        )


def _question(target: Target) -> Question:
    if target.environment.protected:
        return Question(f"Delete {target.name}?", typed=target.name)
    return Question(f"Delete {target.name} ({guard.where(target.aws, target.environment)})?")


def _delete(
    target: Target, contents: _Contents, options: Options, operation: Operation, detach: Callable[[], None]
) -> Generator[Step, None, Outcome]:
    """Drain if requested, retain what is kept, empty the buckets and delete the stack.

    detach: removes from the API what is not of the stack, when clients need it no more.
    """
    outputs = contents.stack.outputs
    intake = Intake(target.aws, outputs)
    switch = partial(_switch, target.aws, contents.event_sources, operation)
    with _restored(intake, switch, operation):
        if options.drain and Output.QUEUE_URL in outputs:
            drain = Drain(target.aws, outputs, target.environment.names, intake, switch, options.drain_s)
            drained = yield from drain.steps()
            yield drained
        else:
            yield Phase("stopping the event source")
            switch(on=False)
        if options.keep_data:
            yield from retain.in_template(target, operation, contents.template, contents.keep)
        detach()
        protected = contents.stack.protected
        return (yield from remove(target, operation, contents.resources, contents.keep, protected=protected))


def _detach(target: Target, clients: OwnKeys) -> None:
    """Remove the clients' usage plans from the API, which then can be deleted; of a stack that is still ours."""
    if clients.plans:
        target.recheck()
        keys.detach(target.aws, clients)


def _switch(aws: Aws, sources: list[str], operation: Operation, *, on: bool) -> None:
    """Enable or disable the event sources. They count as off until they are enabled for certain."""
    operation.event_source_off = True
    for source in sources:
        update.event_source(aws, source, on=on)
    operation.event_source_off = not on


@contextmanager
def _restored(intake: Intake, switch: partial[None], operation: Operation) -> Iterator[None]:
    """An interrupt or error before the deletion began opens the intake and enables the event source again."""
    try:
        yield
    except BaseException:
        if not operation.deletion_begun:
            with suppress(RtpError):  # the first error is the one that the operator must see
                intake.open_again()
            operation.intake = intake.state
            if operation.event_source_off:
                with suppress(RtpError):
                    switch(on=True)
        raise
    finally:
        operation.intake = intake.state


def _closed_before(aws: Aws, outputs: Mapping[str, str]) -> Iterator[Warn]:
    """An earlier drain that was killed has left the intake closed."""
    if Output.API_ID in outputs:
        with suppress(AwsError):  # this destroy does not depend on it
            text = noticed(aws, outputs)
            if text:
                yield Warn(f"{text[:1].upper()}{text[1:]}.")


def _absent(target: Target) -> Iterator[Step]:
    """There is no stack; but perhaps resources of an earlier one. Raises NotFoundError, which names them."""
    yield Phase("looking for resources of an earlier stack")
    own = secrets.of(target.aws, target.environment, keep_data=False)
    clients = keys.of(target.aws, target.environment)
    orphans, not_asked = yield from proof.orphans(target, known=own.names + clients.ids)
    text = f"{target.name} is not deployed in {target.aws.region}."
    for note in dict.fromkeys(i.note for i in orphans):
        names = ", ".join(f"{i.kind} {i.name}" for i in orphans if i.note == note)
        text += f" Still there{f', {note}' if note else ''}: {names}."
    for why in dict.fromkeys(n.why for n in not_asked):
        names = ", ".join(f"{n.kind} {n.name}" for n in not_asked if n.why == why)
        text += f" Not known of {names}: {why.rstrip('.')}."
    if own.names:
        text += f" Its secrets still have values: {', '.join(own.names)}."
    hint = "There is nothing to destroy." if not not_asked else "Nothing else of it exists."
    if own.names:
        hint = "`rtp secrets list` shows the secrets, `rtp secrets delete` deletes one."
    if clients.names:
        text += f" API keys still exist, of: {', '.join(clients.names)}."
        hint = "`rtp keys list` shows the keys, `rtp keys revoke` deletes those of one client."
    if orphans:
        hint = "No pipeline of this name can be deployed while that exists. Delete by hand what nobody needs."
    raise NotFoundError(text, hint=hint, code="not-deployed")


def _failure(stack: str, outcome: Outcome) -> RtpError:
    cause = outcome.cause
    reason = f": {cause.path or cause.logical_id}: {cause.reason}" if cause else ""
    return RtpError(
        f"{stack} was not deleted ({outcome.state}){reason}{'' if reason.endswith('.') else '.'}",
        hint="Fix the cause, then run `rtp destroy` again; it continues from here.",
        code="destroy-failed",
    )
