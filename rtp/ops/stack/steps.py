"""What a deploy or destroy tells while it runs; under --json each is a line with its `type`."""

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
    """Something the operator should know. `type` warning."""

    message: str


@dataclass(frozen=True, slots=True)
class Event:
    """One resource's step. `type` event. done and total count the operation's resources; time: when."""

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
    """The queue is empty and nothing new is accepted. `type` drained.

    accepted: requests that the API answered with a 2xx since its intake began to close, by its access log.
    received, recorded: distinct events that the functions received since then, and those that have their record.
    dlq, dlq_new: messages in the dead-letter queue, and how many more than before the drain.
    Null where a service could not be asked, which `unchecked` explains.
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
    """A bucket that is empty now. `type` emptied. objects: versions and delete markers that went."""

    bucket: str
    objects: int


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an operation failed: the first resource that did, where it stands in rtp's code, what its function logged."""

    logical_id: str
    path: str
    source: str
    resource_type: str
    status: str
    reason: str
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outputs:
    """The stack's outputs. `type` outputs."""

    outputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class Smoke:
    """The event that went through the pipeline after its deploy. `type` smoke."""

    id: str
    status: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended. `type` result.

    status: created, updated, unchanged, hotswapped, dry-run, rolled-back, destroyed, failed.
    """

    status: str
    stack: str
    elapsed_s: float
    resources: int = 0
    cause: Cause | None = None


Step = Phase | Note | Warn | Plan | Event | Tick | Waiting | Drained | Emptied | Outputs | Smoke | Result
