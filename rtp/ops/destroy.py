"""Destroying: empty, delete, and prove what is gone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import stacks
from rtp.errors import NotFoundError
from rtp.ops import apply, guard, lock
from rtp.ops.removal import Removed, remove
from rtp.ops.steps import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.steps import Step


@dataclass(slots=True)
class Destroy:
    """One destroy of one environment."""

    environment: Environment
    aws: Aws
    _began: float = field(default_factory=time.monotonic)

    def steps(self) -> Iterator[Step]:
        """Do it, telling what happens. Raises RtpError."""
        env, aws, stack = self.environment, self.aws, self.environment.names.stack
        with lock.held(env.state, env.name, "destroy"):
            guard.account(aws, env)
            found = stacks.describe(aws, stack)
            if found is None:
                raise NotFoundError(f"{stack} is not deployed in {aws.region}.", code="not-deployed")
            removed = Removed()
            stack_id = str(found["StackId"])
            yield from remove(aws, stack_id, removed, resources=stacks.resources(aws, stack_id), paths={})
            elapsed = round(time.monotonic() - self._began, 2)
            if removed.status != "DELETE_COMPLETE":
                yield Result("failed", stack, elapsed, removed.done, removed.cause)
                raise apply.failure(stack, "deleted", apply.Applied(removed.done, removed.status, removed.cause))
            yield Result("destroyed", stack, elapsed, removed.done)
