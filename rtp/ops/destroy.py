"""Destroying: empty, delete, and prove what is gone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import cleanup, stacks
from rtp.errors import NotFoundError, RtpError
from rtp.ops import guard, lock
from rtp.ops.deploy import Event, Phase
from rtp.ops.follow import Follower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws
    from rtp.config import Environment


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended. status: destroyed or failed."""

    status: str
    stack: str
    elapsed_s: float
    resources: int


@dataclass(slots=True)
class Destroy:
    """One destroy of one environment."""

    environment: Environment
    aws: Aws
    _began: float = field(default_factory=time.monotonic)

    def steps(self) -> Iterator[Phase | Event | Result]:
        """Do it, telling what happens. Raises RtpError."""
        env, aws, stack = self.environment, self.aws, self.environment.names.stack
        with lock.held(env.state, env.name, "destroy"):
            guard.account(aws, env)
            found = stacks.describe(aws, stack)
            if found is None:
                raise NotFoundError(f"{stack} is not deployed in {aws.region}.", code="not-deployed")
            resources = stacks.resources(aws, stack)
            yield Phase("emptying buckets")
            for resource in resources:
                if resource.resource_type == "AWS::S3::Bucket":
                    sum(cleanup.empty_bucket(aws, resource.physical_id))
            yield Phase("deleting")
            follower = Follower(aws, str(found["StackId"]), total=len(resources))
            stacks.delete(aws, str(found["StackId"]))
            for event in follower.events():
                if event is not None and not (event.of_stack and event.physical_id == found["StackId"]):
                    yield Event(
                        event.time.timestamp(),
                        event.logical_id,
                        "",
                        event.resource_type,
                        event.physical_id,
                        event.status,
                        event.reason,
                        follower.done,
                        follower.total,
                        round(time.monotonic() - self._began, 2),
                    )
            if not follower.good:
                cause = follower.failures[0] if follower.failures else None
                raise RtpError(
                    f"{stack} ended in {follower.status}" + (f": {cause.logical_id} {cause.reason}" if cause else ""),
                    code="destroy-failed",
                )
            yield Result("destroyed", stack, round(time.monotonic() - self._began, 2), follower.done)
