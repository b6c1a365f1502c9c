"""Receive each message that a queue held at the start once, to move or delete it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.errors import RtpError
from rtp.ops.dlq import batches, peek
from rtp.ops.dlq.ending import MAX_HIDDEN_S, Ending, Patience
from rtp.ops.dlq.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.aws import Aws
    from rtp.aws.queues import Message
    from rtp.ops.work.pool import Stop

_MAX_REPEATED = 100  # messages received again in a row, beyond those that are hidden, after which the end is considered


class Sweep:
    """Rounds of messages that were not received before. They stay hidden until they are claimed or released.

    What was sent after the start is received and released, but in no round. Messages that another receiver hides, such
    as a run that was killed, are waited for. Threads may share a sweep.
    """

    def __init__(
        self,
        aws: Aws,
        url: str,
        *,
        stop: Stop,
        rate: float | None = None,
        patience: Patience,
    ) -> None:
        """rate: messages per second that the caller handles; the slower, the longer they must stay hidden.

        patience: with messages that another receiver hides.
        """
        self._aws, self._url, self._stop, self._clock = aws, url, stop, patience.clock
        self._ending = Ending(aws, url, patience, stop=stop)
        self._hidden_s = peek.hidden_s(self._ending.start, rate)
        self._seen = Seen()  # messages that were there at the start
        self._receipts: dict[str, str] = {}
        self._claimed = Seen()
        self._hidden: dict[str, tuple[float, int]] = {}  # by message id: until when, on the clock, and for how long, s
        self._receivers = 1  # more while each of them receives a full batch
        self._lock = threading.Lock()
        self.newer: dict[str, Message] = {}  # by message id: what was sent after the start

    @property
    def unseen(self) -> int:
        """Messages of the queue that SQS counted and that could not be received; 0 while the sweep runs."""
        return self._ending.unseen

    @property
    def started_ms(self) -> int:
        """When it began, epoch ms by SQS's clock: what was sent later is in no round."""
        return self._ending.started_ms

    def __iter__(self) -> Iterator[list[Message]]:
        """The rounds, none of them empty. A second iteration continues the first."""
        repeated = 0
        while not self._stop.drain.is_set():
            received, new = self._receive()
            newer = [m for m in new if m.sent_at > self._ending.started_ms]
            self.newer.update({m.message_id: m for m in newer})
            current = [m for m in new if m.sent_at <= self._ending.started_ms]
            self._seen.update(m.message_id for m in current)
            full = len(new) == self._receivers * queues.BATCH
            self._receivers = min(batches.CONCURRENCY, self._receivers * 2) if full else 1
            if current:
                repeated = 0
                self._ending.continued()
                yield current
                continue
            repeated += len(received) - len(new)
            if received and not new and repeated <= len(self._receipts) + _MAX_REPEATED:
                continue
            if self._ending.reached(held=len(self._receipts), seen=len(self._seen), has_newer=bool(self.newer)):
                return

    def claim(self, message_ids: Iterable[str]) -> dict[str, str]:
        """The newest receipt of each of these messages, by message id, for the caller to delete or to `unclaim`.

        SQS may deliver a message again that was deleted; it is then deleted again.
        """
        with self._lock:
            receipts = {message_id: self._receipts.pop(message_id) for message_id in message_ids}
            self._claimed.update(receipts)
            return receipts

    def unclaim(self, receipts: dict[str, str]) -> None:
        """Count messages that were claimed and not deleted as hidden by this sweep again."""
        with self._lock:
            self._claimed.remove(receipts)
            self._receipts.update({i: receipt for i, receipt in receipts.items() if i not in self._receipts})

    def release(self) -> None:
        """Make visible again what was received and not claimed."""
        with self._lock:
            receipts = list(self._receipts.values())
            self._receipts.clear()
        batches.release(self._aws, self._url, receipts)

    def _receive(self) -> tuple[list[Message], list[Message]]:
        """Receive messages. Returns all of them, and those that were not received before."""
        seconds = self._hidden_s
        hidden_until = self._clock.monotonic() + seconds
        received = batches.receive(self._aws, self._url, visibility_s=seconds, count=self._receivers)
        unique = {m.message_id: m for m in received}
        new = [m for i, m in unique.items() if i not in self._seen and i not in self.newer]
        with self._lock:
            deleted = [m.receipt for m in received if m.message_id in self._claimed]
            self._receipts.update({m.message_id: m.receipt for m in received if m.message_id not in self._claimed})
        if deleted:
            with contextlib.suppress(RtpError):
                queues.delete(self._aws, self._url, deleted)
        now = self._clock.monotonic()
        # Hidden too briefly: the message would be received again before the rest. A duplicate comes earlier, and those
        # that were hidden before the time was doubled prove nothing about the doubled one.
        came_back = [self._hidden[m.message_id] for m in received if m.message_id in self._hidden]
        if any(until <= now and was == seconds for until, was in came_back):
            self._hidden_s = min(MAX_HIDDEN_S, seconds * 2)
        hidden = (hidden_until, seconds)  # one for all of the round
        self._hidden.update({m.message_id: hidden for m in received})
        return received, new
