"""The note on a record of the event's message in the dead-letter queue.

A client that repeats a dead event lets it run again; where it fails again, its new message is dropped while the record
notes one in the DLQ, so that the DLQ has one message of the event and not one for each request. In doubt a message is
kept: doubled is better than lost.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import queue, wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.runtime.delivery import Delivery

ATTRIBUTE = "dlq_message"
_MARGIN_MS = 3_600_000  # before SQS deletes the message, in which it does not count any more
_DAY_MS = 86_400_000


class DlqNote(NamedTuple):
    """A message in the DLQ. request_id: of the delivery that it is of; sent_at: from when SQS counts its age, epoch ms.

    digest: of its text. redrive: its attribute of that name. is_sent: whether it is certain to reach the DLQ.
    """

    request_id: str
    sent_at: int
    digest: str
    redrive: str = ""
    is_sent: bool = True

    @property
    def values(self) -> dict[str, Any]:
        """The attribute of the record."""
        return {name: value for name, value in self._asdict().items() if value not in ("", None)}


def digest(body: str) -> str:
    """Return the digest of a message's text, by which another message of the same text is recognised."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def of(delivery: Delivery, now: float, *, by_sqs: bool) -> DlqNote:
    """The note of a delivery that ends in the DLQ. by_sqs: SQS moves its message, which keeps its age.

    now: epoch s. A message that rtp sends is certain only afterwards.
    """
    sent = delivery.sent if by_sqs and delivery.message_id else now
    redrive = queue.text_attribute(delivery.attributes, wire.REDRIVE)
    return DlqNote(delivery.fallback.id, int(sent * 1000), digest(delivery.body), redrive, is_sent=by_sqs)


def read(values: Mapping[str, Any]) -> DlqNote | None:
    """The note on a record, given the record's attribute; None where it is not one."""
    try:
        return DlqNote(
            str(values["request_id"]),
            int(values["sent_at"]),
            str(values["digest"]),
            str(values.get("redrive", "")),
            is_sent=bool(values.get("is_sent")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def covers(noted: DlqNote | None, own: DlqNote, delivery: Delivery, *, now: float, retention_days: int) -> bool:
    """Whether the DLQ has a message with the same event and text, and this one is another copy of it.

    A message without a request id of its own, and one with that of the note, may be the noted message itself that
    somebody moved back to the queue by hand: it is no copy.
    """
    if noted is None or not noted.is_sent or noted.digest != own.digest:
        return False
    if noted.sent_at + retention_days * _DAY_MS - _MARGIN_MS <= now * 1000:
        return False
    if own.redrive:  # two redrives sent the same DLQ message, because the first was killed
        (run, message_id), (noted_run, noted_id) = wire.redriven(own.redrive), wire.redriven(noted.redrive)
        return bool(message_id) and message_id == noted_id and run != noted_run
    return own.request_id not in (delivery.message_id, noted.request_id)
