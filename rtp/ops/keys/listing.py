"""Every key that admits to an environment's API, with its limits and its usage. No value is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rtp.aws import api_keys, usage
from rtp.contract import KEY_TAG, Output
from rtp.errors import AwsError
from rtp.ops.keys import stored
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws import Aws
    from rtp.aws.api_keys import Limits, StoredKey
    from rtp.config import Environment

DAYS = 30
State = Literal["active", "old", "disabled", "incomplete"]


@dataclass(frozen=True, slots=True)
class Key:
    """One API key, without its value.

    name: of the client; `stack` is the stack's own key, which rtp itself uses. id: API Gateway's, as in the access log.
    state: active; old, when a rotation has made a newer one; disabled; incomplete, when nobody can use it because its
    creation was interrupted. created: when, ISO 8601; null where it is not known.
    limits: of its usage plan; null without one. own_limits: whether no other client shares the usage plan.
    used_today: requests on this day, UTC; null where it is not known.
    used: requests in the last 30 days, UTC; null where it is not known.
    """

    name: str
    id: str
    state: State
    created: str | None
    limits: Limits | None
    own_limits: bool
    used_today: int | None
    used: int | None


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an environment.

    auth: what the API wants of a caller: `key`, or `iam`, with which no key admits to anything. keys: the stack's own
    first, then those of clients. notes: what could not be read, and what is to be done.
    """

    env: str
    stack: str
    auth: str
    keys: list[Key]
    notes: list[str]


def listing(aws: Aws, environment: Environment, outputs: Mapping[str, str]) -> Keys:
    """List them. outputs: of the stack; empty without one. Raises AwsError."""
    notes: list[str] = []
    plans = {plan.id: plan for plan in stored.plans(aws, environment)}
    shared = outputs.get(Output.USAGE_PLAN_ID)
    if shared:
        plans[shared] = api_keys.plan(aws, shared)
    used: dict[str, list[int]] = {}
    plan_of: dict[str, str] = {}
    unread: list[str] = []
    for plan_id in plans:
        plan_of |= dict.fromkeys(api_keys.keys_of(aws, plan_id), plan_id)
        try:
            used |= usage.used(aws, plan_id, days=DAYS)
        except AwsError as error:
            unread.append(plan_id)
            notes.append(f"The usage of the plan {plans[plan_id].name} could not be read: {error.message}")
    clients = stored.keys(aws, environment)
    newest = {key.tags[KEY_TAG]: key.id for key in clients if key.id in plan_of}
    rows = [_stack_key(aws, environment, outputs)] if Output.API_KEY_ID in outputs else []
    rows += [(key.tags[KEY_TAG], key) for key in clients]
    keys = []
    for name, key in rows:
        plan = plans.get(plan_of.get(key.id, ""))
        counts = used.get(key.id, [])
        is_known = plan is not None and plan.id not in unread
        keys.append(
            Key(
                name,
                key.id,
                _state(key, in_plan=plan is not None, newest=newest.get(name, key.id)),
                None if key.created is None else times.iso(key.created.timestamp() * 1000),
                plan.limits if plan else None,
                plan is not None and plan.id != shared,
                (counts[-1] if counts else 0) if is_known else None,
                sum(counts) if is_known else None,
            )
        )
    rotating = dict.fromkeys(key.name for key in keys if key.state == "old")
    notes += [f"The rotation of {name} is not finished: its old key is still valid." for name in rotating]
    return Keys(environment.name, environment.names.stack, outputs.get(Output.API_AUTH, "key"), keys, notes)


def _stack_key(aws: Aws, environment: Environment, outputs: Mapping[str, str]) -> tuple[str, StoredKey]:
    """The stack's own key, by the id in the outputs."""
    key_id = outputs[Output.API_KEY_ID]
    of_id = (key for key in api_keys.keys(aws, environment.names.api_key) if key.id == key_id)
    return stored.STACK, next(of_id, api_keys.StoredKey(key_id, environment.names.api_key, enabled=False))


def _state(key: StoredKey, *, in_plan: bool, newest: str) -> State:
    if not key.enabled:
        return "disabled"
    if not in_plan:
        return "incomplete"
    return "active" if key.id == newest else "old"
