"""Values that the pipeline and the store exchange: who may process an event, and how the attempt ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rtp.runtime.dlqnote import DlqNote
    from rtp.runtime.event import Event
    from rtp.runtime.verdict import Verdict


class Origin(NamedTuple):
    """How a delivery arrived, as the record has it. replay: the run that asks for the event to be processed again.

    invocation_trace_id: of the invocation's trace, where the message has one of its own (`trace_id`).
    """

    source: str
    request_id: str = ""
    trace_id: str = ""
    raw_key: str = ""
    message_id: str = ""
    replay: str = ""
    invocation_trace_id: str = ""


class ClaimRequest(NamedTuple):
    """A delivery's request to process its event until `until` (epoch s). `token` identifies a repeated request.

    note: of its message in the DLQ, where it is killed in its last attempt. is_shared: other events run beside it, so
    that one whose last attempt was interrupted is refused.
    """

    event: Event
    origin: Origin
    until: float
    is_last: bool
    token: str
    note: DlqNote | None = None
    is_shared: bool = False

    @classmethod
    def of(
        cls, event: Event, origin: Origin, *, until: float, is_last: bool = False, note: DlqNote | None = None
    ) -> ClaimRequest:
        """Create a request with a new token."""
        return cls(event, origin, until, is_last, os.urandom(12).hex(), note)


class Claim(NamedTuple):
    """The right to process an event until `until` (epoch s). `attempts` are the earlier ones, as stored.

    is_fresh: the record has no attribute of an earlier attempt or of a last one, which the end would have to remove.
    noted: the event's message in the DLQ, of an earlier delivery.
    """

    token: str
    number: int
    attempts: list[dict[str, Any]]
    until: float
    is_fresh: bool = False
    noted: DlqNote | None = None


class Ending(NamedTuple):
    """The end of an attempt, to be written. An event that is stored as is has no claim.

    note: of the message in the DLQ, where the event is dead. is_covered: the record notes another message of it there.
    """

    event: Event
    origin: Origin
    claim: Claim | None
    verdict: Verdict
    note: DlqNote | None = None
    is_covered: bool = False


class Processed(NamedTuple):
    """The event has been processed. `record` is its item, without the values that are stored in the bucket."""

    record: dict[str, Any]


class Leased(NamedTuple):
    """Another delivery processes the event until `until` (epoch s). message_id: of its message, if that is retried.

    is_interrupted: that delivery was killed, and the event was not claimed because others run beside it.
    """

    until: float
    message_id: str = ""
    is_interrupted: bool = False


class Conflicting(NamedTuple):
    """The record has another type or data than the event, and is not dead. status: of the record."""

    status: str


Taken = Processed | Leased | Conflicting
