"""Following a stack operation by its events, from its start to its end."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from rtp.aws import stacks
from rtp.errors import EndpointError, RtpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws
    from rtp.aws.stacks import Event

GONE = "DELETE_COMPLETE"
GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", GONE)


class Stage(StrEnum):
    """How far it is with what CloudFormation was set to work on."""

    IDLE = "idle"  # nothing was asked of it
    ASKED = "asked"  # and its answer has not come: it may be at work
    WORKING = "working"
    DONE = "done"


@dataclass(slots=True)
class Underway:
    """What CloudFormation would go on with by itself, if rtp ended now."""

    stage: Stage = Stage.IDLE

    @property
    def going_on(self) -> bool:
        """Whether CloudFormation is at work, or may be."""
        return self.stage in (Stage.ASKED, Stage.WORKING)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around the call that sets CloudFormation to work. One that it refuses does not."""
        before, self.stage = self.stage, Stage.ASKED
        try:
            yield
        except RtpError as error:
            if not isinstance(error, EndpointError):
                self.stage = before
            raise
        self.stage = Stage.WORKING


@dataclass(slots=True)
class Follower:
    """A stack operation. Make it before the operation starts, so that no event is missed or told twice.

    stack_id: the stack's id; a name would not find a deleted stack. status: the stack's last one, once it has ended.
    expected: logical ids that change; none for whatever comes. failures: failed resources, first one first.
    underway: kept up to date.
    """

    aws: Aws
    stack_id: str
    expected: frozenset[str] = frozenset()
    underway: Underway = field(default_factory=Underway)
    sleep: Callable[[float], None] = time.sleep
    status: str = ""
    reason: str = ""  # the stack's own, of a failure
    failures: list[Event] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        last = stacks.last_event(self.aws, self.stack_id)
        if last is not None:
            self._seen.add(last)

    @property
    def total(self) -> int:
        """Resources that will change, as far as is known."""
        return len(self.expected | self._done)

    @property
    def done(self) -> int:
        """Resources that have got where they should be."""
        return len(self._done)

    @property
    def good(self) -> bool:
        """Whether it ended as it should."""
        return self.status in GOOD

    def events(self) -> Iterator[Event | None]:
        """Events as they happen, oldest first, until the operation has ended; None after each look without news."""
        pauses = self._pauses()
        while not self.status:
            news = stacks.events_since(self.aws, self.stack_id, self._seen)
            for event in news:
                if self._count(event):
                    yield event
            if not news:
                yield None
            if self.status.endswith("_FAILED") and not self._settled():
                self.status = ""
            if not self.status:
                self.sleep(next(pauses))

    def joined(self) -> Iterator[Event | None]:
        """As `events`, for an operation that is under way already, whose end may have been seen before."""
        pauses = self._pauses()
        while True:
            found = stacks.describe(self.aws, self.stack_id)
            status = str(found["StackStatus"]) if found else GONE
            for event in stacks.events_since(self.aws, self.stack_id, self._seen):
                if self._count(event):
                    yield event
            if not status.endswith("_IN_PROGRESS"):
                self.status = status
                return
            yield None
            self.sleep(next(pauses))

    def _settled(self) -> bool:
        """Whether a failed stack stays as it is; a rollback may be about to begin."""
        found = stacks.describe(self.aws, self.stack_id)
        return found is None or found["StackStatus"] == self.status

    def _pauses(self) -> Iterator[float]:
        pause, most = (0.03, 0.5) if self.aws.local else (1.0, 3.0)
        while True:
            yield pause
            pause = min(pause * 1.3, most)

    def _count(self, event: Event) -> bool:
        """Take note of it; whether it is worth telling. An emulator reports updates of what has not changed, too."""
        if event.physical_id == self.stack_id:
            if not event.status.endswith("_IN_PROGRESS"):
                self.status = event.status
            self.reason = self.reason or (event.reason if "FAILED" in event.status else "")
            return False
        if event.status.endswith("_FAILED"):
            self.failures.append(event)
            return True
        if self.expected and event.logical_id not in self.expected and event.status.startswith("UPDATE_"):
            return False
        if event.status.endswith("_COMPLETE"):
            self._done.add(event.logical_id)
        return True
