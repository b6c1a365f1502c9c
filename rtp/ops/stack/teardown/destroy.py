"""Destroying: say what goes and what stays, stop what fills the buckets, empty, delete, and prove what is gone."""

from __future__ import annotations

import copy
import json
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rtp.aws import changesets, stacks, updates
from rtp.contract import Output
from rtp.errors import AwsError, NotFoundError, RefusedError, RtpError
from rtp.ops.access import guard, lock, ownership
from rtp.ops.stack.apply import execute
from rtp.ops.stack.apply.follow import GONE, Follower, Stage, Underway
from rtp.ops.stack.build import assembly
from rtp.ops.stack.steps import Note, Phase, Result, Warn
from rtp.ops.stack.teardown import inventory
from rtp.ops.stack.teardown.drain import TIMEOUT_S, Drain
from rtp.ops.stack.teardown.empty import Removed, remove
from rtp.ops.stack.teardown.intake import Intake, State, noticed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource
    from rtp.config import Environment
    from rtp.ops.stack.steps import Step
    from rtp.ops.stack.teardown.inventory import Plan, Proof

_EVENT_SOURCE = "AWS::Lambda::EventSourceMapping"


@dataclass(slots=True)
class Destroy:
    """One destroy of one environment.

    approve: shown the plan; raises RefusedError to stop. keep_data: table, buckets and key survive.
    drain: close the intake and drain the queue first; drain_s: within this time.
    """

    environment: Environment
    aws: Aws
    approve: Callable[[Plan], None]
    keep_data: bool = False
    drain: bool = False
    drain_s: float = TIMEOUT_S
    removed: Removed = field(default_factory=Removed)
    underway: Underway = field(default_factory=Underway)
    stopped: bool = False  # the event source, or perhaps
    intake: State = State.UNTOUCHED
    _began: float = field(default_factory=time.monotonic)

    def steps(self) -> Generator[Step | Plan | Proof, None, None]:
        """Do it, telling what happens. Raises RtpError, also when something is left that should be gone."""
        env, aws, stack = self.environment, self.aws, self.environment.names.stack
        with lock.held(env.state, env.name, "destroy"):
            guard.account(aws, env)
            yield Note(guard.where(aws, env))
            found = stacks.describe(aws, stack)
            if found is None:
                raise self._absent()
            ownership.check(aws, found, env)
            stack_id = str(found["StackId"])
            if str(found["StackStatus"]).endswith("_IN_PROGRESS") and found["StackStatus"] != "REVIEW_IN_PROGRESS":
                self.underway.stage = Stage.WORKING
                yield Warn(f"{stack} is {found['StackStatus']} already; waiting for that to end.")
                yield Phase("waiting")
                yield from execute.told(Follower(aws, stack_id, underway=self.underway), {}, joined=True)
                found = stacks.describe(aws, stack)
                if found is None:
                    yield Result("destroyed", stack, self._elapsed())
                    return
                ownership.check(aws, found, env)
                stack_id = str(found["StackId"])  # another, where it was deployed anew meanwhile
            resources = stacks.resources(aws, stack_id)
            template = stacks.template_of(aws, found)
            paths = assembly.construct_paths(env.state / "cdk" / env.name, stack)
            keep = inventory.kept(template, keep_data=self.keep_data)
            if self.keep_data:
                _check_kept(found, resources, keep)
            plan = inventory.plan(aws, env, resources, template, keep, drain=self.drain)
            yield plan
            if not self.drain:
                yield from _closed_before(aws, stacks.outputs_of(found))
            self.approve(plan)
            self._recheck(stack_id)
            yield from self._delete(found, resources, template, keep, paths)

    def _delete(
        self,
        found: dict[str, Any],
        resources: list[Resource],
        template: dict[str, Any],
        keep: frozenset[str],
        paths: dict[str, str],
    ) -> Iterator[Step | Proof]:
        aws, stack, stack_id = self.aws, self.environment.names.stack, str(found["StackId"])
        sources = [r.physical_id for r in resources if r.resource_type == _EVENT_SOURCE]
        outputs = stacks.outputs_of(found)
        door = Intake(aws, outputs)
        with _at_work_again(door, sources, self):
            if self.drain and Output.QUEUE_URL in outputs:
                switch = partial(self.switch, sources)
                work = Drain(aws, outputs, self.environment.names, door, switch, self.drain_s)
                drained = yield from work.steps()
                yield drained
            else:
                yield Phase("stopping the event source")
                self.switch(sources, on=False)
            if self.keep_data:
                yield from _retained(aws, stack_id, template, keep, paths, self.underway)
            removed = self.removed
            yield from remove(
                aws,
                stack_id,
                removed,
                resources=resources,
                keep=keep,
                paths=paths,
                protected=bool(found.get("EnableTerminationProtection")),
                underway=self.underway,
                recheck=lambda: self._recheck(stack_id),
            )
        if removed.status != GONE:
            yield Result("failed", stack, self._elapsed(), removed.done, removed.cause)
            raise _failure(stack, removed)
        yield Phase("proving what is gone")
        proof = inventory.prove(
            aws,
            self.environment,
            resources,
            keep,
            keep_data=self.keep_data,
            api_id=outputs.get(Output.API_ID, ""),
        )
        yield proof
        yield Result("destroyed" if proof.clean else "failed", stack, self._elapsed(), proof.gone)
        if not proof.clean:
            wrong = [item.name for item in proof.left if not item.expected]
            raise RtpError(
                f"{stack} is deleted, but this is still there: {', '.join(wrong[:5])}{' …' if wrong[5:] else ''}.",
                hint="Delete it by hand if it is yours; nothing uses it any more.",
                code="left-behind",
            )

    def _absent(self) -> RtpError:
        """No stack; but perhaps something of one."""
        env = self.environment
        left = inventory.orphans(self.aws, env)
        said = f"{env.names.stack} is not deployed in {self.aws.region}."
        for note in dict.fromkeys(i.note for i in left):
            found = ", ".join(f"{i.kind} {i.name}" for i in left if i.note == note)
            said += f" Still there{f', {note}' if note else ''}: {found}."
        hint = "Delete what is still there by hand if nobody needs it." if left else "There is nothing to destroy."
        if any(i.note for i in left):
            hint = "No pipeline of this name can be deployed while that exists; what nobody needs is deleted by hand."
        return NotFoundError(said, hint=hint, code="not-deployed")

    def _recheck(self, stack_id: str) -> None:
        ownership.recheck(self.aws, self.environment, stack_id)

    def switch(self, sources: list[str], *, on: bool) -> None:
        """Enable or disable the event source, and note that it may stand still until it is surely enabled."""
        self.stopped = True
        for source in sources:
            updates.switch_event_source(self.aws, source, on=on)
        self.stopped = not on

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._began, 2)


