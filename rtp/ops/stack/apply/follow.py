"""Following a stack operation by its events, from its start to its end, also through outages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from rtp.aws import stacks
from rtp.aws.states import DELETED, StackState
from rtp.errors import AwsError, CredentialsError
from rtp.ops.work.clock import SYSTEM, Backoff, Clock
from rtp.ops.work.polling import every

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from rtp.aws import Aws
    from rtp.aws.stacks import Event
    from rtp.ops.stack.steps import Cause

_T = TypeVar("_T")
_BEGIN_S = 60.0  # an operation without an event after this time is judged by the stack's state
_OUTAGE_S = 900.0  # how long CloudFormation may be out of reach before the following ends
_LONGEST_PAUSE_S = 30.0
_RUNNING = StackState("", busy=True)  # until the end of the operation is seen


@dataclass(frozen=True, slots=True)
class Outage:
    """The connection to CloudFormation is lost, or works again; the operation goes on."""

    message: str


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

    A failing network, throttling, a fault of AWS's and expired credentials do not end the following: it goes on, with
    growing pauses, for up to 15 minutes, and uses the new credentials of an operator who signs in meanwhile.

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
    _outage_began: float | None = None
    _needs_credentials: bool = False

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

    def events(self) -> Iterator[Event | Outage | None]:
        """Events as they happen, oldest first, until the operation has ended; None after a poll without a new one.

        Raises AwsError for an outage that lasts too long, and for one that does not pass, such as a denied call.
        """
        deadline = self.clock.monotonic() + _BEGIN_S
        for _ in every(self._pauses(), clock=self.clock):
            new = yield from self._reading(self._new_events)
            if new is None:
                continue
            for event in new:
                if self._count(event):
                    yield event
            if not new:
                yield None
            if self._state.failed:
                settled = yield from self._reading(self._settled)
                if settled is None:  # asked again at the next poll
                    continue
                if not settled:
                    self._state = _RUNNING
            if self.token and not self._has_begun and self.clock.monotonic() >= deadline:
                self._state = (yield from self._reading(self._described)) or _RUNNING
            if not self._state.busy:
                return

    def joined(self) -> Iterator[Event | Outage | None]:
        """As `events`, for an operation that runs already and may have ended."""
        for _ in every(self._pauses(), clock=self.clock):
            read = yield from self._reading(lambda: (self._described(), self._new_events()))
            if read is None:
                continue
            state, new = read
            for event in new:
                if self._count(event):
                    yield event
            if not state.busy:
                self._state = state
                return
            yield None

    def _reading(self, read: Callable[[], _T]) -> Generator[Outage | None, None, _T | None]:
        """What `read` returns; None during an outage, whose begin and end are yielded. Raises AwsError at its limit."""
        try:
            if self._needs_credentials:
                self.aws.renew()
            value = read()
        except AwsError as error:
            now = self.clock.monotonic()
            is_first = self._outage_began is None
            began = self._outage_began = now if self._outage_began is None else self._outage_began
            self._needs_credentials = isinstance(error, CredentialsError)
            if not (error.passes or self._needs_credentials) or now - began >= _OUTAGE_S:
                raise
            yield Outage(_begun(error)) if is_first else None
            return None
        if self._outage_began is not None:
            self._outage_began, self._needs_credentials = None, False
            yield Outage("Following again; no event was missed.")
        return value

    def _new_events(self) -> list[Event]:
        return stacks.events_since(self.aws, self.stack_id, self._seen)

    def _described(self) -> StackState:
        stack = stacks.describe(self.aws, self.stack_id)
        return stack.state if stack else DELETED

    def _settled(self) -> bool:
        """Whether a failed stack stays as it is; a rollback may be about to begin."""
        stack = stacks.describe(self.aws, self.stack_id)
        return stack is None or stack.state == self._state

    def _pauses(self) -> Iterator[float]:
        """Pauses between polls, which grow during an outage and start short again after it."""
        regular = Backoff(0.03, 0.5, factor=1.3) if self.aws.local else Backoff(1.0, 3.0, factor=1.3)
        outage = Backoff(1.0, _LONGEST_PAUSE_S)
        while True:
            if self._outage_began is None:
                outage.reset()
            yield next(regular if self._outage_began is None else outage)

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


def _begun(error: AwsError) -> str:
    """What is said when an outage begins."""
    sign_in = f" {error.hint}" if isinstance(error, CredentialsError) else ""
    text = f"CloudFormation goes on meanwhile; trying again for up to {_OUTAGE_S / 60:.0f} minutes."
    return f"{error.message}{sign_in} {text}"
