"""Undo a redrive or a purge: restore its messages to the DLQ, unchanged."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rtp.aws import queues, records
from rtp.ops import run_marks
from rtp.ops.access import lease
from rtp.ops.dlq import batches, earlier_runs, notes
from rtp.ops.dlq import journal as journals
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.leftovers import PATIENCE_S, SentMessages
from rtp.ops.dlq.located import Located
from rtp.ops.dlq.sweep import Sweep
from rtp.ops.events import outcome
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.pool import Stop
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rtp.aws.queues import Message
    from rtp.ops.dlq.journal import Entry, Journal
    from rtp.ops.dlq.target import Target
    from rtp.ops.events.outcome import Record
    from rtp.ops.work.clock import Clock
    from rtp.runtime.event import Identity

    Own = dict[str, tuple[Message, Entry]]  # by id of the message in the queue: it, and the entry that it was sent of

_ROUND = 100  # messages that are recorded together before they are sent
_ROUNDS = 6  # at the same time
_AGAIN_S = 4.0  # after which the queue is read once more for messages that must be in it


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of the messages of a run.

    what: redrive or purge. back: messages restored now. processed: events that were processed meanwhile, and stay so.
    dead: events that ran and died again, whose message is in the DLQ already. earlier: restored by an earlier undo.
    unseen: messages of the run that were not found: hidden by another receiver, such as the worker that processes them.
    """

    run: str
    what: str
    back: int
    processed: int
    dead: int
    earlier: int
    unseen: int = 0


def load(target: Target, run: str | None, *, is_asked: bool = False) -> Journal:
    """The journal of a run, or of the latest one. is_asked: a person sees its name before it is undone.

    Raises NotFoundError, RefusedError for another stack's run, and ConfigError where rtp did not write it.
    """
    if run is None:
        return earlier_runs.latest(target, is_asked=is_asked)
    journal = journals.load(target.journals, run)
    if not earlier_runs.is_of(target, journal):
        raise earlier_runs.of_another_stack(target, journal)
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
        journal = journals.load(target.journals, journal.run)  # another undo may have ended since it was read
        restoration = _Restoration(target, journal, stop=stop, notify=notify, clock=clock)
        try:
            done = restoration.of_purge() if journal.what == "purge" else restoration.of_redrive()
        finally:
            restoration.record.flush()
        run_marks.undone(target.journals, journal.run, target.who)
        return done


