"""Undo a redrive or a purge: restore its messages to the DLQ, unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import queues, records
from rtp.errors import RefusedError
from rtp.ops.access import lease
from rtp.ops.dlq import journal as journals
from rtp.ops.dlq import peek
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.sweep import Sweep
from rtp.ops.work.clock import SYSTEM
from rtp.runtime import wire
from rtp.text.times import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws.queues import Message
    from rtp.ops.dlq.journal import Entry, Journal
    from rtp.ops.dlq.target import Target
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

_RECALL_PATIENCE_S = 5.0  # brief: meanwhile the worker does not receive the other events of the queue


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of the messages of a run.

    what: redrive or purge. back: messages restored now. processed: events that were processed meanwhile, and stay so.
    dead: events that died again, whose message is in the DLQ already. earlier: messages that an earlier undo restored.
    unseen: messages of the run that were not found: hidden by another receiver, such as the worker that processes them.
    """

    run: str
    what: str
    back: int
    processed: int
    dead: int
    earlier: int
    unseen: int = 0


def load(target: Target, run: str | None) -> Journal:
    """The journal of a run, or of the latest one. Raises NotFoundError, or RefusedError for another stack's run."""
    journal = journals.load(target.journals, run)
    if (journal.stack, journal.account) != (target.stack, target.account):
        raise RefusedError(
            f"{journal.run} ran on {journal.stack} in account {journal.account}, "
            f"not on {target.stack} in {target.account}.",
            hint="Name that environment with --env.",
        )
    return journal


def undo(
    target: Target,
    journal: Journal,
    *,
    stop: Stop,
    notify: Callable[[str], None] = lambda _: None,
    clock: Clock = SYSTEM,
) -> Undone:
    """Restore, under the lease, what was not processed meanwhile. Repeating it restores no message twice.

    notify: called with what is waited for.
    """
    with lease.held(target.aws, target.table, "dlq undo", stop):
        if journal.what == "purge":
            return _undo_purge(target, journal, stop, notify, clock)
        return _undo_redrive(target, journal, stop, clock)


def _undo_purge(target: Target, journal: Journal, stop: Stop, notify: Callable[[str], None], clock: Clock) -> Undone:
    entries = _not_restored(journal)
    deleted = [entry for entry in entries if entry.deleted]
    unknown = [entry for entry in entries if not entry.deleted]  # a kill came between the journal and SQS's answer
    unseen = 0
    if unknown:
        absent, is_certain = _absent(target, unknown, stop, notify, clock)
        # One that the killed run still hides may be there, and would be in the DLQ twice.
        unseen = 0 if is_certain else len(absent)
        deleted += absent if is_certain else []
    back = _send_to_dlq(target, journal, deleted)
    return Undone(journal.run, journal.what, back, 0, 0, len(journal.entries) - len(entries), unseen)


def _absent(
    target: Target, entries: list[Entry], stop: Stop, notify: Callable[[str], None], clock: Clock
) -> tuple[list[Entry], bool]:
    """The entries whose message was not received from the DLQ, and whether it is certain that they are not in it."""
    absent = {entry.message_id: entry for entry in entries}

    def meets_all(messages: list[Message]) -> bool:
        for message in messages:
            absent.pop(message.message_id, None)
        return not absent

    peeked = peek.peek(
        target.aws,
        target.dlq_url,
        limit=queues.depth(target.aws, target.dlq_url).total * 2 + len(entries) + 10,
        stop=stop,
        enough=meets_all,
        patience=Patience(notify=notify, clock=clock),
    )
    return list(absent.values()), not (peeked.unseen or stop.drain.is_set())


def _undo_redrive(target: Target, journal: Journal, stop: Stop, clock: Clock) -> Undone:
    entries = _not_restored(journal)
    sent = [entry for entry in entries if entry.sent_id]
    # Reading the queue is receiving, which costs the events that wait in it an attempt: not without need.
    waiting = [e for e, status in zip(sent, _statuses(target, sent), strict=True) if status != "processed"]
    back = _recall(target, journal, waiting, stop=stop, clock=clock) if waiting else 0
    rest = [entry for entry in sent if not entry.restored]
    statuses = _statuses(target, rest)
    processed, dead = statuses.count("processed"), statuses.count("dead")
    earlier = len(journal.entries) - len(entries)
    return Undone(journal.run, journal.what, back, processed, dead, earlier, len(rest) - processed - dead)


def _not_restored(journal: Journal) -> list[Entry]:
    return [entry for entry in journal.entries.values() if not entry.restored]


def _statuses(target: Target, entries: list[Entry]) -> list[str]:
    """The status of each entry's event; empty where it has no record or is being processed."""
    keys = list(dict.fromkeys(entry.identity for entry in entries))
    by_key = {(str(r["id"]), int(r["timestamp"])): r for r in records.by_keys(target.aws, target.table, keys)}
    return [_status(by_key.get(entry.identity)) for entry in entries]


def _status(record: dict[str, object] | None) -> str:
    if record is None or int(str(record.get("lease_until", 0))) > now_ms():
        return ""
    return str(record.get("status"))


def _send_to_dlq(target: Target, journal: Journal, entries: list[Entry]) -> int:
    """Send messages to the DLQ again. Returns how many SQS took."""
    count = 0
    for start in range(0, len(entries), queues.BATCH):
        batch = entries[start : start + queues.BATCH]
        receipts = queues.send(target.aws, target.dlq_url, [entry.outgoing for entry in batch])
        restored = [entry.message_id for entry, receipt in zip(batch, receipts, strict=True) if not receipt.error]
        journals.restored(journal, restored)
        count += len(restored)
    return count


def _recall(target: Target, journal: Journal, entries: list[Entry], *, stop: Stop, clock: Clock) -> int:
    """Move messages that still wait in the queue to the DLQ. Other events received on the way are released at once."""
    by_sent_id = {entry.sent_id: entry for entry in entries}
    sweep = Sweep(target.aws, target.queue_url, stop=stop, patience=Patience(_RECALL_PATIENCE_S, clock=clock))
    count = 0
    try:
        for messages in sweep:
            own = [m for m in messages if m.text(wire.REDRIVE) == journal.run and m.message_id in by_sent_id]
            moved = _move_to_dlq(target, journal, {m.message_id: (m, by_sent_id[m.message_id]) for m in own})
            sweep.claim(moved)
            count += len(moved)
            if count == len(entries):
                break
    finally:
        sweep.release()
    return count


def _move_to_dlq(target: Target, journal: Journal, messages: dict[str, tuple[Message, Entry]]) -> list[str]:
    """Send each entry to the DLQ, then delete its message from the queue. Returns the ids of those messages."""
    receipts = queues.send(target.aws, target.dlq_url, [entry.outgoing for _, entry in messages.values()])
    moved = {
        message_id: message
        for (message_id, message), receipt in zip(messages.items(), receipts, strict=True)
        if not receipt.error
    }
    queues.delete(target.aws, target.queue_url, [message.receipt for message, _ in moved.values()])
    journals.restored(journal, [entry.message_id for _, entry in moved.values()])
    return list(moved)
