"""Decide when a queue was received to its end.

An empty answer proves nothing: messages may be hidden by another receiver, and with 120,000 messages in flight SQS
gives out no more. The end is when SQS counts no message other than those received, several times in a row; its counts
are approximate, and AWS documents that they may need a minute to become consistent.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.ops.work.clock import SYSTEM
from rtp.text import times
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.aws.queues import Depth
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

MAX_HIDDEN_S = 600  # the longest time for which a command of rtp hides a message
PATIENCE_S = MAX_HIDDEN_S + 10.0  # after which a message that a killed command has hidden must be visible again
COUNTS_SETTLE_S = 60.0
_AGREEING = 3  # counts in a row
_PAUSE_S = 2.0
_LOCAL_PAUSE_S = 0.1  # where counts are exact, and have been right so far
_FULL = 118_000  # messages in flight, by an approximate count, from which SQS gives out no more (120,000)


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long after its start a reading waits for messages that it cannot receive.

    is_enough: whether everything that is looked for was received, so that no wait is needed.
    notify: called with what is waited for, when a wait begins. most: about how many messages an inspection reads.
    """

    seconds: float = PATIENCE_S
    most: int = sys.maxsize
    is_enough: Callable[[], bool] = lambda: False
    notify: Callable[[str], None] = lambda _: None
    clock: Clock = SYSTEM


BRIEF = Patience(30.0)  # for commands that only read: longer than a killed inspection of a short queue hides messages


def most_counted(aws: Aws, url: str, *, above: int, stop: Stop, clock: Clock = SYSTEM) -> int:
    """The most messages that SQS counted in a queue. Ends at once with a count above `above`.

    It is asked again otherwise, as at the end of a queue: the count may be of before the newest messages.
    """
    most = 0
    for turn in range(1 if aws.consistent else _AGREEING):
        if turn and clock.wait(stop.drain, _PAUSE_S):
            break
        most = max(most, queues.depth(aws, url).total)
        if most > above:
            break
    return most


class Ending:
    """The end of one reading of a queue. unseen: messages that SQS counted last and that were not received.

    started_ms: when the reading began, epoch ms, by the service's clock. start: messages counted then.
    """

    def __init__(self, aws: Aws, url: str, patience: Patience, *, stop: Stop) -> None:
        self._aws, self._url, self._patience, self._stop, self._clock = aws, url, patience, stop, patience.clock
        depth = queues.depth(aws, url)
        self.start = depth.total
        self.started_ms = times.now_ms() if depth.server_ms is None else depth.server_ms + 999
        self.unseen = 0
        self._deadline = self._clock.monotonic() + patience.seconds
        self._agreed = 0
        self._has_newer = False
        self._has_notified = False

    def continued(self) -> None:
        """A message was received that had not been received before."""
        self._agreed, self.unseen = 0, 0

    def reached(self, *, held: int, seen: int, has_newer: bool = False) -> bool:
        """Whether to end after a receive without a new message. Pauses where it is not certain yet.

        held: messages received and not deleted. seen: those received that were there at the start.
        has_newer: whether messages were received that were sent after the start, which are not waited for.
        """
        self._has_newer |= has_newer
        depth = queues.depth(self._aws, self._url)
        unseen = max(0, depth.total - held)
        if self._has_newer:
            unseen = min(unseen, max(0, self.start - seen))
        if unseen and self._patience.is_enough():
            unseen = 0
        self.unseen = unseen
        if unseen:
            self._agreed = 0
            if _is_full(depth, held) or self._is_late():
                return True
            self._say(unseen)
        else:
            self._agreed += 1
            if self._agreed >= _AGREEING:  # a second reading may continue the first
                return True
        is_exact = self._aws.consistent and not unseen and seen >= self.start
        return self._clock.wait(self._stop.drain, _LOCAL_PAUSE_S if is_exact else _PAUSE_S)

    def _is_late(self) -> bool:
        if not self._has_notified:  # a reading that took long still waits until the counts have settled
            settled = self._clock.monotonic() + min(self._patience.seconds, COUNTS_SETTLE_S)
            self._deadline = max(self._deadline, settled)
        return self._clock.monotonic() >= self._deadline

    def _say(self, unseen: int) -> None:
        if self._has_notified:
            return
        self._has_notified = True
        seconds = self._deadline - self._clock.monotonic()
        self._patience.notify(f"waiting up to {seconds:.0f} s for {many(unseen, 'message')} hidden by another receiver")


def _is_full(depth: Depth, held: int) -> bool:
    """Whether SQS gives out no more messages before this reading releases those that it holds."""
    return depth.in_flight >= _FULL and held * 2 > depth.in_flight
