"""Following a stack operation by its events, from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import stacks
from rtp.aws.states import DELETED, StackState
from rtp.ops.work.clock import SYSTEM, Backoff, Clock
from rtp.ops.work.polling import every

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws
    from rtp.aws.stacks import Event
    from rtp.ops.stack.steps import Cause

_BEGIN_S = 60.0  # an operation without an event after this time is judged by the stack's state
_RUNNING = StackState("", busy=True)  # until the end of the operation is seen


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stack operation ended.

    state: the stack's at the end. done: resources that have got where they should be. reason: the stack's own, of a
    failure. failures: failed resources, the first one first. cause: of a failure, where it was looked for and found.
    """

    state: StackState
    done: int = 0
    reason: str = ""
    failures: tuple[Event, ...] = ()
    cause: Cause | None = None

    @property
    def good(self) -> bool:
        """Whether it ended as it should."""
        return self.state.succeeded


@dataclass(slots=True)
class Follower:
    """Reads the events of a stack operation. Make it before the operation starts, so that none is missed or repeated.

    stack_id: the stack's id; a name would not find a deleted stack.
    token: the operation's ClientRequestToken. Events before the first one with it are late ones of earlier operations,
    whose end is not this one's; empty for an operation of somebody else.
    expected: logical ids that change; empty where any may.
    """

    aws: Aws
    stack_id: str
    expected: frozenset[str] = frozenset()
    token: str = ""
    clock: Clock = SYSTEM
    _has_begun: bool = False
    _state: StackState = _RUNNING
    _reason: str = ""
    _failures: list[Event] = field(default_factory=list)
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
    def outcome(self) -> Outcome:
        """How the operation ended. Read it after the last event."""
        return Outcome(self._state, self.done, self._reason, tuple(self._failures))

    def events(self) -> Iterator[Event | None]:
        """Events as they happen, oldest first, until the operation has ended; None after a poll without a new one."""
        deadline = self.clock.monotonic() + _BEGIN_S
        for _ in every(self._pauses(), clock=self.clock):
            new = stacks.events_since(self.aws, self.stack_id, self._seen)
            for event in new:
                if self._count(event):
                    yield event
            if not new:
                yield None
            if self._state.failed and not self._settled():
                self._state = _RUNNING
            if self.token and not self._has_begun and self.clock.monotonic() >= deadline:
                self._state = self._described()
            if not self._state.busy:
                return

    def joined(self) -> Iterator[Event | None]:
        """As `events`, for an operation that runs already and may have ended."""
        for _ in every(self._pauses(), clock=self.clock):
            state = self._described()
            for event in stacks.events_since(self.aws, self.stack_id, self._seen):
                if self._count(event):
                    yield event
            if not state.busy:
                self._state = state
                return
            yield None

    def _settled(self) -> bool:
        """Whether a failed stack stays as it is; a rollback may be about to begin."""
        stack = stacks.describe(self.aws, self.stack_id)
        return stack is None or stack.state == self._state

    def _described(self) -> StackState:
        stack = stacks.describe(self.aws, self.stack_id)
        return stack.state if stack else DELETED

    def _pauses(self) -> Backoff:
        return Backoff(0.03, 0.5, factor=1.3) if self.aws.local else Backoff(1.0, 3.0, factor=1.3)

    def _count(self, event: Event) -> bool:
        """Count it, and say whether to report it: an emulator also emits updates of resources that did not change."""
        self._has_begun |= event.token == self.token
        if self.token and not self._has_begun:
            return False
        if event.physical_id == self.stack_id:
            if not event.status.busy:
                self._state = StackState.of(event.status)
            self._reason = self._reason or (event.reason if event.status.failed else "")
            return False
        if event.status.failed:
            self._failures.append(event)
            return True
        if self.expected and event.logical_id not in self.expected and event.status.of_update:
            return False
        if event.status.complete:
            self._done.add(event.logical_id)
        return True
