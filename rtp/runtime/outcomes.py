"""How a delivery ended: by the verdict on its attempt, or before there was one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime.claims import Processed

if TYPE_CHECKING:
    from rtp.runtime.claims import Claim, Ending, Taken
    from rtp.runtime.verdict import Verdict


class Settled(NamedTuple):
    """The verdict is on the record. lease_until: epoch s, of the attempt's claim; 0 without one."""

    verdict: Verdict
    lease_until: float = 0

    @property
    def is_done(self) -> bool:
        """Whether the message has served its purpose; otherwise it has to be delivered again."""
        return self.verdict.kind != "failed"


class Outage(NamedTuple):
    """AWS failed at a step, and there is nothing on the record: the event is delivered again later."""

    step: str
    cause: BaseException
    lease_until: float = 0

    @property
    def is_done(self) -> bool:
        """As in Settled."""
        return False


class Duplicate(NamedTuple):
    """The event has been processed before. result_key: where a result is stored that its record could not hold."""

    result: Any = None
    result_key: str = ""
    trace_id: str = ""

    @property
    def is_done(self) -> bool:
        """As in Settled."""
        return True


class Busy(NamedTuple):
    """Another delivery processes the event. is_absorbed: that one has a message of its own, which covers both."""

    lease_until: float
    message_id: str = ""
    is_absorbed: bool = False

    @property
    def is_done(self) -> bool:
        """As in Settled."""
        return self.is_absorbed


Outcome = Settled | Outage | Duplicate | Busy


def settled(ending: Ending) -> Outcome:
    """The outcome when the end of an attempt is on the record."""
    return Settled(ending.verdict, ending.claim.until if ending.claim else 0)


def outage(step: str, cause: BaseException, claim: Claim | None = None) -> Outage:
    """The outcome when AWS failed at a step. Nobody else can claim the event before the lease of a claim ends."""
    return Outage(step, cause, claim.until if claim else 0)


def taken(by: Taken, message_id: str) -> Outcome:
    """The outcome of a delivery, with this message, whose event is not its own to process."""
    if isinstance(by, Processed):
        record = by.record
        return Duplicate(record.get("result"), record.get("result_key", ""), record.get("trace_id", ""))
    return busy(by.until, by.message_id, message_id)


def busy(until: float, by: str, message_id: str) -> Busy:
    """Busy until then with the message `by`. A delivery of that very message has to be repeated."""
    return Busy(until, by, is_absorbed=bool(by) and bool(message_id) and by != message_id)
