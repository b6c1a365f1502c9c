"""What a deploy would change, from the two templates; and what was changed outside CloudFormation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.aws import drift as drifts
from rtp.aws import stacks
from rtp.errors import NotFoundError, WaitTimeoutError
from rtp.ops.access import guard, ownership
from rtp.ops.stack.build import assembly, limits
from rtp.ops.stack.build.synth import synth
from rtp.ops.stack.code import hotswap
from rtp.ops.stack.compare import missing
from rtp.ops.stack.compare.changes import PropertyChange, ResourceChange, compare, compare_outputs
from rtp.ops.stack.compare.replacement import replaces
from rtp.ops.stack.compare.security import Widening, widenings
from rtp.ops.stack.operation import Target
from rtp.ops.work import pool
from rtp.ops.work.polling import poll
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.aws.stacks import Stack
    from rtp.config import Environment
    from rtp.ops.access.ownership import Owner
    from rtp.ops.stack.code.hotswap import Divergence
    from rtp.ops.stack.compare.missing import Missing

_DRIFT_S = 300.0


@dataclass(frozen=True, slots=True)
class Drift:
    """A resource that is not as its stack's template says.

    status: MODIFIED or DELETED. properties: those that were changed, `before` as in the template, `after` as it is.
    """

    logical_id: str
    path: str
    resource_type: str
    status: str
    properties: tuple[PropertyChange, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """What a deploy would change.

    deployed: whether there is a stack; without one everything is new. changes: resources that would change.
    widens: what would be allowed that is not allowed now. outputs, tags: those of the stack that would change.
    drift: resources that were changed by hand; null without --drift.
    missing: resources that were deleted outside CloudFormation, which a deploy creates again.
    diverged: functions that a hotswap or a hand has changed, which no template shows.
    foreign: whose stack it is, where it is another project's; a deploy is then refused.
    paths: logical id -> construct path.
    """

    stack: str
    deployed: bool
    changes: tuple[ResourceChange, ...]
    widens: tuple[Widening, ...]
    outputs: tuple[PropertyChange, ...]
    tags: tuple[PropertyChange, ...]
    drift: tuple[Drift, ...] | None
    missing: tuple[Missing, ...]
    diverged: tuple[Divergence, ...]
    foreign: Owner | None
    paths: dict[str, str] = field(metadata=HIDDEN)

    @property
    def differs(self) -> bool:
        """Whether a deploy would do something, or somebody has changed something by hand."""
        return bool(
            self.changes or self.outputs or self.tags or self.drift or self.missing or self.diverged or self.foreign
        )


@dataclass(frozen=True, slots=True)
class SecurityDiff:
    """What a deploy would allow that is not allowed now.

    widens: what would be allowed. foreign: whose stack it is, where it is another project's.
    """

    stack: str
    widens: tuple[Widening, ...]
    foreign: Owner | None


def diff(aws: Aws, environment: Environment, *, drift: bool = False) -> Diff:
    """Synthesise and compare with what is deployed. Changes nothing."""
    stack = environment.names.stack
    account = guard.account(aws, environment)
    reserve = limits.reservation(aws, environment).concurrency
    with pool.tasks(4) as start:
        start(replaces, "", "")  # reads its database while the synthesis runs
        looking = start(_deployed, aws, environment)
        running = start(hotswap.running, Target(aws, environment))
        drifting = start(drifted, aws, stack, {}) if drift else None
        built = synth(environment, account=account, reserved_concurrency=reserve)
        found, old, foreign = looking.result()
        gone = missing.find(aws, found.id).missing if found is not None and found.state.usable else ()
        paths = assembly.construct_paths(built.path, stack)
        wrong = tuple(_named(d, paths) for d in drifting.result()) if drifting is not None else None
        diverged = hotswap.diverged(running.result(), old, built, paths)
        diverged = tuple(d for d in diverged if d.function not in {m.name for m in gone})
    expected = assembly.manifest(built.path, stack).tags
    tags = found.tags if found else expected
    new = built.template
    return Diff(
        stack,
        found is not None,
        compare(old, new, paths, replaces if old else lambda *_: "no"),
        widenings(old, new, paths),
        compare_outputs(old, new),
        tuple(
            PropertyChange(k, tags.get(k), expected.get(k))
            for k in {**tags, **expected}
            if tags.get(k) != expected.get(k)
        ),
        wrong,
        gone,
        diverged,
        foreign,
        paths,
    )


def drifted(aws: Aws, stack: str, paths: dict[str, str]) -> list[Drift]:
    """Have CloudFormation compare every resource with its template. Raises NotFoundError when there is no stack."""
    if stacks.describe(aws, stack) is None:
        raise NotFoundError(f"{stack} is not deployed in {aws.region}.", hint="Run `rtp deploy`.", code="not-deployed")
    detection = drifts.detect(aws, stack)
    pause_s = 0.1 if aws.local else 2.0
    if poll(lambda: drifts.is_running(aws, detection), lambda busy: not busy, pause_s, timeout_s=_DRIFT_S):
        raise WaitTimeoutError("CloudFormation is still looking for drift.", hint="Repeat the command.")
    return [
        Drift(
            d.logical_id,
            paths.get(d.logical_id, ""),
            d.resource_type,
            d.status,
            tuple(PropertyChange(p.path, p.expected, p.actual) for p in d.properties),
        )
        for d in drifts.drifts(aws, stack)
    ]


def _named(drift: Drift, paths: dict[str, str]) -> Drift:
    path = paths.get(drift.logical_id, "")
    return Drift(drift.logical_id, path, drift.resource_type, drift.status, drift.properties)


def _deployed(aws: Aws, environment: Environment) -> tuple[Stack | None, dict[str, Any], Owner | None]:
    """A stack that works or has worked, with its template; and its owner where that is another."""
    stack = stacks.describe(aws, environment.names.stack)
    foreign = ownership.foreign(aws, stack, environment)
    if stack is None or stack.state.never_worked:
        return None, {}, foreign
    return stack, stacks.template_of(aws, stack), foreign
