"""Checks before anything is changed: the account and the stack are the ones that the operator means."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.contract import LOCAL_ACCOUNT
from rtp.errors import RefusedError
from rtp.text import addresses

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.aws.stacks import Stack
    from rtp.config import Environment


def account(aws: Aws, environment: Environment) -> str:
    """The account of the credentials, checked to be the environment's. Raises RefusedError where it is another."""
    if environment.local:
        return LOCAL_ACCOUNT
    found = aws.account
    if environment.account is not None and environment.account != found:
        who = f"profile {environment.profile}" if environment.profile else "the default credentials"
        raise RefusedError(
            f"{environment.name} is account {environment.account}, but {who} belong to {found}; nothing was changed.",
            hint=f"Sign in to {environment.account}, or give --profile.",
            code="wrong-account",
        )
    return found


def as_deployed(environment: Environment, stack: Stack | None) -> Environment:
    """The environment, protected also where its stack was deployed as protected.

    The rtp.toml here may be an older one, another branch's, or that of a copy of the project.
    """
    return replace(environment, protected=environment.protected or (stack is not None and stack.protected))


def named(environment: Environment, given: str | None) -> None:
    """Raises RefusedError where the name given with --confirm is not this stack's, protected or not."""
    if given is not None and given != environment.names.stack:
        raise RefusedError(
            f"{given!r} is not {environment.names.stack!r}; nothing was changed.",
            hint="Name the environment with --env.",
        )


def where(aws: Aws, environment: Environment) -> str:
    """One line for people: environment, account, region and profile."""
    if environment.local:
        return f"{environment.name} · {addresses.masked(str(aws.endpoint_url))} · {aws.region}"
    who = f" · profile {environment.profile}" if environment.profile else ""
    return f"{environment.name} · account {aws.account} · {aws.region}{who}"
