"""The API keys of clients when their stack is destroyed: what the plan says of them, deletion, and proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import api_keys
from rtp.contract import KEY_TAG
from rtp.errors import AwsError
from rtp.ops.keys import stored
from rtp.ops.stack.teardown.inventory import Item
from rtp.ops.stack.teardown.proof import Left

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.aws.api_keys import StoredKey, StoredPlan
    from rtp.config import Environment

KEY, PLAN = "API key", "usage plan"


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The keys and usage plans that `rtp keys` has created. unchecked: why they could not be listed; empty if so."""

    keys: tuple[StoredKey, ...] = ()
    plans: tuple[StoredPlan, ...] = ()
    unchecked: str = ""

    @property
    def goes(self) -> tuple[Item, ...]:
        """What the plan says is deleted."""
        keys = (Item(KEY, key.name, f"of the client {key.tags[KEY_TAG]}") for key in self.keys)
        return (*keys, *(Item(PLAN, plan.name, f"of the client {plan.tags[KEY_TAG]}") for plan in self.plans))

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all of them, with which a search by tags finds them too."""
        return (*(key.id for key in self.keys), *(plan.id for plan in self.plans))

    @property
    def names(self) -> tuple[str, ...]:
        """The clients."""
        tags = [key.tags for key in self.keys] + [plan.tags for plan in self.plans]
        return tuple(dict.fromkeys(each[KEY_TAG] for each in tags))


def of(aws: Aws, environment: Environment) -> OwnKeys:
    """List them. Without the permission to, there are none, and `unchecked` says so. Raises AwsError."""
    try:
        return OwnKeys(tuple(stored.keys(aws, environment)), tuple(stored.plans(aws, environment)))
    except AwsError as error:
        if error.code != "access-denied":
            raise
        return OwnKeys(unchecked=f"API keys of clients could not be listed; any that exist stay: {error.message}")


def detach(aws: Aws, own: OwnKeys) -> None:
    """Remove the usage plans from the stage, while it exists: API Gateway deletes no plan that has one."""
    for plan in own.plans:
        api_keys.detach(aws, plan)


def delete(aws: Aws, environment: Environment, own: OwnKeys) -> tuple[int, tuple[Left, ...]]:
    """Delete all of them. Returns how many are gone, and what is left, asked of API Gateway again. Raises AwsError."""
    if not own.ids:
        return 0, ()
    refused: dict[str, str] = {}

    def attempt(each_id: str, deletion: Callable[[], None]) -> None:
        try:
            deletion()
        except AwsError as error:
            refused[each_id] = error.message

    for key in own.keys:
        attempt(key.id, lambda key=key: api_keys.delete(aws, key.id))  # type: ignore[misc]
    for plan in own.plans:
        attempt(plan.id, lambda plan=plan: api_keys.delete_plan(aws, plan))  # type: ignore[misc]
    rest = of(aws, environment)
    left = [Left(KEY, key.name, False, refused.get(key.id, "should be gone")) for key in rest.keys]
    left += [Left(PLAN, plan.name, False, refused.get(plan.id, "should be gone")) for plan in rest.plans]
    return max(0, len(own.ids) - len(left)), tuple(left)
