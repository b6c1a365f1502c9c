"""Deploying: synthesise, publish, prepare a change set, have it approved, apply it and follow it to the end."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rtp.aws import api, changesets, stacks
from rtp.contract import LOCAL_ACCOUNT, Output, queue_arn
from rtp.errors import RefusedError
from rtp.ops import files
from rtp.ops.access import guard, lock, ownership
from rtp.ops.stack import repair
from rtp.ops.stack.apply import alarm_watch, emptier, execute, publish, rollback, smoke
from rtp.ops.stack.apply.follow import GOOD, Underway
from rtp.ops.stack.build import assembly, bootstrap, limits, processors
from rtp.ops.stack.build.synth import synth
from rtp.ops.stack.code import hotswap
from rtp.ops.stack.compare import approval
from rtp.ops.stack.compare.changes import compare
from rtp.ops.stack.steps import Note, Outputs, Phase, Result, Warn
from rtp.ops.stack.teardown import intake
from rtp.ops.stack.teardown.empty import Removed
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.alarms import Alarm
    from rtp.aws.changesets import ChangeSet
    from rtp.config import Environment
    from rtp.ops.access.ownership import Owner
    from rtp.ops.access.question import Question
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.steps import Cause, Step

WORKING = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")


@dataclass(frozen=True, slots=True)
class Options:
    """How to deploy.

    rollback: whether a failed operation is undone. smoke: send an event through afterwards; smoke_anyway: also where
    nothing had to be changed.
    watch_alarms_s: how long after an update alarms may still take it back; 0 for not at all.
    take_over: another project's stack may be made this one's, with its name typed.
    """

    dry_run: bool = False
    hotswap: bool = False
    rollback: bool = True
    outputs_file: Path | None = None
    smoke: bool = False
    smoke_anyway: bool = False
    watch_alarms_s: int = 0
    take_over: bool = False


@dataclass(slots=True)
class Deploy:
    """One deploy of one environment.

    connect: gives AWS, starting the embedded engine where that is it; called beside the synthesis.
    consent: asked before anything that needs it; raises RefusedError to stop.
    """

    environment: Environment
    connect: Callable[[], Aws]
    consent: Callable[[Question], None]
    options: Options = field(default_factory=Options)
    underway: Underway = field(default_factory=Underway)
    removed: Removed = field(default_factory=Removed)  # of a stack that could not be updated
    _began: float = field(default_factory=time.monotonic)
    _warnings: list[str] = field(default_factory=list)
    _taken: Owner | None = None  # whose stack this was until this deploy took it over

    def steps(self) -> Generator[Step, None, None]:
        """Do it, telling what happens. Raises RtpError."""
        env, outputs_file = self.environment, self.options.outputs_file
        if outputs_file is not None:
            files.check(outputs_file, "Nothing was changed; name another file.")
        with lock.held(env.state, env.name, "deploy"):
            yield Phase("synthesising")
            aws, built = self._prepare()
            yield Note(guard.where(aws, env))
            yield from (Warn(w) for w in self._warnings)
            paths = assembly.construct_paths(built.path, env.names.stack)
            found = self._described(aws)
            if found is not None and found["StackStatus"] not in (*WORKING, "REVIEW_IN_PROGRESS"):
                if self.options.dry_run:  # the CDK CLI would delete a stack that never worked
                    yield Warn(f"{found['StackName']} is {found['StackStatus']}; a deploy has to repair that first.")
                    yield self._result("dry-run")
                    return
                stack_id = str(found["StackId"])
                yield from repair.repair(
                    aws,
                    env,
                    found,
                    lambda question: self._agreed(aws, stack_id, question),
                    rollback=self.options.rollback,
                    before_rollback=lambda stack: emptier.replace_before_rollback(aws, env, stack, built),
                    paths=paths,
                    underway=self.underway,
                    removed=self.removed,
                    recheck=lambda: ownership.recheck(aws, env, stack_id, taken=self._taken),
                )
                found = self._described(aws)
            yield from self._bring(aws, built, found, stacks.template_of(aws, found), paths)

    def _prepare(self) -> tuple[Aws, Assembly]:
        """Connect, check the processors and synthesise; side by side where nothing can be refused."""
        env = self.environment
        with ThreadPoolExecutor(2) as pool:
            memo = env.state / "cdk" / "checked"
            checked = pool.submit(processors.check, env.processors, env.requirements, memo=memo)
            connected = pool.submit(self._connected)
            if env.local and not env.protected and env.settings.reserved_concurrency is None:
                built = synth(env, account=LOCAL_ACCOUNT)
            else:
                aws = connected.result()
                reserve = limits.reservation(aws, env)
                if reserve.warning:
                    self._warnings.append(reserve.warning)
                built = synth(env, account=aws.account, reserved_concurrency=reserve.concurrency)
            if doubt := checked.result():
                self._warnings.append(doubt.message)
            return connected.result(), built

    def _connected(self) -> Aws:
        aws = self.connect()
        guard.account(aws, self.environment)
        if self.environment.local:
            bootstrap.ensure_on_engine(aws)
        else:
            bootstrap.check(aws)
        return aws

    def _described(self, aws: Aws) -> dict[str, Any] | None:
        """The stack, where it is this environment's or is taken over. Raises RefusedError."""
        found = stacks.describe(aws, self.environment.names.stack)
        owner = ownership.foreign(aws, found, self.environment)
        if found is not None and owner is not None and self._taken is None and self.options.take_over:
            self._taken = owner
            self._agreed(aws, str(found["StackId"]), ownership.take_over(self.environment, owner))
        ownership.check(aws, found, self.environment, taken=self._taken)
        return found

    def _agreed(self, aws: Aws, stack_id: str, question: Question) -> None:
        """Ask for consent, and check that the stack is still what it is given for. Raises RtpError."""
        self.consent(question)
        ownership.recheck(aws, self.environment, stack_id, taken=self._taken)

    def _bring(
        self, aws: Aws, built: Assembly, found: dict[str, Any] | None, old: dict[str, Any], paths: dict[str, str]
    ) -> Iterator[Step]:
        """Bring the stack from the old template to the new one, the shortest way."""
        env, dry_run = self.environment, self.options.dry_run
        manifest = assembly.manifest(built.path, env.names.stack)
        working = found is not None and found["StackStatus"] in WORKING
        if found is not None and found["StackStatus"] != "REVIEW_IN_PROGRESS":
            yield from emptier.check_removal(aws, env, found, old, built.template, working=working, dry_run=dry_run)
        if dry_run and working:
            diverged = hotswap.diverged(hotswap.running(aws, env), old, built, paths)
            yield from (Warn(s.said) for s in diverged)
        if found is not None and working and old == built.template and assembly.matches(manifest, found):
            restored = [] if self.options.dry_run else list(hotswap.put_back(aws, env, built, paths))
            if self.options.hotswap and restored:
                yield from self._end(aws, "hotswapped", len(restored))
                return
            yield from restored
            yield from self._end(aws, "unchanged")
            return
        changes = compare(old, built.template, paths)
        code_only = working and publish.only_code(changes) and not env.protected
        if self.options.hotswap:
            if code_only and self._taken is None:  # a hotswap would leave the former owner's tags
                yield Phase("updating the functions")
                hotswap.swap(aws, env, publish.code_archive(built, changes))
                yield from self._end(aws, "hotswapped", len(changes))
                return
            yield Warn("More than code has changed, so this is a deploy through CloudFormation.")
        yield Phase("publishing assets and preparing the change set")
        triggers = rollback.triggers(aws, env, found if working else None, self.options.watch_alarms_s)
        change_set = None
        if code_only and not triggers.alarms:
            change_set = publish.code_alone(aws, env, built, changes, manifest.tags)
        if change_set is None:
            change_set = publish.with_cdk(aws, env, built, triggers)
        protected = bool(found and found.get("EnableTerminationProtection"))
        if change_set.empty and not self.options.dry_run:
            protected = manifest.termination_protection  # which may be all that was to change
        yield from self._carry_out(aws, built, change_set, old, paths, protected=protected)

    def _carry_out(
        self,
        aws: Aws,
        built: Assembly,
        change_set: ChangeSet,
        old: dict[str, Any],
        paths: dict[str, str],
        *,
        protected: bool,
    ) -> Iterator[Step]:
        """Show, have approved and apply a prepared change set; or take it back.

        protected: whether termination protection is on when it is taken back.
        """
        env, stack = self.environment, self.environment.names.stack
        before = stacks.describe(aws, change_set.stack_id)
        try:  # another project may have created it since it was described, and the change set would then update that
            ownership.check(aws, before, env, taken=self._taken)
        except RefusedError:
            self._forget(aws, change_set, protected=protected)
            raise
        if change_set.empty:
            self._forget(aws, change_set, protected=protected)
            yield from self._end(aws, "unchanged")
            return
        new = before is None or before["StackStatus"] == "REVIEW_IN_PROGRESS"
        plan = approval.plan(stack, old, built.template, paths, change_set, create=new)
        yield plan
        if self.options.dry_run:
            self._forget(aws, change_set, protected=protected)
            yield self._result("dry-run")
            return
        try:
            for question in approval.questions(plan, env):
                self._agreed(aws, change_set.stack_id, question)
        except BaseException:
            self._forget(aws, change_set, protected=protected)
            raise
        watching = bool(self.options.watch_alarms_s) and not new
        if watching:
            yield from rollback.ringing(aws, env)
        # Those that ring already say nothing about the update.
        watched = alarm_watch.quiet(aws, env.names)[0] if watching and env.local else ()
        yield Phase("creating" if new else "updating")
        applied, began_ms = execute.Applied(), times.now_ms()
        yield from execute.apply(
            aws,
            change_set,
            applied,
            expected=frozenset(c.logical_id for c in plan.changes),
            rollback=self.options.rollback,
            paths=paths,
            template=built.template,
            underway=self.underway,
        )
        if applied.status not in GOOD:
            yield self._result("failed", applied.done, applied.cause)
            raise execute.failure(stack, "created" if new else "updated", applied)
        if watched:
            recheck = partial(ownership.recheck, aws, env, change_set.stack_id)
            yield from self._watched(aws, watched, began_ms, old, paths, recheck)
            recheck()
        if not new and hotswap.diverged(hotswap.running(aws, env), built.template, built, paths):
            yield from hotswap.put_back(aws, env, built, paths)  # an update touches only what its templates differ in
        yield from self._end(aws, "created" if new else "updated", applied.done)

    def _watched(
        self,
        aws: Aws,
        watched: tuple[Alarm, ...],
        since_ms: int,
        old: dict[str, Any],
        paths: dict[str, str],
        recheck: Callable[[], None],
    ) -> Iterator[Step]:
        """Raises RtpError when the update was taken back."""
        stack, taken = self.environment.names.stack, execute.Applied()
        yield from rollback.watch(
            aws,
            self.environment,
            watched,
            self.options.watch_alarms_s,
            since_ms=since_ms,
            old=old,
            paths=paths,
            taken=taken,
            underway=self.underway,
            recheck=recheck,
        )
        if not taken.status:
            return
        if taken.status not in GOOD:
            raise execute.failure(stack, "rolled back", taken)
        yield self._result("rolled-back", taken.done)
        raise execute.DeployFailedError(
            f"{stack} was updated and rolled back: {taken.reason}.",
            hint="See `rtp logs --level error`; fix the cause, then run `rtp deploy` again.",
            code="rolled-back",
        )

    def _forget(self, aws: Aws, change_set: ChangeSet, *, protected: bool) -> None:
        """Delete the change set, and the empty stack that was made for it.

        The CDK CLI switches termination protection as soon as it has prepared a change set.
        """
        changesets.delete(aws, change_set)
        found = stacks.describe(aws, change_set.stack_id)
        owner = ownership.foreign(aws, found, self.environment)
        if found is None or (owner is not None and owner != self._taken):
            return
        empty = found["StackStatus"] == "REVIEW_IN_PROGRESS"
        wanted = protected and not empty
        if bool(found.get("EnableTerminationProtection")) != wanted:
            stacks.protect(aws, change_set.stack_id, on=wanted)
        if empty:
            stacks.delete(aws, change_set.stack_id)

    def _end(self, aws: Aws, status: str, resources: int = 0) -> Iterator[Step]:
        stack = self.environment.names.stack
        found = stacks.describe(aws, stack)
        outputs = api.reachable(stacks.outputs_of(found), aws) if found else {}
        if Output.KEY_ARN in outputs and not self.options.dry_run:
            yield from hotswap.ensure_enabled(aws, queue_arn(outputs, self.environment.names.queue))
            yield from intake.reopened(aws, outputs, self.environment.settings)
        if self.options.outputs_file is not None:
            text = json.dumps({stack: outputs}, indent=2) + "\n"  # as the CDK CLI writes it
            files.write(self.options.outputs_file, text, private=False, hint="The deploy itself is done.")
        if outputs:
            yield Outputs(outputs)
        changed = status in ("created", "updated", "hotswapped")
        if not self.options.dry_run and self.options.smoke and (changed or self.options.smoke_anyway):
            yield Phase("sending a smoke event")
            yield smoke.smoke(aws, outputs)
        yield self._result(status, resources)

    def _result(self, status: str, resources: int = 0, cause: Cause | None = None) -> Result:
        elapsed = round(time.monotonic() - self._began, 2)
        return Result(status, self.environment.names.stack, elapsed, resources, cause)
