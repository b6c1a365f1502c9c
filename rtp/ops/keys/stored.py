"""The keys and usage plans that `rtp keys` has created for an environment, by the tags that it gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rtp.aws import api_keys
from rtp.contract import KEY_TAG, MANAGED_BY, Tag
from rtp.errors import UsageError

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.aws.api_keys import StoredKey, StoredPlan
    from rtp.config import Environment

STACK = "stack"
"""Name of the stack's own key, which CloudFormation creates and rtp itself uses."""
GENERATION_TAG = "rtp:key-generation"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_STALE_MS = 7 * 86_400_000
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """All keys of one client, the oldest first, and the usage plan that is theirs alone.

    attached: ids of the keys that are in a usage plan. Others are of a run that was interrupted: nobody can use them.
    """

    name: str
    keys: tuple[StoredKey, ...]
    attached: frozenset[str]
    plan: StoredPlan | None

    @property
    def usable(self) -> tuple[StoredKey, ...]:
        """The keys that the API accepts, the oldest first: two of them during a rotation."""
        return tuple(key for key in self.keys if key.id in self.attached)

    @property
    def incomplete(self) -> tuple[StoredKey, ...]:
        """The keys of interrupted runs."""
        return tuple(key for key in self.keys if key.id not in self.attached)


def checked(name: str) -> str:
    """Return the name of a client. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a key.",
            hint="Use lower-case letters, digits and dashes, first a letter or digit, at most 40 characters.",
        )
    return name


def tags(environment: Environment, name: str) -> dict[str, str]:
    """The stack's tags, and the key's name."""
    return {
        Tag.ENVIRONMENT.value: environment.name,
        Tag.PROJECT.value: environment.project,
        Tag.MANAGED_BY.value: MANAGED_BY,
        Tag.OWNER.value: environment.owner,
        KEY_TAG: name,
    }


def generation(key: StoredKey) -> int:
    """Which of a client's keys it is, from 1."""
    text = key.tags.get(GENERATION_TAG, "")
    return int(text) if text.isdecimal() else 0


def plans(aws: Aws, environment: Environment) -> list[StoredPlan]:
    """The usage plans of keys with limits of their own. Raises AwsError."""
    prefix = environment.names.client_key("")
    return [plan for plan in api_keys.plans(aws, prefix) if _is_ours(environment, plan.tags)]


def keys(aws: Aws, environment: Environment) -> list[StoredKey]:
    """The keys of clients, the oldest first. Another project's key may begin with the same name. Raises AwsError."""
    prefix = environment.names.client_key("")
    own = [key for key in api_keys.keys(aws, prefix) if _is_ours(environment, key.tags)]
    return sorted(own, key=lambda key: (generation(key), key.created or _EPOCH))


def of_client(aws: Aws, environment: Environment, name: str, shared_plan: str | None) -> ClientKeys:
    """The keys of one client. shared_plan: id of the stack's usage plan; None without a stack. Raises AwsError."""
    own = next((plan for plan in plans(aws, environment) if plan.tags[KEY_TAG] == name), None)
    of_name = tuple(key for key in keys(aws, environment) if key.tags[KEY_TAG] == name)
    ids = [plan_id for plan_id in (shared_plan, own and own.id) if plan_id]
    attached = frozenset[str]().union(*(api_keys.keys_of(aws, plan_id) for plan_id in ids)) if of_name else frozenset()
    return ClientKeys(name, of_name, attached & {key.id for key in of_name}, own)


def stale_rotations(aws: Aws, environment: Environment, *, now: int) -> list[str]:
    """The clients whose new key is a week old, and whose old one is still there. now: epoch ms. Raises AwsError."""
    of_client: dict[str, list[StoredKey]] = {}
    for key in keys(aws, environment):
        of_client.setdefault(key.tags[KEY_TAG], []).append(key)
    return [
        name
        for name, own in of_client.items()
        if len(own) > 1 and own[-1].created is not None and now - own[-1].created.timestamp() * 1000 > _STALE_MS
    ]


def _is_ours(environment: Environment, tags_: object) -> bool:
    ours = {k: v for k, v in tags(environment, "").items() if k not in (KEY_TAG, Tag.OWNER.value)}
    return isinstance(tags_, dict) and KEY_TAG in tags_ and ours.items() <= tags_.items()
