"""One arrival of an event, and what became of it.

Values are NamedTuples: a class of them is made in a fifth of a frozen dataclass's time, and cold starts wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rtp.runtime.items import Origin
from rtp.runtime.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.runtime.errors import ErrorInfo
    from rtp.runtime.event import Event, Identity, InvalidEventError
    from rtp.runtime.items import Claim
    from rtp.runtime.registry import Processor
    from rtp.runtime.store import Known, Wanted

Kind = Literal["processed", "repeat", "rejected", "failed", "busy"]


class Delivery(NamedTuple):
    """A text that should be an event, from the API, an asynchronous call or the queue.

    `fallback` is its identity when it has no id; `last` says that no delivery follows this one; `sent` is when it was
    accepted (epoch s). `replay` names the run that wants the event processed again, once. `attributes` are a message's,
    as Lambda hands them over.
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
    last: bool = False
    attempts: int = 0  # how many there will be, where only the record knows which one this is
    depth: int = 0
    replay: str = ""
    attributes: Mapping[str, Any] = {}


class Outcome(NamedTuple):
    """How a delivery ended.

    processed  the record is written; `result` is the answer
    repeat     it had been processed; `result` is the stored answer
    rejected   it never will be; its record is dead and its message in the dead-letter queue
    failed     it has to come again (`outage`: because AWS failed, not the processor)
    busy       another delivery is working on it; `absorbed` if that one has a message of its own, `by`, which stands
               for both
    """

    kind: Kind
    result: Any = None
    error: ErrorInfo | None = None
    outage: bool = False
    absorbed: bool = False
    by: str = ""
    until: float = 0
    trace_id: str = ""
    result_key: str = ""  # where a stored result is kept that its record could not hold

    @property
    def done(self) -> bool:
        """Whether the message has served its purpose."""
        return self.kind in ("processed", "repeat", "rejected") or self.absorbed


@dataclass(slots=True)
class Job:
    """A delivery on its way through the pipeline; the steps fill it in."""

    delivery: Delivery
    event: Event
    invalid: InvalidEventError | None = None
    processor: Processor | None = None
    trace: Trace = field(default_factory=lambda: Trace("", ""))
    started: float = 0
    model: Any = None  # the data as the processor wants it, when it has a model
    raw_key: str = ""
    claim: Claim | None = None
    result: Any = None
    error: BaseException | None = None
    outage: bool = False  # the error is AWS's and not the processor's
    outcome: Outcome | None = None
    wanted: Wanted | None = None

    @property
    def last(self) -> bool:
        """Whether this is the event's last attempt."""
        return self.delivery.last or (self.claim is not None and 0 < self.delivery.attempts <= self.claim.number)


def repeat(known: Known) -> Outcome:
    """The stored answer, or where it is kept."""
    record = known.record
    return Outcome(
        "repeat",
        result=record.get("result"),
        result_key=record.get("result_key", ""),
        trace_id=record.get("trace_id", ""),
    )


def origin(job: Job) -> Origin:
    """How the delivery came, as the record notes it."""
    return Origin(
        source=job.delivery.source,
        request_id=job.delivery.request_id,
        trace_id=job.trace.id,
        raw_key=job.raw_key,
        message_id=job.delivery.message_id,
        replay=job.delivery.replay,
    )


def subject(job: Job) -> dict[str, str]:
    """What a log line about the job says it is about."""
    return {
        "event_id": job.event.id,
        "event_type": job.event.type,
        "request_id": job.delivery.request_id,
        "trace_id": job.trace.id,
    }


def step(job: Job, write: Callable[..., None], name: str, message: str, **fields: Any) -> None:
    """Log a step of a job."""
    write(name, message, **subject(job), **fields)
