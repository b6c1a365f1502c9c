"""The outcome of a delivery: the verdict on its attempt, or why there was no attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import errors
from rtp.runtime.claims import Conflicting, Processed

if TYPE_CHECKING:
    from rtp.runtime.claims import Claim, Ending, Taken
    from rtp.runtime.dlqnote import DlqNote
    from rtp.runtime.errors import ErrorInfo
    from rtp.runtime.verdict import Verdict


class Settled(NamedTuple):
    """The verdict is on the record. lease_until: end of the claim's lease, epoch s; 0 without a claim.

    note: on the record, of the event's message in the DLQ. is_covered: another message of the event is there already.
    """

    verdict: Verdict
    lease_until: float = 0
    note: DlqNote | None = None
    is_covered: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the message can be deleted; otherwise it is delivered again."""
        return self.verdict.kind != "failed" or self.is_covered


class Outage(NamedTuple):
    """AWS failed at a step before the verdict was on the record: the event is delivered again later."""

    step: str
    cause: BaseException
    lease_until: float = 0

    @property
    def is_done(self) -> bool:
        """See Settled."""
        return False


class Duplicate(NamedTuple):
    """The event has been processed before. result_key: the object with a result that the record cannot hold.

    is_emitted_again: it has not; another attempt of the event that emitted it emitted other data under its id before.
    """

    result: Any = None
    result_key: str = ""
    trace_id: str = ""
    is_emitted_again: bool = False

    @property
    def is_done(self) -> bool:
        """See Settled."""
        return True


class Busy(NamedTuple):
    """Another delivery processes the event. is_absorbed: it has a different message, which covers both deliveries.

    is_postponed: no delivery does; the event is to run apart from others of its batch, and no time is left for that.
    """

    lease_until: float
    message_id: str = ""
    is_absorbed: bool = False
    is_postponed: bool = False

    @property
    def is_done(self) -> bool:
        """See Settled."""
        return self.is_absorbed


class IdentityConflictError(Exception):
    """Another event has this id and timestamp."""


class Conflict(NamedTuple):
    """The record of the event's identity has another type or data; it stays. status: of the record."""

    status: str

    @property
    def is_done(self) -> bool:
        """See Settled."""
        return True

    @property
    def cause(self) -> IdentityConflictError:
        """The error as an exception, for the trace."""
        return IdentityConflictError(
            f"another event with this id and timestamp is {self.status}, with another type or other data; its record "
            "stays, and this event needs an id of its own"
        )

    @property
    def error(self) -> ErrorInfo:
        """The reason in the response, or of the message in the DLQ."""
        return errors.info("IdentityConflict", str(self.cause))


Outcome = Settled | Outage | Duplicate | Busy | Conflict


def settled(ending: Ending) -> Outcome:
    """Return the outcome when the end of an attempt is on the record."""
    return Settled(ending.verdict, ending.claim.until if ending.claim else 0, ending.note, ending.is_covered)


def outage(step: str, cause: BaseException, claim: Claim | None = None) -> Outage:
    """Return the outcome when AWS failed at a step. Nobody can claim the event before its lease ends."""
    return Outage(step, cause, claim.until if claim else 0)


def taken(by: Taken, message_id: str) -> Outcome:
    """Return the outcome of a delivery whose claim was refused. message_id: of the delivery's message."""
    if isinstance(by, Processed):
        record = by.record
        return Duplicate(record.get("result"), record.get("result_key", ""), record.get("trace_id", ""))
    if isinstance(by, Conflicting):
        return Conflict(by.status)
    return busy(by.until, by.message_id, message_id)


def busy(until: float, by: str, message_id: str) -> Busy:
    """Return the outcome while the message `by` is being processed. A delivery of that same message is repeated."""
    return Busy(until, by, is_absorbed=bool(by) and bool(message_id) and by != message_id)
