"""What a deploy does before it looks at the stack: connect, check the account and the processors, synthesise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.contract import LOCAL_ACCOUNT
from rtp.errors import ConfigError
from rtp.infra import packing
from rtp.ops import envfile, secrets
from rtp.ops.access import guard
from rtp.ops.capacity.contradictions import contradictions
from rtp.ops.stack.build import bootstrap, limits, processors
from rtp.ops.stack.build.synth import synth
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.stack.build.synth import Assembly


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where to deploy, what, and what the operator should know about it. notes: what was done on the way."""

    aws: Aws
    assembly: Assembly
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def prepare(environment: Environment, connect: Callable[[], Aws]) -> Prepared:
    """Connect, check the processors and synthesise; side by side where the account's limits need not be known first.

    connect: gives AWS, and starts the embedded engine where the environment is on it. Raises RtpError.
    """
    warnings = _ignored(environment) + _contradictory(environment)
    with pool.tasks(2) as start:
        memo = environment.state / "cdk" / "checked"
        checked = start(processors.check, environment, memo=memo)
        connected = start(_connected, environment, connect)
        if environment.local and not environment.protected and environment.settings.reserved_concurrency is None:
            assembly = synth(environment, account=LOCAL_ACCOUNT)
        else:
            aws = connected.result().aws
            reserve = limits.reservation(aws, environment)
            if reserve.warning:
                warnings.append(reserve.warning)
            assembly = synth(environment, account=aws.account, reserved_concurrency=reserve.concurrency)
        sources = processors.sources_of(environment)
        warnings += packing.select(sources).notes if sources is not None else []
        warnings += _findings(environment, assembly)
        if doubt := checked.result():
            warnings.append(doubt.message)
        done = connected.result()
        return Prepared(done.aws, assembly, (*warnings, *done.warnings), done.notes)


def _ignored(environment: Environment) -> list[str]:
    """A line for the settings that an engine on this machine does not have and the functions may need."""
    settings = environment.settings
    unused = {"vpc": settings.vpc.subnets, "layers": settings.layers, "waf_acl_arn": settings.waf_acl_arn}
    names = [name for name, is_set in unused.items() if is_set]
    if not environment.local or not names:
        return []
    *others, last = names
    text = f"{', '.join(others)} and {last}" if others else last
    return [f"{text} of rtp.toml: not used on the local engine, which runs functions on this machine."]


def _contradictory(environment: Environment) -> list[str]:
    """Settings that contradict each other, for AWS: an engine on this machine limits no rates."""
    return [] if environment.local else contradictions(environment.settings)


@dataclass(frozen=True, slots=True)
class _Connected:
    aws: Aws
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def _findings(environment: Environment, assembly: Assembly) -> list[str]:
    """What cdk-nag says about the constructs of `[infra] extend`, one line each. Raises ConfigError under `strict`."""
    lines = [f"{f.path}: {f.rule}: {f.description}" for f in assembly.findings]
    if lines and environment.strict:
        raise ConfigError(
            f"cdk-nag finds: {' '.join(lines)}",
            hint="Fix or acknowledge each in the file of `[infra] extend`, or set strict = false.",
            code="findings",
        )
    return lines


def _connected(environment: Environment, connect: Callable[[], Aws]) -> _Connected:
    """Connect to AWS or the engine and check what a deploy needs there. Raises RtpError."""
    aws = connect()
    guard.account(aws, environment)
    if environment.local:
        bootstrap.ensure_on_engine(aws)
    else:
        bootstrap.check(aws)
    seeded = secrets.seed(aws, environment)
    notes = (f"set from {envfile.LOCAL}: {', '.join(seeded)}",) if seeded else ()
    return _Connected(aws, tuple(secrets.require(aws, environment)), notes)
