"""Checks of an account and region: what there would prevent a deploy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rtp.aws import account, own_bucket, stacks, traces
from rtp.errors import RtpError
from rtp.ops import doctor_network, secrets
from rtp.ops.access import guard, ownership
from rtp.ops.doctor import Check, fail, failed, ok, unknown, warn
from rtp.ops.stack.build import bootstrap, limits
from rtp.ops.telemetry import transaction_search

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.config import Environment

_SKEW_S, _MUCH_SKEW_S = 30, 240  # AWS refuses requests that are 5 minutes off


def checks(aws: Aws, environment: Environment) -> list[Callable[[], Check]]:
    """Checks of the account and region; credentials must work."""
    if environment.local:
        return [lambda: stack(aws, environment), lambda: secret_values(aws, environment)]
    return [
        lambda: prepared(aws),
        lambda: leases(aws),
        lambda: logging_role(aws, environment),
        lambda: concurrency(aws, environment),
        lambda: tracing(aws),
        *([lambda: doctor_network.reachable(aws, environment)] if environment.settings.vpc.subnets else ()),
        lambda: stack(aws, environment),
        lambda: secret_values(aws, environment),
        lambda: clock(aws),
    ]


def credentials(aws: Aws, environment: Environment) -> Check:
    """The credentials must be valid and belong to the environment's account."""
    try:
        found = guard.account(aws, environment)
    except RtpError as error:
        return failed("credentials", error)
    if environment.local:
        return ok("credentials", "not needed")
    if environment.account is None and environment.protected:
        return warn(
            "credentials",
            f"account {found}; {environment.name} is protected but names no account",
            f'Add account = "{found}" to [env.{environment.name}].',
        )
    return ok("credentials", f"account {found}, {aws.region}")


def clock(aws: Aws, now: Callable[[], float] = time.time) -> Check:
    """The clock of this machine: AWS refuses requests whose time is wrong by minutes."""
    aws_ms = account.clock_ms(aws)
    if aws_ms is None:
        return ok("clock", "AWS sent no date")
    skew = now() - aws_ms / 1000
    detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    if abs(skew) > _MUCH_SKEW_S:
        return fail("clock", detail, "Set this machine's clock, for instance with NTP.")
    if abs(skew) > _SKEW_S:
        return warn("clock", detail, "Set this machine's clock, for instance with NTP.")
    return ok("clock", "correct")


def prepared(aws: Aws) -> Check:
    """The CDK's bootstrap."""
    try:
        bootstrap.check(aws)
        found = bootstrap.version(aws)
    except RtpError as error:
        return unknown("bootstrap", error) or failed("bootstrap", error)
    return ok("bootstrap", f"version {found}")


def leases(aws: Aws) -> Check:
    """Rtp's own bucket, whose leases make deploys from several machines exclude each other."""
    try:
        exists = own_bucket.exists(aws)
    except RtpError as error:
        return unknown("leases of deploys", error) or failed("leases of deploys", error)
    if exists:
        return ok("leases of deploys", own_bucket.name(aws))
    detail = f"no bucket {own_bucket.name(aws)}; deploys from several machines at once are not noticed"
    return warn("leases of deploys", detail, "Run `rtp bootstrap --bucket-only`.")


def logging_role(aws: Aws, environment: Environment) -> Check:
    """The account-wide role that API Gateway needs to write logs, and to create a stage with logs."""
    if not environment.settings.api_logs:
        return ok("api logging role", "not needed: api_logs is false")
    try:
        role = account.api_logging_role(aws)
    except RtpError as error:
        return unknown("api logging role", error) or failed("api logging role", error)
    if role:
        return ok("api logging role", role)
    return fail(
        "api logging role",
        "API Gateway has no role to write logs with in this account and region.",
        "`rtp deploy --make-logging-role` makes it, for all APIs of the account. Or set api_logs = false in rtp.toml.",
    )


def concurrency(aws: Aws, environment: Environment) -> Check:
    """The API function's reserved concurrency must leave enough to other functions."""
    try:
        found = limits.reservation(aws, environment)
    except RtpError as error:
        return failed("concurrency", error)
    if found.warning:
        return warn("concurrency", found.warning, "Request a higher limit in Service Quotas.")
    return ok("concurrency", f"reserves {found.concurrency}" if found.concurrency else "reserves nothing")


def tracing(aws: Aws) -> Check:
    """Where X-Ray stores traces: with Transaction Search it indexes a part of them only."""
    try:
        destination = traces.destination(aws)
    except RtpError as error:
        return unknown("traces", error) or failed("traces", error)
    if destination.is_partial:
        kept = f"X-Ray indexes {destination.percent:g} % of them (Transaction Search)"
        return ok("traces", f"{kept}; rtp reads the others from {transaction_search.GROUP}")
    return ok("traces", "all of those that are sampled are in X-Ray")


def stack(aws: Aws, environment: Environment) -> Check:
    """The stack must be this environment's own, and one that CloudFormation will update."""
    name = environment.names.stack
    try:
        found = stacks.describe(aws, name)
        owner = ownership.foreign(aws, found, environment)
    except RtpError as error:
        return failed("stack", error)
    if found is None:
        return ok("stack", f"{name} is not deployed yet")
    if owner is not None:
        return fail("stack", f"{ownership.describe(environment, owner)}.", ownership.FIX)
    if found.state.busy:
        return warn("stack", f"{name} is {found.state}.", "`rtp deploy` waits for it.")
    if found.state.failed or found.state.delete_only:
        return warn("stack", f"{name} is {found.state}.", "`rtp deploy` explains it and fixes it with your consent.")
    return ok("stack", f"{name} is {found.state}")


def secret_values(aws: Aws, environment: Environment) -> Check:
    """Each declared secret must have a value; `.env.local` is read at a deploy to the local engine."""
    if not environment.settings.secrets:
        return ok("secrets", "none are declared")
    try:
        states = secrets.declared_states(aws, environment)
    except RtpError as error:
        return unknown("secrets", error) or failed("secrets", error)
    missing = [secret.name for secret in states if secret.state == "missing"]
    if missing:
        fix = secrets.how_to_set(missing, local=environment.local)
        return warn("secrets", f"no value for {', '.join(missing)}", fix)
    notes = [f"{secret.name}: {secret.note}" for secret in states if secret.note]
    if notes:
        return warn("secrets", "; ".join(notes), "See `rtp secrets list`.")
    return ok("secrets", f"{len(states)} set")
