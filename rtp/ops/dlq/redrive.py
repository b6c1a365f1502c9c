"""Put dead messages back into the queue: receive, write down, send, and delete only what SQS has confirmed.

A kill at any point leaves a message in one queue or in both, never in none; running again finishes, and the event's
identity keeps a message that is in both from running twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.contract import Output
from rtp.errors import RtpError
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.sweep import Sweep
from rtp.ops.work import pool
from rtp.runtime import wire
from rtp.runtime.event import Identity
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.aws.queues import Message
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.journal import Writer
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.work.pool import Stop

_CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class Moved:
    """A message that went back to the queue, or did not. kept: it was sent but is still in the DLQ as well."""

    message_id: str
    id: str
    timestamp: int
    type: str
    error: str = field(default="", metadata=HIDDEN)
    kept: bool = field(default=False, metadata=HIDDEN)
    runs: int = field(default=0, metadata=HIDDEN)

    @property
    def identity(self) -> Identity:
        """The event's (id, timestamp)."""
        return Identity(self.id, self.timestamp)


class Redrive:
    """One pass over the dead-letter queue: what was there when it began is put back, and nothing twice."""

    def __init__(
        self,
        aws: Aws,
        outputs: dict[str, str],
        writer: Writer,
        *,
        wanted: Filters,
        stop: Stop,
        rate: float | None = None,
        bodies: Mapping[str, str] | None = None,
        notify: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """bodies: other events to send, by message id, as the operator edited them."""
        self._aws = aws
        self._dlq, self._queue, self._table = (outputs[o] for o in (Output.DLQ_URL, Output.QUEUE_URL, Output.TABLE))
        self._writer = writer
        self._wanted = wanted
        self._stop = stop
        self._rate = rate
        self._bodies = bodies or {}
        self._sweep = Sweep(aws, self._dlq, stop=stop, rate=rate, notify=notify, clock=clock)
        self._ready: list[DlqMessage] = []
        self.returned = 0  # messages of this run that were met again: they died again meanwhile

    def move(self, limit: int | None = None) -> Iterator[Moved]:
        """Move up to `limit` more messages; all that are left where None."""
        size = queues.BATCH if self._rate is None else max(1, min(queues.BATCH, int(self._rate)))
        return pool.each(
            self._batches(limit, size),
            self._move,
            threads=1 if limit == 1 else _CONCURRENCY,
            stop=self._stop,
            abandon=lambda dlq_messages: [_moved(dlq_message, "interrupted") for dlq_message in dlq_messages],
            rate=self._rate,
            weigh=len,
        )

    def release(self) -> None:
        """Give back what was received and not moved."""
        self._sweep.release()

    def _batches(self, limit: int | None, size: int) -> Iterator[list[DlqMessage]]:
        dlq_messages = self._dlq_messages()
        left = limit
        while left is None or left > 0:
            batch = list(islice(dlq_messages, size if left is None else min(size, left)))
            if not batch:
                return
            left = None if left is None else left - len(batch)
            yield batch

    def _dlq_messages(self) -> Iterator[DlqMessage]:
        """Wanted messages as they are received; others are held back until the end, so that each is met once."""
        while self._ready:
            yield self._ready.pop(0)
        for new in self._sweep:
            self._ready += [dlq_message for dlq_message in self._fresh(new) if self._wanted(dlq_message)]
            while self._ready:
                yield self._ready.pop(0)

    def _fresh(self, messages: Sequence[Message]) -> list[DlqMessage]:
        """Without those that this very run has sent and that are here again."""
        mine = [m for m in messages if m.text(wire.REDRIVE) == self._writer.run]
        self.returned += len(mine)
        return dlq.joined(self._aws, self._table, [m for m in messages if m not in mine])

    def _move(self, dlq_messages: list[DlqMessage]) -> list[Moved]:
        self._writer.took(dlq_messages)
        receipts = queues.send(self._aws, self._queue, [self._outgoing(dlq_message) for dlq_message in dlq_messages])
        sent = [
            (dlq_message, receipt)
            for dlq_message, receipt in zip(dlq_messages, receipts, strict=True)
            if not receipt.error
        ]
        self._writer.sent({dlq_message.message_id: receipt.message_id for dlq_message, receipt in sent})
        kept = self._delete([dlq_message for dlq_message, _ in sent])
        return [
            _moved(dlq_message, receipt.error, kept=dlq_message.message_id in kept)
            for dlq_message, receipt in zip(dlq_messages, receipts, strict=True)
        ]

    def _delete(self, dlq_messages: list[DlqMessage]) -> set[str]:
        """Delete what was sent. Returns the message ids of what stayed."""
        receipts = self._sweep.receipts(dlq_message.message_id for dlq_message in dlq_messages)
        try:
            failed = set(queues.delete(self._aws, self._dlq, list(receipts.values())))
        except RtpError:
            return set(receipts)
        kept = {message_id for message_id, receipt in receipts.items() if receipt in failed}
        self._writer.deleted(m for m in receipts if m not in kept)
        self._sweep.drop(receipts.keys() - kept)
        return kept

    def _outgoing(self, dlq_message: DlqMessage) -> queues.Outgoing:
        own = {wire.SOURCE: "redrive", wire.REDRIVE: self._writer.run}
        return queues.Outgoing(
            self._bodies.get(dlq_message.message_id, dlq_message.event),
            dlq.attributes(dlq_message, own),
            dlq_message.message.trace_header,
        )


def _moved(dlq_message: DlqMessage, error: str = "", *, kept: bool = False) -> Moved:
    return Moved(
        dlq_message.message_id,
        dlq_message.id,
        dlq_message.identity.timestamp,
        dlq_message.type,
        error,
        kept,
        dlq_message.runs,
    )
