"""Move messages from the DLQ to the queue: receive, record in the journal, send, and delete what SQS confirmed.

A kill at any point leaves a message in one queue or in both, never in none. Running again finishes the move, and the
event's identity keeps a message that is in both queues from running twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.errors import RtpError
from rtp.ops.dlq import batches, notes
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.filters import Named
from rtp.ops.dlq.leftovers import Leftovers
from rtp.ops.dlq.outcomes import sent_digest
from rtp.ops.dlq.sweep import Sweep
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM
from rtp.runtime import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.aws.queues import Message
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.journal import Writer
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.target import Target
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop


@dataclass(frozen=True, slots=True)
class Moved:
    """The result for one message. error: why it was not sent. is_in_both: sent, but not deleted from the DLQ.

    left_out: attributes of its sender for which SQS had no room.
    """

    message: DlqMessage
    error: str = ""
    is_in_both: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which messages to move. rate: messages per second; edited: event texts by message id to send instead."""

    filters: Filters
    rate: float | None
    edited: Mapping[str, str]


class Mover:
    """One pass over the DLQ: moves what was there when it began, each message once."""

    def __init__(
        self,
        target: Target,
        selection: Selection,
        writer: Writer,
        *,
        stop: Stop,
        notify: Callable[[str], None] = lambda _: None,
        clock: Clock = SYSTEM,
    ) -> None:
        """notify: called from a thread of the pool when messages that another receiver hides are waited for."""
        self._target = target
        self._selection = selection
        self._rate = selection.rate
        self._writer = writer
        self._stop, self._clock = stop, clock
        self._matching = Named(selection.filters)
        self._leftovers = Leftovers(target, stop=stop, clock=clock)
        self._sweep = Sweep(
            target.aws,
            target.dlq_url,
            stop=stop,
            rate=self._rate,
            patience=Patience(is_enough=self._matching.are_all, notify=notify, clock=clock),
        )
        writer.there_at = self._sweep.started_ms
        self._ready: list[DlqMessage] = []

    @property
    def died_again(self) -> int:
        """Messages that this run had sent and that were received from the DLQ again."""
        return sum(self._is_own(message) for message in self._sweep.newer.values())

    @property
    def unseen(self) -> int:
        """Messages that SQS counted in the DLQ and that could not be received."""
        return self._sweep.unseen

    def move(self, limit: int | None = None) -> Iterator[Moved]:
        """Move up to `limit` more messages; None: all that are left."""
        size = queues.BATCH if self._rate is None else max(1, min(queues.BATCH, int(self._rate)))
        return pool.each(
            self._batches(limit, size),
            self._move,
            threads=1 if limit == 1 else batches.CONCURRENCY,
            stop=self._stop,
            abandon=lambda batch, _error: [Moved(dlq_message, "interrupted") for dlq_message in batch],
            rate=self._rate,
            weigh=len,
            clock=self._clock,
        )

    def release(self) -> None:
        """Make visible again what was received and not moved."""
        self._sweep.release()

    def _batches(self, limit: int | None, size: int) -> Iterator[list[DlqMessage]]:
        """Matching messages as they are received. A batch is not filled up, since the next message may be hidden."""
        remaining = limit
        while (remaining is None or remaining > 0) and (self._ready or self._refill()):
            count = size if remaining is None else min(size, remaining)
            batch, self._ready = self._ready[:count], self._ready[count:]
            remaining = None if remaining is None else remaining - len(batch)
            yield batch

    def _refill(self) -> bool:
        """Receive until a message matches; False at the end. The others stay hidden, so that each is met once."""
        for messages in self._sweep:
            own = {message.message_id: message for message in messages if self._is_own(message)}
            self._sweep.newer.update(own)  # sent within the first second
            others = [message for message in messages if message.message_id not in own]
            self._ready = self._selection.filters.select(dlq.joined(self._target.aws, self._target.table, others))
            self._matching.add(self._ready)
            if self._ready:
                return True
        return False

    def _is_own(self, message: Message) -> bool:
        """Whether this run sent the message."""
        return wire.redriven(message.text(wire.REDRIVE))[0] == self._writer.run

    def _move(self, batch: list[DlqMessage]) -> list[Moved]:
        edited = self._selection.edited
        digests = {m.message_id: sent_digest(edited.get(m.message_id, m.event), m) for m in batch}
        self._writer.taken(batch, digests)
        # While a record notes a message in the DLQ, that of a repeated event that dies again is dropped.
        notes.forget(self._target, batch)
        attributes = {dlq_message.message_id: self._attributes(dlq_message) for dlq_message in batch}
        results = list(zip(batch, self._send(batch, {key: kept for key, (kept, _) in attributes.items()}), strict=True))
        sent = {dlq_message.message_id: receipt.message_id for dlq_message, receipt in results if not receipt.error}
        self._writer.sent(sent)
        not_deleted = self._delete(sent)
        return [
            Moved(message, receipt.error, message.message_id in not_deleted, tuple(attributes[message.message_id][1]))
            for message, receipt in results
        ]

    def _send(self, batch: list[DlqMessage], attributes: Mapping[str, queues.Attributes]) -> list[queues.Receipt]:
        """Send messages to the queue, except those that a killed redrive sent: they are only to be deleted."""
        before = {} if self._selection.edited else self._leftovers.sent(m.message_id for m in batch)
        outgoing = [self._outgoing(m, attributes[m.message_id]) for m in batch if m.message_id not in before]
        receipts = iter(queues.send(self._target.aws, self._target.queue_url, outgoing))
        return [queues.Receipt(before[m.message_id]) if m.message_id in before else next(receipts) for m in batch]

    def _delete(self, message_ids: Mapping[str, str]) -> set[str]:
        """Delete messages that were sent. Returns the ids of those that are still in the DLQ."""
        receipts = self._sweep.claim(message_ids)
        try:
            failed = set(queues.delete(self._target.aws, self._target.dlq_url, list(receipts.values())))
        except RtpError:
            failed = set(receipts.values())
        not_deleted = {message_id: receipt for message_id, receipt in receipts.items() if receipt in failed}
        self._sweep.unclaim(not_deleted)
        self._writer.deleted(message_id for message_id in receipts if message_id not in not_deleted)
        return set(not_deleted)

    def _outgoing(self, dlq_message: DlqMessage, attributes: queues.Attributes) -> queues.Outgoing:
        return queues.Outgoing(
            self._selection.edited.get(dlq_message.message_id, dlq_message.event),
            attributes,
            dlq_message.message.trace_header,
        )

    def _attributes(self, dlq_message: DlqMessage) -> tuple[queues.Attributes, list[str]]:
        return dlq.attributes(dlq_message, f"{self._writer.run}#{dlq_message.message_id}")
