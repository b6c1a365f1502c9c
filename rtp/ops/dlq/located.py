"""Find out which messages of a killed run are in the DLQ: still, or again because an undo sent them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.ops.dlq import peek
from rtp.runtime import wire

if TYPE_CHECKING:
    from rtp.aws.queues import Attributes, Message
    from rtp.ops.dlq.ending import Patience
    from rtp.ops.dlq.journal import Entry
    from rtp.ops.dlq.target import Target
    from rtp.ops.work.pool import Stop


class Located:
    """Where the given entries are. originals: ids of messages that were never deleted; copies: that an undo sent.

    SQS gives a message that is sent again a new id, so a copy is recognised by its content, and by having been sent
    after the undo recorded that it would send it.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.originals: set[str] = set()
        self.copies: set[str] = set()
        self._entries = {entry.message_id: entry for entry in entries}
        self._unmatched = [entry for entry in entries if entry.restoring_since]
        self._is_complete = not entries

    def search(self, target: Target, *, limit: int, patience: Patience, stop: Stop) -> None:
        """Read the DLQ until every entry is found, or to its end."""
        peeked = peek.peek(target.aws, target.dlq_url, limit=limit, stop=stop, enough=self._meet, patience=patience)
        self._is_complete = not (peeked.unseen or stop.drain.is_set())

    def is_absent(self, entry: Entry) -> bool:
        """Whether an entry is certainly not in the DLQ: another receiver, such as the killed run, may hide it."""
        if entry.message_id in self.originals or entry.message_id in self.copies:
            return False
        return self._is_complete or entry.message_id not in self._entries

    def _meet(self, messages: list[Message]) -> bool:
        for message in messages:
            if message.message_id in self._entries:
                self.originals.add(message.message_id)
            elif (copied := self._copied(message)) is not None:
                self.copies.add(copied.message_id)
                self._unmatched.remove(copied)
        return len(self.originals) + len(self.copies) >= len(self._entries)

    def _copied(self, message: Message) -> Entry | None:
        return next(
            (
                entry
                for entry in self._unmatched
                if message.sent_at >= entry.restoring_since
                and message.body in (entry.outgoing.body, wire.message_body(entry.outgoing.body))
                and _values(message.attributes) == _values(entry.outgoing.attributes)
            ),
            None,
        )


def _values(attributes: Attributes) -> dict[str, tuple[object, object]]:
    return {name: (value.get("StringValue"), value.get("BinaryValue")) for name, value in attributes.items()}
