"""Receive what a queue held when one began, each message once, for whoever takes messages out of it."""

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
_AGAIN = 100  # messages met again in a row, beyond as many as the queue has, after which the rest is not to be had


class Sweep:
    """Rounds of messages that were not met before; what is received stays hidden until it is dropped or released.

    It ends: it meets as many messages as SQS counted when it began, and, since that count lags by up to a minute,
    whatever else was sent before. Those that somebody hides at the start, such as a run that was killed, are waited
    for. Safe for threads.
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
        """rate: messages a second that are done with, at most; they have to stay hidden for that much longer.

        patient: whether to wait for what others hide at the beginning.
        """
        self._aws, self._url = aws, url
        self._stop, self._notify, self._clock = stop, notify, clock
        depth = queues.depth(aws, url)
        self._bound, self._began_ms = depth.total, times.now_ms()
        self._hidden_s = peek.hidden_s(self._bound, rate)
        self._patient_until = clock.monotonic() + peek.hidden_s(self._bound) + 2 if patient and depth.in_flight else 0.0
        self._told = False
        self._met: set[str] = set()
        self._receipts: dict[str, str] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[list[Message]]:
        """The rounds, none empty. May be gone through again, which goes on."""
        again = 0
        while not self._stop.drain.is_set():
            uncounted = len(self._met) >= self._bound
            came, new = self._receive()
            if uncounted:
                new = [m for m in new if m.sent_at <= self._began_ms]
            if new:
                again = 0
                yield new
                continue
            again += len(came)
            if uncounted or again > self._bound + _AGAIN or not (came or self._patient()):
                return

    def receipts(self, message_ids: Iterable[str]) -> dict[str, str]:
        """The newest receipt of each of these messages."""
        with self._lock:
            return {message_id: self._receipts[message_id] for message_id in message_ids}

    def drop(self, message_ids: Iterable[str]) -> None:
        """Forget messages that are not in the queue any more."""
        with self._lock:
            for message_id in message_ids:
                self._receipts.pop(message_id, None)

    def release(self) -> None:
        """Give back to the queue what was received and is still there."""
        with self._lock:
            receipts = list(self._receipts.values())
            self._receipts.clear()
        queues.change_visibility(self._aws, self._url, receipts, 0)

    def _receive(self) -> tuple[list[Message], list[Message]]:
        # A receive that waits asks all of SQS's servers, and an empty answer is then the end; an emulator has but one.
        came = queues.receive(self._aws, self._url, visibility_s=self._hidden_s, wait_s=0 if self._aws.local else 1)
        with self._lock:
            self._receipts.update({m.message_id: m.receipt for m in came})
        new = [m for m in came if m.message_id not in self._met]
        self._met.update(m.message_id for m in new)
        if len(new) < len(came):  # hidden too briefly: before the rest, they would come again and again
            self._hidden_s = min(peek.MOST_HIDDEN_S, self._hidden_s * 2)
        return came, new

    def _patient(self) -> bool:
        """Wait a little for messages that were hidden when the run began; False once they should have come."""
        if self._clock.monotonic() > self._patient_until:
            return False
        if not self._told:
            self._told = True
            self._notify(f"waiting for {many(self._bound - len(self._met), 'message')} hidden by another receiver")
        return not self._clock.wait(self._stop.drain, _POLL_SECONDS)
