"""Create, rotate and revoke the keys of clients. Each step leaves a state that the same command continues from."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import api_keys
from rtp.aws.api_keys import Limits
from rtp.contract import IAM, Output
from rtp.errors import NotFoundError, RefusedError
from rtp.ops.keys import stored
from rtp.ops.keys.stored import GENERATION_TAG, STACK
from rtp.text import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.keys.stored import ClientKeys

_BYTES = 20  # 40 characters; API Gateway takes 20 to 128


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was created.

    name: of the client. id: API Gateway's, as in the access log. value: what the client sends as x-api-key; it is
    printed this once. own_limits: limits of this client alone; null where it has those of every key.
    old: ids of the client's keys that are valid as well, until the rotation is finished.
    """

    name: str
    id: str
    value: str = field(repr=False)
    own_limits: Limits | None
    old: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """Keys that were deleted. API Gateway may accept them for up to a minute more.

    ids: of the deleted keys. plan: name of the usage plan that was deleted with them; null where there was none.
    remaining: id of the client's key that stays valid; null where none is left.
    """

    name: str
    ids: tuple[str, ...]
    plan: str | None = None
    remaining: str | None = None


def check(environment: Environment, outputs: Mapping[str, str], name: str) -> None:
    """Raises UsageError or RefusedError for a name of which no key can be created or rotated."""
    stored.checked(name)
    _refuse_the_stack_s(name)
    if outputs.get(Output.API_AUTH) == IAM or environment.settings.auth == IAM:
        raise RefusedError(
            f'{environment.names.stack} has auth = "iam": callers sign their requests, and a key admits to nothing.',
            hint="Allow execute-api:Invoke to the client's IAM role; docs/security.md has the policy.",
            code="keys-unused",
        )


def limits(environment: Environment, rate: int | None, burst: int | None, quota: int | None) -> Limits | None:
    """Limits of one key, each that is not given as rtp.toml has it; None where none is given."""
    if rate is None and burst is None and quota is None:
        return None
    settings = environment.settings
    return Limits(rate or settings.key_rate, burst or settings.key_burst, quota or settings.daily_quota)


def create(
    aws: Aws, environment: Environment, outputs: Mapping[str, str], name: str, own_limits: Limits | None
) -> NewKey:
    """Create the first key of a client. Raises RefusedError where it has one."""
    client = stored.of_client(aws, environment, name, outputs[Output.USAGE_PLAN_ID])
    if client.usable:
        raise RefusedError(
            f"{name} has a key already, {client.usable[-1].id}; nothing was changed.",
            hint=suggest.sentence(
                "Replace it with {}, or choose another name.", suggest.command("rtp", "keys", "rotate", values=[name])
            ),
            code="key-exists",
        )
    _discard(aws, client)
    plan_id = outputs[Output.USAGE_PLAN_ID]
    if own_limits is not None:
        stage = (outputs[Output.API_ID], outputs[Output.API_STAGE])
        tags = stored.tags(environment, name)
        plan_id = api_keys.create_plan(aws, environment.names.client_key(name), stage, own_limits, tags)
    return _make(aws, environment, name, plan_id, own_limits, ())


def rotate(
    aws: Aws, environment: Environment, outputs: Mapping[str, str], name: str, *, restart: bool = False
) -> NewKey:
    """Create a client's next key; the one before stays valid. Raises NotFoundError without one.

    restart: delete the new key of an unfinished rotation first. Without it that raises RefusedError.
    """
    shared = outputs[Output.USAGE_PLAN_ID]
    client = stored.of_client(aws, environment, name, shared)
    if not client.usable:
        raise _unknown(environment, name)
    first, *newer = client.usable
    if newer and not restart:
        finish, again = (
            suggest.command("rtp", "keys", "rotate", **{option: True}, values=[name])
            for option in ("finish", "restart")
        )
        raise RefusedError(
            f"The rotation of {name} is not finished: {', '.join(key.id for key in client.usable)} are valid.",
            hint=suggest.sentence("Revoke the old key with {}, or replace the new one with {}.", finish, again),
            code="rotation-pending",
        )
    for key in (*client.incomplete, *newer):
        api_keys.delete(aws, key.id)
    own = client.plan if client.plan is not None and first.id in api_keys.keys_of(aws, client.plan.id) else None
    return _make(aws, environment, name, own.id if own else shared, own.limits if own else None, (first.id,), client)


