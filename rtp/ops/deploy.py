"""Deploying: synthesise, publish, prepare a change set, apply it and follow it to the end."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import changesets, stacks
from rtp.errors import RtpError
from rtp.ops import assembly, bootstrap, cdk, guard, lock
from rtp.ops.follow import Follower
from rtp.ops.synth import LOCAL_ACCOUNT, synth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.synth import Assembly

CHANGE_SET = "rtp-deploy"
_WORKING = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")


@dataclass(frozen=True, slots=True)
class Phase:
    """What is being done now; for a progress line, not for machines."""

    name: str


@dataclass(frozen=True, slots=True)
class Warning:
    """Something the operator should know."""

    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource. action: add, modify, replace, remove, import."""

    action: str
    logical_id: str
    resource_type: str
    path: str = ""
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """The change set that is about to be applied."""

    stack: str
    operation: str  # create or update
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One resource's step. done and total count resources of this operation."""

    time: float  # epoch seconds
    logical_id: str
    path: str
    resource_type: str
    physical_id: str
    status: str
    reason: str
    done: int
    total: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Outputs:
    """The stack's outputs."""

    outputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended. status: created, updated, unchanged, or failed."""

    status: str
    stack: str
    elapsed_s: float
    resources: int = 0


Step = Phase | Warning | Changes | Event | Outputs | Result


@dataclass(slots=True)
class Deploy:
    """One deploy of one environment.

    connect: gives AWS, starting the embedded engine where that is it; called beside the synthesis.
    approve: asked with what would change before it does; raises RefusedError to stop.
    """

    environment: Environment
    connect: Callable[[], Aws]
    approve: Callable[[Changes], None]
    rollback: bool = True
    _began: float = field(default_factory=time.monotonic)

    def steps(self) -> Iterator[Step]:
        """Do it, telling what happens. Raises RtpError."""
        with lock.held(self.environment.state, self.environment.name, "deploy"):
            yield Phase("synthesising")
            aws, built = self._prepare()
            stack = self.environment.names.stack
            found = stacks.describe(aws, stack)
            if found is not None and self._unchanged(aws, built, found):
                yield Outputs(stacks.outputs_of(found))
                yield self._result("unchanged")
                return
            yield Phase("publishing assets and preparing the change set")
            change_set = self._change_set(aws, built)
            if change_set.empty:
                changesets.delete(aws, change_set)
                yield Outputs(stacks.outputs(aws, stack))
                yield self._result("unchanged")
                return
            yield from self._apply(aws, built, change_set)

    def _prepare(self) -> tuple[Aws, Assembly]:
        """Connect and synthesise side by side where the account is known without asking."""
        env = self.environment
        account = LOCAL_ACCOUNT if env.local else env.account
        if account is None:
            aws = self._connected()
            return aws, synth(env, account=aws.account)
        with ThreadPoolExecutor(1) as pool:
            connected = pool.submit(self._connected)
            built = synth(env, account=account)
            return connected.result(), built

    def _connected(self) -> Aws:
        aws = self.connect()
        guard.account(aws, self.environment)
        if self.environment.local:
            bootstrap.ensure_on_engine(aws)
        return aws

    def _unchanged(self, aws: Aws, built: Assembly, found: dict[str, object]) -> bool:
        """Whether the stack is what the assembly says, without Node and without a change set."""
        wanted = assembly.manifest(built.path, self.environment.names.stack)
        tags = {t["Key"]: t["Value"] for t in found.get("Tags", ())}  # type: ignore[attr-defined]
        return (
            found["StackStatus"] in _WORKING
            and tags == wanted.tags
            and bool(found.get("EnableTerminationProtection")) == wanted.termination_protection
            and stacks.template(aws, str(found["StackId"])) == built.template
        )

    def _change_set(self, aws: Aws, built: Assembly) -> changesets.ChangeSet:
        env = self.environment
        if not env.local:
            bootstrap.check(aws)
        cdk.run(
            ["deploy", env.names.stack, "--app", str(built.path), "--method", "prepare-change-set"]
            + ["--change-set-name", CHANGE_SET, "--require-approval", "never"],
            aws=aws,
            home=env.state / "cdk" / "home",
            folder=built.path,
        )
        found = changesets.describe(aws, env.names.stack, CHANGE_SET)
        if found is None:
            raise RtpError("The CDK CLI has left no change set.", code="change-set")
        return found

    def _apply(self, aws: Aws, built: Assembly, change_set: changesets.ChangeSet) -> Iterator[Step]:
        stack = self.environment.names.stack
        before = stacks.describe(aws, change_set.stack_id)
        new = before is None or before["StackStatus"] == "REVIEW_IN_PROGRESS"
        paths = assembly.construct_paths(built.path, stack)
        changes = Changes(stack, "create" if new else "update", tuple(_change(c, paths) for c in change_set.changes))
        yield changes
        self.approve(changes)
        yield Phase("creating" if new else "updating")
        follower = Follower(aws, change_set.stack_id, total=len(change_set.changes))
        changesets.execute(aws, change_set, token=f"rtp-{uuid.uuid4()}", rollback=self.rollback)
        for event in follower.events():
            if event is not None and not (event.of_stack and event.physical_id == change_set.stack_id):
                yield Event(
                    event.time.timestamp(),
                    event.logical_id,
                    paths.get(event.logical_id, ""),
                    event.resource_type,
                    event.physical_id,
                    event.status,
                    event.reason,
                    follower.done,
                    follower.total,
                    self._elapsed(),
                )
        if not follower.good:
            cause = follower.failures[0] if follower.failures else None
            yield self._result("failed")
            raise RtpError(
                f"{stack} ended in {follower.status}: {cause.logical_id} {cause.reason}"
                if cause
                else f"{stack} ended in {follower.status}.",
                code="deploy-failed",
            )
        yield Outputs(stacks.outputs(aws, stack))
        yield self._result("created" if new else "updated", follower.done)

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._began, 2)

    def _result(self, status: str, resources: int = 0) -> Result:
        return Result(status, self.environment.names.stack, self._elapsed(), resources)


_ACTIONS = {"Add": "add", "Modify": "modify", "Remove": "remove", "Import": "import", "Dynamic": "modify"}


def _change(change: changesets.Change, paths: dict[str, str]) -> Change:
    action = _ACTIONS.get(change.action, change.action.lower())
    if action == "modify" and change.replacement == "True":
        action = "replace"
    return Change(action, change.logical_id, change.resource_type, paths.get(change.logical_id, ""), change.properties)
