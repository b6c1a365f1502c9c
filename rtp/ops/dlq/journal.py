"""Write-ahead log of redrive and purge.

Every message is recorded before it is removed, so that `dlq undo` can restore it and a killed run is recognised. An
undo records what it is about to restore, so that a killed one is completed and restores no message twice.
A journal has one JSON document a line: a head, then a line for each step of each message.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.aws.queues import Outgoing
from rtp.errors import NotFoundError
from rtp.ops.journal_store import encode, lines_of
from rtp.runtime import wire
from rtp.runtime.event import Identity
from rtp.text import times
from rtp.text.given import Given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.target import Target
    from rtp.ops.journal_store import JournalStore

_RECENT_RUNS = 20  # journals in which a redrive looks for messages that a killed one sent
_RECENT_MS = 12 * 3_600_000  # well below the shortest retention of the queue: what was sent since is not lost


@dataclass(slots=True)
class Entry:
    """A message of a run: what is needed to send it again unchanged, and which steps were recorded for it.

    sent_id: id of the message that a redrive sent to the queue. deleted: from the DLQ.
    restoring_since: when an undo was about to send it to the DLQ, epoch ms by SQS's clock; 0 for never.
    """

    message_id: str
    identity: Identity
    outgoing: Outgoing
    sent_id: str = ""
    deleted: bool = False
    restoring_since: int = 0
    restored: bool = False


@dataclass(slots=True)
class Journal:
    """A recorded run. what: `redrive` or `purge`. started: epoch ms. entries: by message id. ended: by itself."""

    run: str
    what: str
    stack: str
    account: str
    started: int
    entries: dict[str, Entry] = field(default_factory=dict)
    ended: bool = False


class Writer:
    """Records a new run, from any number of threads. The journal is created with the first message.

    durable: flush each batch to the disk itself, for a run that deletes the only copy.
    """

    def __init__(self, target: Target, what: str, *, durable: bool = False) -> None:
        self.run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{what}-{secrets.token_hex(3)}"
        self._store = target.journals
        self._durable = durable
        self._lock = threading.Lock()
        self._has_begun = False
        self._later: list[dict[str, Any]] = []
        self._head = {
            "step": "head",
            "what": what,
            "stack": target.stack,
            "account": target.account,
            "started": times.now_ms(),
        }

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._has_begun:
            self._write([{"step": "ended"}] if kind is None else [])

    @property
    def where(self) -> str:
        """Where the journal is."""
        return self._store.where(self.run)

    def taken(self, dlq_messages: Iterable[DlqMessage]) -> None:
        """Record messages before they are moved or deleted. Raises ConfigError where the journal cannot be written."""
        self._write(
            {
                "step": "took",
                "message_id": dlq_message.message_id,
                "id": dlq_message.id,
                "timestamp": dlq_message.identity.timestamp,
                "type": dlq_message.type,
                "body": dlq_message.body,
                "attributes": {name: _to_text(value) for name, value in dlq_message.message.attributes.items()},
                "trace_header": dlq_message.message.trace_header,
            }
            for dlq_message in dlq_messages
        )

    def sent(self, ids: dict[str, str]) -> None:
        """Record that messages were sent to the queue: DLQ message id -> id of the new message."""
        self._write({"step": "sent", "message_id": old, "sent_id": new} for old, new in ids.items())

    def deleted(self, message_ids: Iterable[str]) -> None:
        """Record, with the next batch, that messages were deleted from the DLQ. After a crash undo looks there."""
        with self._lock:
            self._later += [{"step": "deleted", "message_id": message_id} for message_id in message_ids]

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        with self._lock:
            batch, self._later = [*self._later, *lines], []
            if not batch:
                return
            if not self._has_begun:
                self._store.begin(self.run, encode([self._head, *batch]), durable=self._durable)
                self._has_begun = True
                return
        self._store.append(self.run, encode(batch), durable=self._durable)  # of several threads at once


class Restoring:
    """Records what an undo restores, in batches."""

    def __init__(self, store: JournalStore, journal: Journal) -> None:
        self._store, self._journal = store, journal
        self._later: list[dict[str, Any]] = []

    def about_to(self, entries: Iterable[Entry], since: int) -> None:
        """Record entries before they are sent to the DLQ. since: by SQS's clock, not later than they are sent."""
        lines = [{"step": "restoring", "message_id": entry.message_id, "since": since} for entry in entries]
        if lines:
            self._append(lines)

    def done(self, entries: Iterable[Entry]) -> None:
        """Record, with the next batch, that entries are in the DLQ again."""
        for entry in entries:
            entry.restored = True
            self._later.append({"step": "restored", "message_id": entry.message_id})

    def flush(self) -> None:
        """Record what is done so far."""
        if self._later:
            self._append([])

    def _append(self, lines: list[dict[str, Any]]) -> None:
        self._store.append(self._journal.run, encode([*self._later, *lines]), durable=True)
        self._later = []