def unfinished(aws: Aws, environment: Environment, outputs: Mapping[str, str], name: str) -> ClientKeys:
    """The keys of a client whose rotation can be finished: the last is the new one. Raises NotFoundError otherwise."""
    client = stored.of_client(aws, environment, name, outputs[Output.USAGE_PLAN_ID])
    if not client.usable:
        raise _unknown(environment, name)
    if len(client.usable) == 1:
        raise NotFoundError(
            f"{name} has one key, {client.usable[0].id}: no rotation is to be finished.",
            hint="Run `rtp keys list`.",
            code="no-rotation",
        )
    return client


def finish(aws: Aws, environment: Environment, outputs: Mapping[str, str], client: ClientKeys) -> Revoked:
    """Delete the keys of a client that are not its newest. client: as it was shown.

    Raises RefusedError where another command has changed its keys since: the newest may be gone, or one that nobody has
    given to the client yet. Raises AwsError.
    """
    now = stored.of_client(aws, environment, client.name, outputs[Output.USAGE_PLAN_ID])
    if [key.id for key in now.usable] != [key.id for key in client.usable]:
        raise RefusedError(
            f"The keys of {client.name} were changed by another command meanwhile; nothing was revoked.",
            hint="Run `rtp keys list`, then repeat the command.",
            code="keys-changed",
        )
    *old, new = client.usable
    revoked = [*client.incomplete, *old]
    for key in revoked:
        api_keys.delete(aws, key.id)
    return Revoked(client.name, tuple(key.id for key in revoked), remaining=new.id)


def revoke(aws: Aws, environment: Environment, outputs: Mapping[str, str], name: str) -> Revoked:
    """Delete every key of a client, and the usage plan that is its own. Works without a stack too."""
    client = of(aws, environment, outputs, name)
    _discard(aws, client)
    return Revoked(name, tuple(key.id for key in client.keys), client.plan.name if client.plan else None)


def of(aws: Aws, environment: Environment, outputs: Mapping[str, str], name: str) -> ClientKeys:
    """The keys of a client that can be revoked. Raises NotFoundError where there is nothing of it."""
    _refuse_the_stack_s(stored.checked(name))
    client = stored.of_client(aws, environment, name, outputs.get(Output.USAGE_PLAN_ID))
    if not client.keys and client.plan is None:
        raise _unknown(environment, name)
    return client


def _make(
    aws: Aws,
    environment: Environment,
    name: str,
    plan_id: str,
    own_limits: Limits | None,
    old: tuple[str, ...],
    client: ClientKeys | None = None,
) -> NewKey:
    number = 1 + max((stored.generation(key) for key in client.keys), default=0) if client else 1
    tags = stored.tags(environment, name) | {GENERATION_TAG: str(number)}
    value = secrets.token_hex(_BYTES)
    physical = f"{environment.names.client_key(name)}.{number}"
    key_id = api_keys.create(aws, physical, value, description=f"Key of the client {name}", tags=tags)
    api_keys.attach(aws, key_id, plan_id)
    return NewKey(name, key_id, value, own_limits, old)


def _discard(aws: Aws, client: ClientKeys) -> None:
    """Delete a client's keys and its own usage plan: the plan last, for it is found by its tags without a key too."""
    for key in client.keys:
        api_keys.delete(aws, key.id)
    if client.plan is not None:
        api_keys.delete_plan(aws, client.plan)


def _refuse_the_stack_s(name: str) -> None:
    if name == STACK:
        raise RefusedError(
            "`stack` is the stack's own key, which rtp itself uses; CloudFormation creates and deletes it.",
            hint="Raise stack_key_version in rtp.toml and run `rtp deploy`: it replaces that key.",
            code="stack-key",
        )


def _unknown(environment: Environment, name: str) -> NotFoundError:
    return NotFoundError(
        f"{environment.names.stack} has no key of {name!r}.", hint="Run `rtp keys list`.", code="no-such-key"
    )
