"""The verdict on an attempt, from which the record, the message, the response and the metrics follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rtp.runtime import errors
from rtp.runtime.event import InvalidEventError
from rtp.runtime.registry import Reject

if TYPE_CHECKING:
    from rtp.runtime.errors import ErrorInfo

Kind = Literal["processed", "invalid", "rejected", "failed"]


class Verdict(NamedTuple):
    """How an attempt ended. started: epoch s; number: of the attempt, from 1; cause: the exception behind `error`.

    processed  the record gets the result, and the message is done
    invalid    not an event: the record is dead, and the message moves to the DLQ
    rejected   the processor refused the event: record and message as for invalid
    failed     another attempt follows; after the last one the record is dead, and SQS moves the message to the DLQ
    """

    kind: Kind
    started: float = 0
    number: int = 1
    result: Any = None
    error: ErrorInfo | None = None
    cause: BaseException | None = None
    is_last: bool = False  # no attempt follows
    is_outage: bool = False  # AWS failed, not the processor

    @property
    def is_refused(self) -> bool:
        """Whether no further attempt could succeed."""
        return self.kind in ("invalid", "rejected")

    @property
    def is_dead(self) -> bool:
        """Whether the event ends without having been processed."""
        return self.is_refused or (self.kind == "failed" and self.is_last)

    @property
    def status(self) -> str:
        """The record's status."""
        return "dead" if self.is_dead else self.kind

    @property
    def outcome(self) -> str:
        """The outcome in the record's list of attempts."""
        return "rejected" if self.is_refused else self.kind


def judge(
    cause: BaseException | None,
    result: Any = None,
    *,
    started: float = 0,
    number: int = 1,
    is_last: bool = False,
    is_outage: bool = False,
) -> Verdict:
    """Return the verdict on an attempt that ended with this exception, or with a result."""
    if cause is None:
        return Verdict("processed", started, number, result)
    kind: Kind = "failed"
    error = errors.describe(cause)
    if isinstance(cause, InvalidEventError):
        kind, error = "invalid", errors.info("InvalidEvent", str(cause))
    elif isinstance(cause, Reject):
        kind = "rejected"
    return Verdict(kind, started, number, None, error, cause, is_last, is_outage)
