"""Keep the records' notes of messages in the DLQ true: removed before a message leaves it, written by an undo."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rtp.aws import record_notes, records
from rtp.ops.work import pool
from rtp.runtime import dlqnote, wire
from rtp.runtime.dlqnote import DlqNote
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.aws import Aws
    from rtp.aws.queues import Receipt
    from rtp.ops.dlq.journal import Entry
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.target import Target
    from rtp.runtime.event import Identity

_CONCURRENCY = 4  # batches of notes written at the same time
_DAY_MS = 86_400_000
_LOOKED_AT = 100  # records: as many as one call reads


def is_in_dlq(record: Mapping[str, Any], *, now: int, retention_days: int) -> bool:
    """Whether a record notes a message that SQS has not deleted for its age. now: epoch ms."""
    note = dlqnote.read(record[dlqnote.ATTRIBUTE]) if dlqnote.ATTRIBUTE in record else None
    return note is not None and note.is_sent and note.sent_at + retention_days * _DAY_MS > now


def has_any(aws: Aws, table: str, identities: Sequence[Identity]) -> bool:
    """Whether a record of the last of these events notes a message in the DLQ."""
    return any(dlqnote.ATTRIBUTE in record for record in records.by_keys(aws, table, identities[-_LOOKED_AT:]))


def forget(target: Target, dlq_messages: Sequence[DlqMessage]) -> None:
    """Remove the notes of messages that are about to leave the DLQ: the next message of such an event must be kept."""
    noted = [dlq_message for dlq_message in dlq_messages if dlq_message.is_noted]
    if noted:
        notes = [(dlq_message.identity, dlq_message.request_id) for dlq_message in noted]
        record_notes.forget(target.aws, target.table, notes)


def restored(target: Target, sent: Sequence[tuple[Entry, Receipt]]) -> None:
    """Note messages that are in the DLQ again, with a new age. sent: each with SQS's receipt."""

    def note(entry: Entry, receipt: Receipt) -> DlqNote:
        request_id = str(entry.outgoing.attributes.get(wire.REQUEST_ID, {}).get("StringValue", ""))
        return DlqNote(request_id or receipt.message_id, times.now_ms(), dlqnote.digest(entry.outgoing.body))

    noted = [(entry.identity, note(entry, receipt)) for entry, receipt in sent]
    batches = [noted[start : start + record_notes.BATCH] for start in range(0, len(noted), record_notes.BATCH)]
    write = partial(record_notes.write, target.aws, target.table)
    for _ in pool.map(write, batches, threads=_CONCURRENCY):
        pass
