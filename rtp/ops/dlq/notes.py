"""Keep the records' notes of messages in the DLQ true: removed before a message leaves it, written by an undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import records
from rtp.ops.work import pool
from rtp.runtime import dlqnote, wire
from rtp.runtime.dlqnote import DlqNote
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.aws.queues import Receipt
    from rtp.ops.dlq.journal import Entry
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.target import Target
    from rtp.runtime.event import Identity

_CONCURRENCY = 32  # records written at the same time, each by a call of its own
_LOOKED_AT = 100  # records: as many as one call reads


def has_any(aws: Aws, table: str, identities: Sequence[Identity]) -> bool:
    """Whether a record of the last of these events notes a message in the DLQ."""
    return any(dlqnote.ATTRIBUTE in record for record in records.by_keys(aws, table, identities[-_LOOKED_AT:]))


def forget(target: Target, dlq_messages: Sequence[DlqMessage]) -> None:
    """Remove the notes of messages that are about to leave the DLQ: the next message of such an event must be kept."""
    noted = [dlq_message for dlq_message in dlq_messages if dlq_message.is_noted]
    if noted:
        notes = [(dlq_message.identity, dlq_message.request_id) for dlq_message in noted]
        records.forget_dlq_messages(target.aws, target.table, notes)


def restored(target: Target, sent: Sequence[tuple[Entry, Receipt]]) -> None:
    """Note messages that are in the DLQ again, with a new age. sent: each with SQS's receipt."""

    def write(pair: tuple[Entry, Receipt]) -> None:
        entry, receipt = pair
        request_id = str(entry.outgoing.attributes.get(wire.REQUEST_ID, {}).get("StringValue", ""))
        note = DlqNote(request_id or receipt.message_id, times.now_ms(), dlqnote.digest(entry.outgoing.body))
        records.note_dlq_message(target.aws, target.table, entry.identity, note)

    for _ in pool.map(write, sent, threads=_CONCURRENCY):
        pass
