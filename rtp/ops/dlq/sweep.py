"""Receive each message that a queue held at the start once, to move or delete it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.ops.dlq import peek
from rtp.ops.work.clock import SYSTEM
from rtp.text import times
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rtp.aws import Aws
    from rtp.aws.queues import Message
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

_POLL_SECONDS = 0.5
_MAX_REPEATED = 100  # messages received again in a row, beyond the queue's count, after which the sweep ends


class Sweep:
    """Rounds of messages that were not received before. They stay hidden until they are dropped or released.

    A sweep ends after as many messages as SQS counted at the start and, because that count lags by up to a minute,
    whatever else had been sent by then. Messages that another receiver hides at the start, such as a run that was
    killed, are awaited. Threads may share a sweep.
    """

    def __init__(
        self,
        aws: Aws,
        url: str,
        *,
        stop: Stop,
        rate: float | None = None,
        patient: bool = True,
        notify: Callable[[str], None] = lambda _: None,
        clock: Clock = SYSTEM,
    ) -> None:
        """rate: messages per second that the caller handles; the slower, the longer they must stay hidden.

        patient: whether to wait for messages that another receiver hides at the start.
        """
        self._aws, self._url = aws, url
        self._stop, self._notify, self._clock = stop, notify, clock
        depth = queues.depth(aws, url)
        self._count, self._started_ms = depth.total, times.now_ms()
        self._hidden_s = peek.hidden_s(self._count, rate)
        self._patient_until = clock.monotonic() + peek.hidden_s(self._count) + 2 if patient and depth.in_flight else 0.0
        self._has_notified = False
        self._received: set[str] = set()
        self._receipts: dict[str, str] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[list[Message]]:
        """The rounds, none of them empty. A second iteration continues the first."""
        repeated = 0
        while not self._stop.drain.is_set():
            is_uncounted = len(self._received) >= self._count
            received, new = self._receive()
            if is_uncounted:
                new = [m for m in new if m.sent_at <= self._started_ms]
            if new:
                repeated = 0
                yield new
                continue
            repeated += len(received)
            if is_uncounted or repeated > self._count + _MAX_REPEATED or not (received or self._wait_for_hidden()):
                return

    def receipts(self, message_ids: Iterable[str]) -> dict[str, str]:
        """The newest receipt of each of these messages, by message id."""
        with self._lock:
            return {message_id: self._receipts[message_id] for message_id in message_ids}

    def drop(self, message_ids: Iterable[str]) -> None:
        """Forget messages that were deleted from the queue."""
        with self._lock:
            for message_id in message_ids:
                self._receipts.pop(message_id, None)

    def release(self) -> None:
        """Make visible again what was received and not dropped."""
        with self._lock:
            receipts = list(self._receipts.values())
            self._receipts.clear()
        queues.change_visibility(self._aws, self._url, receipts, 0)

    def _receive(self) -> tuple[list[Message], list[Message]]:
        """Receive messages. Returns all of them, and those that were not received before."""
        # A receive that waits asks all of SQS's servers, so an empty answer means the end; an emulator has one server.
        received = queues.receive(self._aws, self._url, visibility_s=self._hidden_s, wait_s=0 if self._aws.local else 1)
        with self._lock:
            self._receipts.update({m.message_id: m.receipt for m in received})
        new = [m for m in received if m.message_id not in self._received]
        self._received.update(m.message_id for m in new)
        if len(new) < len(received):  # hidden too briefly: they would be received again before the rest
            self._hidden_s = min(peek.MAX_HIDDEN_S, self._hidden_s * 2)
        return received, new

    def _wait_for_hidden(self) -> bool:
        """Wait for messages that another receiver hid at the start; False once they must have reappeared."""
        if self._clock.monotonic() > self._patient_until:
            return False
        if not self._has_notified:
            self._has_notified = True
            missing = many(self._count - len(self._received), "message")
            self._notify(f"waiting for {missing} hidden by another receiver")
        return not self._clock.wait(self._stop.drain, _POLL_SECONDS)