class _Restoration:
    """One undo. Of the entries whose step a kill may have cut off, it first looks up which are in the DLQ."""

    def __init__(
        self, target: Target, journal: Journal, *, stop: Stop, notify: Callable[[str], None], clock: Clock
    ) -> None:
        self._target, self._journal, self._stop, self._clock = target, journal, stop, clock
        self.record = journals.Restoring(target.journals, journal)
        depth = queues.depth(target.aws, target.dlq_url)
        self._since = (times.now_ms() if depth.server_ms is None else depth.server_ms) - 1000
        self._entries = [entry for entry in journal.entries.values() if not entry.restored]
        uncertain = [entry for entry in self._entries if not entry.deleted or entry.restoring_since]
        self._located = Located(uncertain)
        if uncertain:
            patience = Patience(notify=notify, clock=clock)
            self._located.search(target, limit=depth.total * 2 + len(uncertain) + 10, patience=patience, stop=stop)
        self._copies = [entry for entry in self._entries if entry.message_id in self._located.copies]
        self._lock = threading.Lock()
        self._back = 0

    def of_purge(self) -> Undone:
        """Send what was deleted to the DLQ again."""
        self.record.done(self._copies)
        absent = [entry for entry in self._open() if entry.message_id not in self._located.originals]
        restorable = [entry for entry in absent if self._located.is_absent(entry)]
        rounds = [restorable[start : start + _ROUND] for start in range(0, len(restorable), _ROUND)]
        for _ in pool.map(lambda some: self.record.done(self._send(some)), rounds, threads=_ROUNDS):
            pass
        return self._undone(0, 0, unseen=len(absent) - len(restorable))

    def of_redrive(self) -> Undone:
        """Move what still waits in the queue to the DLQ."""
        entries = self._open()
        # Reading the queue is receiving, which costs the events that wait in it an attempt: not without need.
        waiting = [e for e, status in zip(entries, self._statuses(entries), strict=True) if status != "processed"]
        if waiting:
            self._recall(waiting)
        # A short queue's counts may lag behind its sends, and a receive may find none of the messages that there are.
        if left := self._in_the_queue():
            self._clock.wait(self._stop.drain, _AGAIN_S)
            self._recall(left)
        self.record.done(entry for entry in self._copies if not entry.restored)
        left = [e for e in self._open() if e.sent_id or e.message_id not in self._located.originals]
        statuses = self._statuses(left)
        processed, dead = statuses.count("processed"), statuses.count("dead")
        return self._undone(processed, dead, unseen=len(left) - processed - dead)

    def _undone(self, processed: int, dead: int, *, unseen: int) -> Undone:
        journal = self._journal
        earlier = sum(entry.restored for entry in journal.entries.values()) - self._back
        return Undone(journal.run, journal.what, self._back, processed, dead, earlier, unseen)

    def _open(self) -> list[Entry]:
        return [entry for entry in self._entries if not entry.restored]

    def _in_the_queue(self) -> list[Entry]:
        """Entries whose message must be in the queue: it was sent, and the event is dead and has not run since."""
        sent = [e for e in self._open() if e.sent_id and e.message_id not in self._located.copies]
        found = self._records(sent)
        return [e for e in sent if (record := found.get(e.identity)) is not None and _is_unchanged(record, e)]

    def _statuses(self, entries: list[Entry]) -> list[str]:
        """The status of each entry's event; empty where it has no record, is being processed or has not run again."""
        found = self._records(entries)
        return [_status(found.get(entry.identity), entry) for entry in entries]

    def _records(self, entries: list[Entry]) -> dict[Identity, Record]:
        keys = list(dict.fromkeys(entry.identity for entry in entries))
        parts = [keys[start : start + records.BATCH] for start in range(0, len(keys), records.BATCH)]
        read = partial(records.by_keys, self._target.aws, self._target.table)
        found = pool.map(read, parts, threads=_ROUNDS)
        return {outcome.identity(record): record for part in found for record in part}

    def _send(self, entries: list[Entry]) -> list[Entry]:
        """Send messages to the DLQ. Returns those that SQS took, for the caller to record."""
        if not entries:
            return []
        self.record.about_to(entries, self._since)
        receipts = batches.send(self._target.aws, self._target.dlq_url, [entry.outgoing for entry in entries])
        sent = [(entry, receipt) for entry, receipt in zip(entries, receipts, strict=True) if not receipt.error]
        notes.restored(self._target, sent)
        self._count(len(sent))
        return [entry for entry, _ in sent]

    def _count(self, back: int) -> None:
        with self._lock:
            self._back += back

    def _recall(self, entries: list[Entry]) -> None:
        """Move messages that still wait in the queue. Other events received on the way are released at once."""
        target = self._target
        patience = Patience(PATIENCE_S, clock=self._clock)
        sweep = Sweep(target.aws, target.queue_url, stop=self._stop, patience=patience)
        rounds = _Rounds(sweep, SentMessages(self._journal.run, entries), entries)

        def move(messages: Own) -> tuple[()]:
            self._move(sweep, messages)
            return ()

        try:
            # What a round has begun is ended, also after a second interrupt: it is not `stop` that aborts it.
            for _ in pool.each(rounds, move, threads=_ROUNDS, stop=Stop(drain=self._stop.drain)):
                pass
            if rounds.repeated:
                move(rounds.repeated)
        finally:
            sweep.release()

    def _move(self, sweep: Sweep, messages: Own) -> None:
        """Send each entry to the DLQ unless it is there, then delete its message.

        An entry that may be in the DLQ, hidden by another receiver, is left alone.
        """
        # A queue may have a message twice whose sending was repeated; it is restored once.
        entries = {entry.message_id: entry for _, entry in messages.values()}
        earlier = {message_id for message_id, entry in entries.items() if entry.restored}
        copies = {entry.message_id for entry in self._copies}
        left = [entry for message_id, entry in entries.items() if message_id not in earlier]
        there = [e for e in left if e.message_id in copies or e.message_id in self._located.originals]
        there_ids = {entry.message_id for entry in there}
        absent = [e for e in left if e.message_id not in there_ids and self._located.is_absent(e)]
        sent = self._send(absent)
        in_dlq = earlier | there_ids | {entry.message_id for entry in sent}
        moved = [message_id for message_id, (_, entry) in messages.items() if entry.message_id in in_dlq]
        receipts = sweep.claim(moved)
        _, error = batches.delete(self._target.aws, self._target.queue_url, list(receipts.values()))
        if error is not None:
            sweep.unclaim(receipts)
            raise error
        # Not before: after an error, the next undo has to delete what is in the queue.
        self.record.done([*there, *sent])
        self._count(sum(entry.message_id not in copies for entry in there))


class _Rounds:
    """The messages of the entries as a sweep receives them; ends when each entry was met.

    repeated: further messages of entries that an earlier round has: they wait until all rounds have ended.
    """

    def __init__(self, sweep: Sweep, sent: SentMessages, entries: Iterable[Entry]) -> None:
        self._sweep, self._sent = sweep, sent
        self._waiting = {entry.message_id for entry in entries if not entry.restored}
        self._met: set[str] = set()
        self.repeated: Own = {}

    def __iter__(self) -> Iterator[Own]:
        for messages in self._sweep:
            own = {m.message_id: (m, entry) for m in messages if (entry := self._sent.entry(m)) is not None}
            first = {m: pair for m, pair in own.items() if pair[1].message_id not in self._met}
            self.repeated.update({m: pair for m, pair in own.items() if m not in first})
            ids = {entry.message_id for _, entry in first.values()}
            self._met |= ids
            self._waiting -= ids
            if first:
                yield first
            if not self._waiting:
                return


def _status(record: Record | None, entry: Entry) -> str:
    if record is None or int(record.get("lease_until", 0)) > times.now_ms() or _is_unchanged(record, entry):
        return ""
    return str(record["status"])


def _is_unchanged(record: Record, entry: Entry) -> bool:
    """Whether the event is dead since before the redrive, whose message then still waits."""
    return record["status"] == "dead" and int(record.get("attempt_count", 0)) <= entry.runs
