"""What killed redrives left in both queues: the next redrive deletes it from the DLQ and does not send it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.ops.dlq import earlier_runs
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.sweep import Sweep
from rtp.ops.work.clock import SYSTEM
from rtp.runtime import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.aws.queues import Message
    from rtp.ops.dlq.journal import Entry
    from rtp.ops.dlq.target import Target
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

PATIENCE_S = 5.0  # brief: while the queue is read, the worker does not receive the other events in it


class SentMessages:
    """Recognises the messages that a run sent. Those that a kill left without a recorded id name it."""

    def __init__(self, run: str, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        self._run = run
        self._by_sent_id = {entry.sent_id: entry for entry in entries if entry.sent_id}
        self._others = {entry.message_id: entry for entry in entries if not entry.sent_id}

    def entry(self, message: Message) -> Entry | None:
        """The entry of a received message; None for a message of another run or sender."""
        if message.message_id in self._by_sent_id:
            return self._by_sent_id[message.message_id]
        run, dlq_message_id = wire.redriven(message.text(wire.REDRIVE))
        return self._others.get(dlq_message_id) if run == self._run else None


class Leftovers:
    """Messages of the DLQ that killed redrives sent to the queue.

    Where a kill came between the journal and SQS's answer, the queue is read: before the DLQ, whose messages are hidden
    for a short time only.
    """

    def __init__(self, target: Target, *, stop: Stop, clock: Clock = SYSTEM) -> None:
        self._target, self._stop, self._clock = target, stop, clock
        runs = earlier_runs.killed_redrives(target)
        self._sent = {e.message_id: e.sent_id for run in runs for e in run.entries.values() if e.sent_id}
        self._unsure = {e.message_id: (run.run, e) for run in runs for e in run.entries.values() if not e.sent_id}
        if self._unsure:
            self._read_queue()

    def sent(self, message_ids: Iterable[str]) -> dict[str, str]:
        """Those of the messages that were sent to the queue: DLQ message id -> id of the message sent."""
        return {message_id: self._sent[message_id] for message_id in message_ids if message_id in self._sent}

    def _read_queue(self) -> None:
        runs = {run for run, _ in self._unsure.values()}
        known = [SentMessages(run, [e for name, e in self._unsure.values() if name == run]) for run in runs]
        patience = Patience(PATIENCE_S, clock=self._clock)
        sweep = Sweep(self._target.aws, self._target.queue_url, stop=self._stop, patience=patience)
        try:
            for messages in sweep:
                for message in messages:
                    entry = next((e for one in known if (e := one.entry(message)) is not None), None)
                    if entry is not None:
                        self._sent[entry.message_id] = message.message_id
                if len(self._sent.keys() & self._unsure.keys()) == len(self._unsure):
                    break
        finally:
            sweep.release()
