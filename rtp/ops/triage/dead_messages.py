"""Failures that only DLQ messages have: of events without a record, and of those whose identity another event has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.ops.dlq import unrecorded
from rtp.ops.dlq.ending import Patience
from rtp.ops.triage.failures import Failure
from rtp.ops.work.pool import Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws import Aws
    from rtp.ops.dlq.messages import DlqMessage

MOST = 200  # messages that are read: each is hidden from other receivers meanwhile
_CONFLICT = "IdentityConflict"


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of the DLQ. failures: in the order of receiving. unread: messages that were not read."""

    failures: list[Failure] = field(default_factory=list)
    unread: int = 0


def read(aws: Aws, outputs: Mapping[str, str], *, depth: int, noted: int) -> Read:
    """Read the DLQ if it has more messages than the dead records note. Raises AwsError.

    depth: messages in it, by SQS. noted: by the records. It is not read otherwise, since that hides its messages.
    """
    if depth <= noted:
        return Read()
    limit = min(depth, MOST)
    answer = unrecorded.read(aws, outputs, _is_alone, most=limit, stop=Stop(), limit=limit, patience=Patience(0.0))
    return Read([_failure(message) for message in answer.messages], max(depth - MOST, answer.unseen, 0))


def _is_alone(message: DlqMessage) -> bool:
    return not message.runs or message.error.type == _CONFLICT


def _failure(message: DlqMessage) -> Failure:
    at = message.accepted_at
    releases = (message.release,) if message.release and message.error.type != _CONFLICT else ()
    return Failure(message.id, message.timestamp, message.type, "dead", message.error, at, at, releases)
