"""Put the messages of a redrive or a purge back into the dead-letter queue, as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import queues, records
from rtp.contract import Output
from rtp.errors import RefusedError
from rtp.ops.dlq import journal as journals
from rtp.ops.dlq import peek
from rtp.ops.dlq.sweep import Sweep
from rtp.runtime import wire
from rtp.text.times import now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.aws import Aws
    from rtp.aws.queues import Message
    from rtp.ops.dlq.journal import Entry, Journal
    from rtp.ops.work.pool import Stop


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of a run's messages.

    back: put back now. processed: the event has gone through meanwhile, and stays. dead: it died again, and is back by
    itself. elsewhere: being processed at this moment, or put back by an earlier undo.
    """

    run: str
    what: str
    back: int
    processed: int
    dead: int
    elsewhere: int


def check(journal: Journal, *, stack: str, account: str) -> None:
    """Refuse a run that was done on another stack or account."""
    if (journal.stack, journal.account) != (stack, account):
        raise RefusedError(
            f"{journal.run} was done on {journal.stack} in account {journal.account}, not on {stack} in {account}.",
            hint="Name the environment it was done in with --env.",
        )


def undo(aws: Aws, outputs: dict[str, str], journal: Journal, *, stop: Stop) -> Undone:
    """Put back what has not been processed. Safe to repeat: each message goes back once."""
    entries = [e for e in journal.entries.values() if not e.restored]
    earlier = len(journal.entries) - len(entries)
    if journal.what == "purge":
        gone = [e for e in entries if e.deleted]
        unsure = [e for e in entries if not e.deleted]  # a purge that was killed: deleted, or not yet
        if unsure:
            dlq = outputs[Output.DLQ_URL]
            most = queues.depth(aws, dlq).total * 2 + 10
            there = {m.message_id for m in peek.peek(aws, dlq, limit=most, stop=stop)}
            gone += [e for e in unsure if e.message_id not in there]
        back = _send_back(aws, outputs, journal, gone)
        return Undone(journal.run, journal.what, back, 0, 0, earlier)
    sent = [e for e in entries if e.sent_id]
    # To look into the queue is to receive, which costs the events that wait there an attempt: only if it must be.
    before = _statuses(aws, outputs, sent)
    waiting = [e for e, status in zip(sent, before, strict=True) if status != "processed"]
    back = _take_back(aws, outputs, journal, waiting, stop=stop) if waiting else 0
    rest = [e for e in sent if not e.restored]
    statuses = _statuses(aws, outputs, rest)
    processed, dead = statuses.count("processed"), statuses.count("dead")
    return Undone(journal.run, journal.what, back, processed, dead, earlier + len(rest) - processed - dead)


def _statuses(aws: Aws, outputs: dict[str, str], entries: list[Entry]) -> list[str]:
    """The status of each one's event."""
    keys = list(dict.fromkeys(e.identity for e in entries))
    known = {(str(r["id"]), int(r["timestamp"])): r for r in records.by_keys(aws, outputs[Output.TABLE], keys)}
    return [_status(known.get(e.identity)) for e in entries]


def _status(record: dict[str, object] | None) -> str:
    if record is None or int(str(record.get("lease_until", 0))) > now_ms():
        return ""
    return str(record.get("status"))


def _send_back(aws: Aws, outputs: dict[str, str], journal: Journal, entries: list[Entry]) -> int:
    back = 0
    for start in range(0, len(entries), queues.BATCH):
        some = entries[start : start + queues.BATCH]
        receipts = queues.send(aws, outputs[Output.DLQ_URL], [e.outgoing for e in some])
        done = [e.message_id for e, receipt in zip(some, receipts, strict=True) if not receipt.error]
        journals.restored(journal, done)
        back += len(done)
    return back


def _take_back(aws: Aws, outputs: dict[str, str], journal: Journal, entries: list[Entry], *, stop: Stop) -> int:
    """Take what still waits out of the queue. Other events that are met there go back to it at once."""
    url = outputs[Output.QUEUE_URL]
    by_sent_id = {e.sent_id: e for e in entries}
    sweep = Sweep(aws, url, stop=stop, patient=False)
    back = 0
    try:
        for came in sweep:
            mine = [m for m in came if m.text(wire.REDRIVE) == journal.run and m.message_id in by_sent_id]
            moved = _move_back(aws, outputs, journal, mine, by_sent_id)
            sweep.drop(moved)
            back += len(moved)
            if back == len(entries):
                break
    finally:
        sweep.release()
    return back


def _move_back(
    aws: Aws, outputs: dict[str, str], journal: Journal, messages: list[Message], entries: dict[str, Entry]
) -> list[str]:
    """Ids of the messages that were taken."""
    taken = [(m, entries[m.message_id]) for m in messages]
    receipts = queues.send(aws, outputs[Output.DLQ_URL], [e.outgoing for _, e in taken])
    done = [(m, e) for (m, e), receipt in zip(taken, receipts, strict=True) if not receipt.error]
    _delete(aws, outputs[Output.QUEUE_URL], (m for m, _ in done))
    journals.restored(journal, [e.message_id for _, e in done])
    return [m.message_id for m, _ in done]


def _delete(aws: Aws, url: str, messages: Iterable[Message]) -> None:
    queues.delete(aws, url, [m.receipt for m in messages])
