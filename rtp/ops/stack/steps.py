"""What a deploy or destroy yields while it runs; under --json each is a line with its `type`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.ops.stack.compare.approval import Plan

if TYPE_CHECKING:
    from datetime import datetime

    from rtp.aws.states import ResourceStatus


@dataclass(frozen=True, slots=True)
class Phase:
    """What is being done from now on; for people only."""

    name: str


@dataclass(frozen=True, slots=True)
class Note:
    """A remark in passing, such as which account this is; for people only."""

    message: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Something the operator should know."""

    message: str


@dataclass(frozen=True, slots=True)
class Event:
    """One step of one resource.

    time: when it happened. status: CloudFormation's status of the resource.
    done: resources of the operation that have reached their end. total: all resources of the operation.
    elapsed_s: since the operation began.
    """

    time: datetime
    logical_id: str
    path: str
    resource_type: str
    physical_id: str
    status: ResourceStatus
    reason: str
    done: int
    total: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing new; time to redraw. For people only."""

    done: int
    total: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the current phase waits for; for people only."""

    message: str


@dataclass(frozen=True, slots=True)
class Drained:
    """The queue is empty and nothing new is accepted. Null: could not be read, which `unchecked` explains.

    accepted: requests that the API answered with a 2xx since its intake began to close, by its access log.
    received: distinct events that the functions received since then. recorded: those of them that have a record.
    by_status: how many of these records have each status. dlq: messages in the dead-letter queue.
    dlq_new: how many more than before the drain. empty_s: how long the queue stayed empty.
    elapsed_s: since the drain began. unchecked: what could not be read, and why.
    """

    accepted: int | None
    received: int | None
    recorded: int | None
    by_status: dict[str, int]
    dlq: int | None
    dlq_new: int | None
    empty_s: float
    elapsed_s: float
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Emptied:
    """A bucket that is empty now.

    bucket: its name. objects: how many versions and delete markers were deleted.
    """

    bucket: str
    objects: int


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an operation failed: the first resource that did.

    source: where the resource is defined in rtp's code. status: CloudFormation's status of the resource.
    logs: what the resource's function logged.
    """

    logical_id: str
    path: str
    source: str
    resource_type: str
    status: str
    reason: str
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outputs:
    """The stack's outputs.

    outputs: value of each output by its key.
    changed: keys of those that were not there before, or had another value.
    """

    outputs: dict[str, str]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Smoke:
    """The event that was sent through the pipeline after its deploy.

    status: processed. latency_ms: from the request to its answer.
    """

    id: str
    status: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Result:
    """How a deploy or destroy ended.

    status: created, updated, restored, unchanged, hotswapped, dry-run, rolled-back, destroyed or failed.
    elapsed_s: since the command began. resources: how many changed. cause: why it failed; null where it did not.
    restored: what was changed outside CloudFormation and is as deployed again, such as `code of Processing/Worker`.
    release: to which a rollback went; empty for other commands.
    """

    status: str
    stack: str
    elapsed_s: float
    resources: int = 0
    cause: Cause | None = None
    restored: tuple[str, ...] = ()
    release: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """What `deploy --watch` deploys next. files: what was saved or deleted, below the project's folder where it is."""

    files: tuple[str, ...]


Step = Phase | Note | Warn | Plan | Event | Tick | Waiting | Drained | Emptied | Outputs | Smoke | Result
