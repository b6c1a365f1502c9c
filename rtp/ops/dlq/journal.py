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
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.aws.queues import Outgoing
from rtp.errors import NotFoundError
from rtp.ops import run_marks
from rtp.ops.journal_store import encode, first, lines_of, reading
from rtp.ops.run_marks import Position
from rtp.runtime import wire
from rtp.runtime.event import Identity
from rtp.text import times
from rtp.text.given import Given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.target import Target
    from rtp.ops.journal_store import JournalStore


@dataclass(slots=True)
class Entry:
    """A message of a run: what is needed to send it again unchanged, and which steps were recorded for it.

    sent_id: id of the message that a redrive sent to the queue. deleted: from the DLQ.
    restoring_since: when an undo was about to send it to the DLQ, epoch ms by SQS's clock; 0 for never.
    digest: of the event that was sent. runs: its attempts before. group: id of the cause that it died of before.
    """

    message_id: str
    identity: Identity
    outgoing: Outgoing
    sent_id: str = ""
    deleted: bool = False
    restoring_since: int = 0
    restored: bool = False
    digest: str = ""
    runs: int = 0
    group: str = ""


@dataclass(slots=True)
class Journal:
    """A recorded run. what: `redrive` or `purge`. started: epoch ms. entries: by message id. ended: by itself.

    options: by which it selected its messages; None where that is not known.
    there_at: when it began, epoch ms by SQS's clock; 0 where that is not known.
    """

    run: str
    what: str
    stack: str
    account: str
    started: int
    entries: dict[str, Entry] = field(default_factory=dict)
    ended: bool = False
    options: Mapping[str, Any] | None = None
    there_at: int = 0


class Continued(NamedTuple):
    """A run that is continued. part: number of this part of it. sent: ids of the DLQ messages that it sent before.

    there_at: when the run began, epoch ms by SQS's clock; 0 where that is not known.
    """

    run: str
    part: int
    sent: frozenset[str]
    there_at: int = 0


class Writer:
    """Records a run, from any number of threads. The journal is created with the first message.

    durable: flush each batch to the disk itself, for a run that deletes the only copy.
    options: by which the run selects messages, for a continuation; None where that cannot be repeated.
    resumed: the run that is continued.
    result: what became of the messages, for other machines; the command sets it.
    there_at: when the run began to read the DLQ, epoch ms by SQS's clock; set before the first message.
    """

    def __init__(
        self,
        target: Target,
        what: str,
        *,
        durable: bool = False,
        options: Mapping[str, Any] | None = None,
        resumed: Continued | None = None,
    ) -> None:
        new = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{what}-{secrets.token_hex(3)}"
        self.run, self.part, sent, self.there_at = resumed or Continued(new, 1, frozenset())
        self.result: dict[str, Any] = {}
        self._store = target.journals
        self._who = target.who
        self._durable = durable
        self._lock = threading.Lock()
        self._has_begun = False
        self._later: list[dict[str, Any]] = [{"step": "resumed"}] if resumed else []
        self._done = set(sent)
        self._is_redrive = what == "redrive"
        self._head = {
            "step": "head",
            "what": what,
            "stack": target.stack,
            "account": target.account,
            "started": times.now_ms(),
            "who": asdict(target.who),
            "options": options,
        }

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._has_begun and (self.part == 1 or kind is not None):
            return
        self._write([{"step": "ended"}] if kind is None else [])
        if kind is None or issubclass(kind, Exception):
            result = {"done": len(self._done), **self.result}
            run_marks.end(self._store, self.run, self.part, result, failed=kind is not None)

    def position(self) -> Position | None:
        """How far the run is; None before its journal is begun."""
        return Position(self.run, self.part, len(self._done)) if self._has_begun else None

    @property
    def where(self) -> str:
        """Where the journal is."""
        return self._store.where(self.run)

    def taken(self, dlq_messages: Iterable[DlqMessage], digests: Mapping[str, str] | None = None) -> None:
        """Record messages before they are moved or deleted. Raises ConfigError where the journal cannot be written.

        digests: of the events that will be sent, by message id.
        """
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
                "digest": (digests or {}).get(dlq_message.message_id, ""),
                "runs": dlq_message.runs,
                "group": dlq_message.group.id,
            }
            for dlq_message in dlq_messages
        )

    def sent(self, ids: dict[str, str]) -> None:
        """Record that messages were sent to the queue: DLQ message id -> id of the new message."""
        self._write({"step": "sent", "message_id": old, "sent_id": new} for old, new in ids.items())
        if self._is_redrive:
            self._count(ids)

    def deleted(self, message_ids: Iterable[str]) -> None:
        """Record, with the next batch, that messages were deleted from the DLQ. After a crash undo looks there."""
        ids = list(message_ids)
        with self._lock:
            self._later += [{"step": "deleted", "message_id": message_id} for message_id in ids]
        if not self._is_redrive:
            self._count(ids)

    def _count(self, message_ids: Iterable[str]) -> None:
        with self._lock:
            self._done.update(message_ids)

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        with self._lock:
            batch, self._later = [*self._later, *lines], []
            if not batch:
                return
            if not self._has_begun and self.part > 1:
                run_marks.begin(self._store, self.run, self.part, self._who)
                self._has_begun = True
            if not self._has_begun:
                head = self._head | {"there_at": self.there_at}
                self._store.begin(self.run, encode([head, *batch]), durable=self._durable)
                self._has_begun = True
                return
        self._store.append(self.run, encode(batch), durable=self._durable)  # of several threads at once