@contextmanager
def _at_work_again(door: Intake, sources: list[str], work: Destroy) -> Iterator[None]:
    """An interrupt or error before the deletion began opens the intake and enables the event source again."""
    try:
        yield
    except BaseException:
        if not work.removed.begun:
            with suppress(RtpError):  # what went wrong first is what the operator must know
                door.open_again()
            work.intake = door.state
            if work.stopped:
                with suppress(RtpError):
                    work.switch(sources, on=True)
        raise
    finally:
        work.intake = door.state


def _closed_before(aws: Aws, outputs: Mapping[str, str]) -> Iterator[Warn]:
    """An earlier drain that was killed has left the intake closed."""
    if Output.API_ID in outputs:
        with suppress(AwsError):  # it says nothing that this destroy needs
            said = noticed(aws, outputs)
            if said:
                yield Warn(f"{said[:1].upper()}{said[1:]}.")


def _check_kept(found: dict[str, Any], resources: list[Resource], keep: frozenset[str]) -> None:
    """Raises RefusedError for data that an unfinished update has added: only a template can keep a resource."""
    added = [r.logical_id for r in resources if inventory.is_data(r.resource_type) and r.logical_id not in keep]
    if added:
        raise RefusedError(
            f"{found['StackName']} is {found['StackStatus']}, and its template does not have {', '.join(added)}, which "
            "could so not be kept; nothing was deleted.",
            hint="Run `rtp deploy`, which finishes the update, then `rtp destroy --keep-data` again.",
            code="not-kept",
        )


def _retained(
    aws: Aws,
    stack_id: str,
    template: dict[str, Any],
    keep: frozenset[str],
    paths: dict[str, str],
    underway: Underway,
) -> Iterator[Step]:
    """Tell CloudFormation to leave what is kept: a deletion can be told no exceptions, a template can."""
    changed = copy.deepcopy(template)
    for logical_id in keep:
        resource = changed["Resources"][logical_id]
        if resource.get("DeletionPolicy") != "Retain":
            resource["DeletionPolicy"] = "Retain"
            # CloudFormation updates nothing for the sake of a policy alone.
            resource["Metadata"] = {**resource.get("Metadata", {}), "rtp:kept": "true"}
    if changed == template:
        return
    yield Phase("keeping the data")
    follower = Follower(aws, stack_id, underway=underway)
    with underway.asking():
        changesets.update_now(aws, stack_id, json.dumps(changed, separators=(",", ":")))
    yield from execute.told(follower, paths)
    if not follower.good:
        raise RtpError(
            f"CloudFormation did not agree to keep the data ({follower.status}); nothing was deleted.",
            hint="Run `rtp deploy`, then `rtp destroy --keep-data` again.",
            code="destroy-failed",
        )


def _failure(stack: str, removed: Removed) -> RtpError:
    cause = removed.cause
    said = f": {cause.path or cause.logical_id}: {cause.reason}" if cause else ""
    return RtpError(
        f"{stack} was not deleted ({removed.status}){said}{'' if said.endswith('.') else '.'}",
        hint="Fix the cause, then run `rtp destroy` again; it goes on from here.",
        code="destroy-failed",
    )
