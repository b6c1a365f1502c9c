"""What a deploy or destroy acts on, and one run of it: whom it asks, and what it has begun."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

from rtp.errors import EndpointError, RtpError
from rtp.ops.access import ownership

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.access.ownership import Owner
    from rtp.ops.access.question import Question
    from rtp.ops.access.stack_lease import Lease


@dataclass(frozen=True, slots=True)
class Target:
    """The stack that an operation acts on.

    stack_id: empty while there is no stack. paths: logical id -> construct path, for what is shown.
    former_owner: whose stack it was until this run took it over.
    """

    aws: Aws
    environment: Environment
    stack_id: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)
    former_owner: Owner | None = None

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.environment.names.stack

    def recheck(self) -> None:
        """Raises NotFoundError or RefusedError where the stack is gone, replaced or another project's by now."""
        ownership.recheck(self.aws, self.environment, self.stack_id, former_owner=self.former_owner)


class Stage(StrEnum):
    """How far CloudFormation is with what this run last asked of it."""

    IDLE = "idle"  # nothing was requested
    REQUESTED = "requested"  # sent, no response yet: the operation may be running
    RUNNING = "running"
    DONE = "done"


class IntakeState(Enum):
    """What a run has done to the API's intake. CLOSED: it is closed, or may be."""

    UNTOUCHED = auto()
    CLOSED = auto()
    REOPENED = auto()


def _no_consent(question: Question) -> None:
    """Nothing in this run needs consent."""


@dataclass(slots=True)
class Operation:
    """One run of a deploy or destroy. It outlives the run, so that a run that was broken off can be reported.

    command: waits for an operation of this run that goes on without it, and goes on from there.
    consent: asked before anything that needs it; raises RefusedError to stop the run.
    deletion_begun: CloudFormation was asked to delete the stack and has not refused; deleted: it has done so.
    objects_deleted: object versions that are out of the stack's buckets.
    outputs_before: of the stack, when the run began.
    event_source_off: the event source is disabled, or may be.
    is_swapping: the functions' code is being changed directly, and one of them may have it already.
    has_swapped: the functions' code was changed directly, or may be.
    lease: of the stack, which is renewed before each change; None where there is none.
    """

    consent: Callable[[Question], None] = _no_consent
    command: str = "rtp deploy"
    stage: Stage = Stage.IDLE
    deletion_begun: bool = False
    deleted: bool = False
    objects_deleted: int = 0
    event_source_off: bool = False
    is_swapping: bool = False
    has_swapped: bool = False
    outputs_before: Mapping[str, str] = field(default_factory=dict)
    intake: IntakeState = IntakeState.UNTOUCHED
    lease: Lease | None = None
    _began: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return round(time.monotonic() - self._began, 2)

    @property
    def may_be_running(self) -> bool:
        """Whether CloudFormation is changing the stack, or may be: it would go on without rtp."""
        return self.stage in (Stage.REQUESTED, Stage.RUNNING)

    @contextmanager
    def requesting(self) -> Iterator[None]:
        """Around the call that starts an operation of CloudFormation. One that it refuses starts nothing.

        Raises RefusedError where the lease is lost.
        """
        self.check_lease()
        before, self.stage = self.stage, Stage.REQUESTED
        try:
            yield
        except RtpError as error:
            if not isinstance(error, EndpointError):
                self.stage = before
            raise
        self.stage = Stage.RUNNING

    def check_lease(self) -> None:
        """Raises RefusedError where another run has the lease of the stack by now."""
        if self.lease is not None:
            self.lease.check()

    def ask(self, question: Question, target: Target) -> None:
        """Ask for consent, then check that the stack is still the one that it was given for. Raises RtpError."""
        self.consent(question)
        self.check_lease()
        target.recheck()