class Restoring:
    """Records what an undo restores, in batches, from any number of threads."""

    def __init__(self, store: JournalStore, journal: Journal) -> None:
        self._store, self._journal = store, journal
        self._lock = threading.Lock()
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
            with self._lock:
                self._later.append({"step": "restored", "message_id": entry.message_id})

    def flush(self) -> None:
        """Record what is done so far."""
        if self._later:
            self._append([])

    def _append(self, lines: list[dict[str, Any]]) -> None:
        with self._lock:
            done, self._later = self._later, []
        try:
            self._store.append(self._journal.run, encode([*done, *lines]), durable=True)
        except BaseException:
            with self._lock:
                self._later = [*done, *self._later]
            raise


def load(store: JournalStore, run: str) -> Journal:
    """Read the journal of a run. Raises NotFoundError, and ConfigError where rtp did not write it."""
    if run not in store.runs():
        raise absent(store, f"There is no run {run}")
    journal = read(store, run)
    if journal is None:
        raise NotFoundError(f"{store.where(run)} is not the journal of a run.", hint="Name another with --run.")
    return journal


def absent(store: JournalStore, what: str) -> NotFoundError:
    """The error where there is no journal."""
    return NotFoundError(
        f"{what} in {store.where()}.",
        hint="Journals expire after 30 days; one of a run without rtp's own bucket stays on its machine.",
    )


def load_head(store: JournalStore, run: str) -> Journal | None:
    """A run without its entries, of which only the head is read; None without one. Raises ConfigError."""
    with reading(store, run):
        head = first(store.head(run))
        return None if head is None else _begun(run, head)


def _begun(run: str, head: Given) -> Journal | None:
    """Raises MalformedError."""
    if head.text("step", "") != "head":
        return None
    what = head.text("what")
    if what not in ("redrive", "purge"):
        raise head.malformed("it is neither of a redrive nor of a purge")
    options = head.values.get("options")
    return Journal(
        run,
        what,
        head.text("stack"),
        head.text("account"),
        head.integer("started", 0),
        options=None if options is None else head.member("options").values,
        there_at=head.integer("there_at", 0),
    )


def read(store: JournalStore, run: str) -> Journal | None:
    """Read a journal; None without a head. Raises ConfigError where rtp did not write it."""
    with lines_of(store, run) as lines:
        head = next(lines, None)
        journal = None if head is None else _begun(run, head)
        if journal is None:
            return None
        for line in lines:
            _apply(journal, line)
    return journal


def _apply(journal: Journal, line: Given) -> None:
    """Raises MalformedError."""
    step = line.text("step", "")
    if step in ("ended", "resumed"):
        journal.ended = step == "ended"
        return
    message_id = line.text("message_id")
    if step == "took":
        attributes = {name: _from_text(line, value) for name, value in line.member("attributes").values.items()}
        identity = Identity(line.text("id"), line.integer("timestamp", least=-1, most=wire.MAX_TIMESTAMP))
        outgoing = Outgoing(line.text("body"), attributes, line.text("trace_header", ""))
        entry = Entry(message_id, identity, outgoing)
        entry.digest, entry.runs, entry.group = line.text("digest", ""), line.integer("runs", 0), line.text("group", "")
        journal.entries.setdefault(message_id, entry)  # a continued run takes what it did not delete again
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
