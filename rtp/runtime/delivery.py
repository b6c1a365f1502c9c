"""One type for each stage of the pipeline; no field is filled in later.

Delivery -> Received -> Archived -> Claimed -> Attempt -> Judged -> Ended

Values are NamedTuples: such a class is created in a fifth of a frozen dataclass's time, which counts for cold starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime.claims import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.runtime.claims import Claim, Ending
    from rtp.runtime.event import Emitted, Event, Identity
    from rtp.runtime.outcomes import Outcome
    from rtp.runtime.reading import Reading
    from rtp.runtime.tracing import Trace


class Delivery(NamedTuple):
    """A text that should be an event, from the API, an asynchronous invocation or the queue.

    `fallback` is its identity when it has no id; `sent` is when it was accepted (epoch s); `attributes` are those of a
    message, in Lambda's form. `replay` names the run that asks for the event to be processed again, once; `drill` the
    run of `rtp drill` that sent it.
    """

    body: str
    source: str
    fallback: Identity
    request_id: str = ""
    sent: float = 0
    trace_header: str | None = None
    message_id: str = ""
    receipt_handle: str = ""
    receives: int = 1
    is_last: bool = False  # no delivery follows this one
    attempts: int = 0  # how many there will be, where only the record knows which one this is
    depth: int = 0
    replay: str = ""
    drill: str = ""
    attributes: Mapping[str, Any] = {}

    @property
    def is_emission(self) -> bool:
        """Whether a processor emitted the event, in an attempt that may not have been the only one.

        Not in a replay, nor by `rtp dlq redrive`: there, other data is what somebody asked for.
        """
        return self.depth > 0 and self.source == "queue"

    @property
    def is_of_replay(self) -> bool:
        """Whether a replay sent the event, or an event that a replay sent emitted it."""
        return bool(self.replay) or self.source == "replay"

    @property
    def is_request(self) -> bool:
        """Whether a client waits for the answer: neither a message nor an asynchronous invocation."""
        return not self.message_id and not self.attempts


class Received(NamedTuple):
    """A delivery that has been read. started: epoch s."""

    delivery: Delivery
    reading: Reading
    trace: Trace
    started: float

    @property
    def event(self) -> Event:
        """The event as it was sent; the processor gets a copy."""
        return self.reading.event

    @property
    def subject(self) -> dict[str, str]:
        """The fields by which log lines name the delivery."""
        return {
            "event_id": self.event.id,
            "event_type": self.event.type,
            "request_id": self.delivery.request_id,
            "trace_id": self.trace.id,
        }

    def origin(self, raw_key: str = "") -> Origin:
        """How the delivery arrived, as the record has it."""
        delivery = self.delivery
        return Origin(
            source=delivery.source,
            request_id=delivery.request_id,
            trace_id=self.trace.id,
            raw_key=raw_key,
            message_id=delivery.message_id,
            replay=delivery.replay,
            invocation_trace_id=self.trace.invocation_id,
        )

    def log(self, write: Callable[..., None], step: str, message: str, **fields: Any) -> None:
        """Log a step of the delivery."""
        write(step, message, **self.subject, **fields)


class Archived(NamedTuple):
    """A delivery whose text is in the archive."""

    received: Received
    origin: Origin

    @property
    def trace(self) -> Trace:
        """The event's part of a trace."""
        return self.received.trace


class Suspect(NamedTuple):
    """An event that is not claimed: its last attempt was interrupted, and may have killed those beside it.

    It runs alone, after the others have been recorded.
    """

    archived: Archived

    @property
    def received(self) -> Received:
        """The delivery as it was received."""
        return self.archived.received

    @property
    def trace(self) -> Trace:
        """The event's part of a trace."""
        return self.archived.trace


class Claimed(NamedTuple):
    """A delivery that may process its event. Without a processor it needs no claim: nothing could run twice."""

    received: Received
    origin: Origin
    claim: Claim | None = None

    @property
    def number(self) -> int:
        """Number of the attempt, from 1."""
        return self.claim.number if self.claim else 1

    @property
    def is_last(self) -> bool:
        """Whether no attempt follows."""
        delivery = self.received.delivery
        return delivery.is_last or (self.claim is not None and 0 < delivery.attempts <= self.claim.number)


class Attempt(NamedTuple):
    """A claimed event after its processor: the result and the emitted events, or the error that ended the attempt."""

    claimed: Claimed
    result: Any = None
    emitted: tuple[Emitted, ...] = ()
    error: BaseException | None = None
    is_outage: bool = False  # AWS failed, not the processor

    @property
    def received(self) -> Received:
        """The delivery as it was received."""
        return self.claimed.received

    @property
    def trace(self) -> Trace:
        """The event's part of a trace."""
        return self.received.trace


class Judged(NamedTuple):
    """An attempt whose verdict is to be recorded."""

    received: Received
    ending: Ending

    @property
    def trace(self) -> Trace:
        """The event's part of a trace."""
        return self.received.trace


class Ended(NamedTuple):
    """A delivery at its end."""

    received: Received
    outcome: Outcome

    @property
    def trace(self) -> Trace:
        """The event's part of a trace."""
        return self.received.trace
