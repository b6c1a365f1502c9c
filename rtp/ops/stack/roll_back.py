"""Rolling back: bring a stack to the code, layer and settings of an earlier release, without the repository."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.aws import api, stacks
from rtp.errors import NotFoundError, RefusedError, UsageError
from rtp.ops.access import guard, lock, ownership
from rtp.ops.stack.apply import emptier, kept, lease, publish
from rtp.ops.stack.build.synth import Assembly
from rtp.ops.stack.code import hotswap
from rtp.ops.stack.compare import approval
from rtp.ops.stack.compare.changes import compare
from rtp.ops.stack.compare.replacement import replaces
from rtp.ops.stack.finish import finish
from rtp.ops.stack.operation import Target
from rtp.ops.stack.steps import Note, Phase, Result
from rtp.ops.stack.update import Update, carry_out
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from rtp.aws import Aws
    from rtp.aws.stacks import Stack
    from rtp.config import Environment
    from rtp.ops.stack.apply.kept_release import Kept
    from rtp.ops.stack.compare.approval import Plan
    from rtp.ops.stack.operation import Operation
    from rtp.ops.stack.options import Options
    from rtp.ops.stack.steps import Step

FIRST_PHASE = "reading the releases"  # before a rollback changes anything
_LEAST = 4  # characters of a release's hash
_NAMED = 5  # releases in a message


@dataclass(frozen=True, slots=True)
class Release:
    """A release to which a stack can go back.

    release: its hash. name: such as r42. deployed: when it was last. user: who deployed it. rtp: the version that did.
    runs: whether the functions run it now. is_default: whether `rtp rollback` goes there.
    """

    release: str
    name: str
    deployed: str
    user: str
    rtp: str
    runs: bool
    is_default: bool


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases that are kept of an environment.

    env, stack: whose they are. known: whether what runs now is one of them. releases: the one deployed last first.
    unreadable: keys of objects in the bucket that are no releases of rtp.
    """

    env: str
    stack: str
    known: bool
    releases: list[Release]
    unreadable: list[str] = field(default_factory=list)


def releases(aws: Aws, environment: Environment) -> Releases:
    """List the kept releases."""
    found = kept.every(aws, environment)
    every = found.releases
    present = _present(Target(aws, environment), every)
    target = _default(every, present)
    rows = [
        Release(k.release, f"r{k.number}", times.iso(k.at), k.user, k.rtp, k is present, k is target) for k in every
    ]
    return Releases(environment.name, environment.names.stack, present is not None, rows, found.unreadable)


def roll_back(
    aws: Aws, environment: Environment, name: str | None, options: Options, operation: Operation
) -> Generator[Step, None, None]:
    """Bring the stack to a release. name: of it; None for the one before that which runs. Raises RtpError."""
    with lock.held(environment.state, environment.name, "rollback"), ExitStack() as until_end:
        yield Phase(FIRST_PHASE)
        guard.account(aws, environment)
        yield Note(guard.where(aws, environment))
        if not options.dry_run:
            yield from lease.take(aws, environment.names.stack, operation, until_end)
        stack = _usable(aws, environment)
        environment = guard.as_deployed(environment, stack)
        operation.outputs_before = api.reachable(stack.outputs, aws)
        every = kept.listed(aws, environment)
        target = Target(aws, environment, stack.id)
        present = _present(target, every)
        chosen = _chosen(environment, every, present, name)
        former = present.paths if present is not None else {}
        target = replace(target, paths={**former, **chosen.paths})
        yield Note(f"to {chosen.label}, deployed {times.recent(chosen.at)} by {chosen.user}")
        folder = Path(until_end.enter_context(tempfile.TemporaryDirectory(prefix="rtp-")))
        result: Result | None = None
        for step in _bring(target, stack, chosen, folder, options, operation):
            if isinstance(step, Result) and step.status not in ("failed", "dry-run"):
                result = step
            else:
                yield step
        if result is not None:
            yield from kept.again(target, chosen, operation)
            yield replace(result, release=chosen.release)