def load(store: JournalStore, run: str | None) -> Journal:
    """Read the journal of a run by its name, or the latest one. Raises NotFoundError."""
    runs = [name for name in store.runs() if run is None or name == run]
    if not runs:
        what = f"There is no run {run}" if run else "There is no redrive or purge to undo"
        hint = "Journals expire after 30 days; one of a run without rtp's own bucket stays on its machine."
        raise NotFoundError(f"{what} in {store.where()}.", hint=hint)
    journal = _read(store, runs[-1])
    if journal is None:
        raise NotFoundError(f"{store.where(runs[-1])} is not the journal of a run.", hint="Name another with --run.")
    return journal


def killed_redrives(target: Target) -> list[Journal]:
    """Recent redrives of this stack that did not end by themselves, with the entries that may be in both queues.

    Not those from before the queues went back to an earlier save: what they sent may not be in the queue.
    """
    killed: list[Journal] = []
    for run in target.journals.runs()[-_RECENT_RUNS:]:
        journal = _read(target.journals, run)
        if journal is None or journal.ended or journal.what != "redrive":
            continue
        if (journal.stack, journal.account) != (target.stack, target.account):
            continue
        if times.now_ms() - journal.started < _RECENT_MS and journal.started > target.restored_ms:
            journal.entries = {i: e for i, e in journal.entries.items() if not (e.deleted or e.restored)}
            killed.append(journal)
    return killed


def _read(store: JournalStore, run: str) -> Journal | None:
    """Read a journal; None without a head. Raises ConfigError where rtp did not write it."""
    with lines_of(store, run) as lines:
        head = next(lines, None)
        if head is None or head.text("step", "") != "head":
            return None
        what = head.text("what")
        if what not in ("redrive", "purge"):
            raise head.malformed("it is neither of a redrive nor of a purge")
        journal = Journal(run, what, head.text("stack"), head.text("account"), head.integer("started", 0))
        for line in lines:
            _apply(journal, line)
    return journal


def _apply(journal: Journal, line: Given) -> None:
    """Raises MalformedError."""
    step = line.text("step", "")
    if step == "ended":
        journal.ended = True
        return
    message_id = line.text("message_id")
    if step == "took":
        attributes = {name: _from_text(line, value) for name, value in line.member("attributes").values.items()}
        identity = Identity(line.text("id"), line.integer("timestamp", least=-1, most=wire.MAX_TIMESTAMP))
        outgoing = Outgoing(line.text("body"), attributes, line.text("trace_header", ""))
        journal.entries[message_id] = Entry(message_id, identity, outgoing)
    elif message_id in journal.entries:
        entry = journal.entries[message_id]
        entry.sent_id = line.text("sent_id", entry.sent_id)
        entry.deleted = entry.deleted or step == "deleted"
        entry.restoring_since = entry.restoring_since or line.integer("since", 0)
        entry.restored = entry.restored or step == "restored"


def _to_text(value: dict[str, Any]) -> dict[str, Any]:
    binary = value.get("BinaryValue")
    return value | {"BinaryValue": base64.b64encode(binary).decode()} if isinstance(binary, bytes) else value


def _from_text(line: Given, value: object) -> dict[str, Any]:
    """Raises MalformedError."""
    attribute = Given(value)
    for name in attribute.values:
        attribute.text(name)
    if (binary := attribute.values.get("BinaryValue")) is None:
        return attribute.values
    try:
        return attribute.values | {"BinaryValue": base64.b64decode(binary, validate=True)}
    except ValueError:
        raise line.malformed("a binary attribute is not base64") from None