def _bring(
    target: Target, stack: Stack, chosen: Kept, folder: Path, options: Options, operation: Operation
) -> Iterator[Step]:
    aws, environment = target.aws, target.environment
    old, new = stacks.template_of(aws, stack), kept.template(aws, environment, chosen)
    archive = kept.archive(aws, environment, chosen, folder)
    built = Assembly(folder, folder / "template.json", new, cached=True)
    changes = compare(old, new, target.paths)
    if (not changes or publish.only_code(changes)) and not (environment.protected or stack.protected):
        plan = approval.plan(target.name, old, new, target.paths, None, create=False)
        if not changes and _run(target, chosen.code):
            yield from finish(target, options, operation, "unchanged", built=built)
        else:
            yield from _swap(target, plan, built, archive, options, operation)
        return
    approval.check_data(approval.Plan(target.name, "update", compare(old, new, target.paths, replaces)))
    yield from emptier.check_removal(target, stack, old, new, dry_run=options.dry_run)
    yield Phase("preparing the change set")
    if lost := kept.publish_again(aws, environment, chosen):
        new = kept.relocated(aws, environment, new, lost)
        built = replace(built, template=new)
    body = json.dumps(new, separators=(",", ":"))
    change_set = publish.prepared(aws, target.name, body, chosen.tags, clear_triggers=stack.has_triggers)
    update = Update(change_set, old, built, stack.protected, keeps_data=True)
    yield from carry_out(target, update, options, operation)


def _swap(
    target: Target, plan: Plan, built: Assembly, archive: Path, options: Options, operation: Operation
) -> Iterator[Step]:
    """Give both functions the code of a release directly, which takes seconds."""
    yield plan
    if options.dry_run:
        yield Result("dry-run", target.name, operation.elapsed_s)
        return
    for question in approval.questions(plan, target.environment):
        operation.ask(question, target)
    yield Phase("updating the functions")
    operation.check_lease()
    operation.is_swapping = True
    hotswap.swap(target, archive)
    operation.is_swapping = False
    yield from finish(target, options, operation, "hotswapped", 2, built=built)


def _run(target: Target, code: str) -> bool:
    """Whether both functions run this code."""
    running = hotswap.running(target).values()
    return bool(running) and all(function is not None and function.code_sha256 == code for function in running)


def _usable(aws: Aws, environment: Environment) -> Stack:
    name = environment.names.stack
    stack = stacks.deployed(aws, name, stacks.describe(aws, name))
    ownership.check(aws, stack, environment)
    if not stack.state.usable:
        raise RefusedError(
            f"{name} is {stack.state}, so it cannot be rolled back to a release; nothing was changed.",
            hint="Wait for the end of a running operation; `rtp deploy` repairs a stack that is stuck.",
            code="stack-not-usable",
        )
    return stack


def _present(target: Target, every: Sequence[Kept]) -> Kept | None:
    """The kept release that both functions run."""
    hashes = {function.code_sha256 if function is not None else "" for function in hotswap.running(target).values()}
    return next((k for k in every if hashes == {k.code}), None)


def _default(every: Sequence[Kept], present: Kept | None) -> Kept | None:
    """The release before the one that runs; the last that is kept, where what runs is none of them."""
    if present is None:
        return every[0] if every else None
    return next((k for k in every if k.release == present.before), None)


def _chosen(environment: Environment, every: Sequence[Kept], present: Kept | None, name: str | None) -> Kept:
    if name is None:
        if (found := _default(every, present)) is not None:
            return found
        what = f"Of the release before {present.label}" if present is not None else "Of earlier releases"
        raise _unknown(f"{what} of {environment.names.stack} nothing is kept", every)
    text = name.strip().lower()
    matching = [k for k in every if text in (f"r{k.number}", k.release)]
    if not matching and len(text) >= _LEAST:
        matching = [k for k in every if k.release.startswith(text)]
    if len(matching) > 1:
        names = ", ".join(k.label for k in matching)
        raise UsageError(f"{name} stands for {len(matching)} releases: {names}.", code="ambiguous-id")
    if not matching:
        raise _unknown(f"{environment.names.stack} has no kept release {name!r}", every)
    return matching[0]


def _unknown(text: str, every: Sequence[Kept]) -> NotFoundError:
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    named = ", ".join(f"{k.label} of {times.recent(k.at)}" for k in every[:_NAMED])
    hint = f"Choose one of {named}{more}." if every else "A deploy by this rtp keeps its release from now on."
    return NotFoundError(f"{text}; nothing was changed.", hint=hint, code="no-release")
