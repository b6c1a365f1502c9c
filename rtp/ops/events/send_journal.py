"""Journal of `rtp send FILE`: the ids that rtp made and what was answered, so that `--resume` sends the rest."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.errors import NotFoundError
from rtp.ops import journal_store as journals
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rtp.ops.events.sent import Sent
    from rtp.ops.journal_store import JournalStore

_BATCH = 200  # answers that a kill can lose; those events are sent again, with the same ids
_RECENT_MS = 24 * 3_600_000  # an older send that did not end is not mentioned any more
_REFUSED = (400, 413)  # the same event would be refused again


@dataclass(frozen=True, slots=True)
class Sending:
    """What is sent, which another send must have in common to go on. digest: of the file. count: events, with --count.

    via: the way in. stack, account: where to.
    """

    digest: str
    count: int
    via: str
    stack: str
    account: str


@dataclass(slots=True)
class SendJournal:
    """One send. ids: those that rtp made, by the event's number in the file. answered: ids with a final answer.

    total: events of the whole file. unanswered: events that this run has tried and that have no final answer.
    """

    store: JournalStore
    run: str
    total: int
    ids: dict[int, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    unanswered: int = 0
    _batch: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def left(self) -> int:
        """The number of events without an answer."""
        return self.total - len(self.answered)

    def made(self, number: int, event_id: str) -> None:
        """Record an id before its event is sent."""
        self._append({"step": "id", "n": number, "id": event_id})

    def note(self, sent: Sent) -> None:
        """Record an answer, if it is final: another attempt would get the same."""
        if not (sent.recorded or sent.status == "conflict" or sent.http_status in _REFUSED):
            self.unanswered += 1
            return
        with self._lock:
            self.answered.add(sent.id)
            self._batch.append(sent.id)
            is_full = len(self._batch) >= _BATCH
        if is_full:
            self.flush()

    def flush(self, *, has_ended: bool = False) -> None:
        """Write the answers that were noted. has_ended: every event has one."""
        with self._lock:
            batch, self._batch = self._batch, []
        if batch:
            self._append({"step": "answered", "ids": batch})
        if has_ended:
            self._append({"step": "ended"})

    def _append(self, line: dict[str, object]) -> None:
        with self._lock:
            self.store.append(self.run, journals.encode([line]), durable=False)


def digest_of(file: Path) -> str:
    """What identifies a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def begin(store: JournalStore, sending: Sending) -> SendJournal:
    """Begin a send. Raises ConfigError where the journal cannot be written."""
    run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-send-{secrets.token_hex(3)}"
    store.begin(run, journals.encode([_head(sending) | {"step": "head", "started": times.now_ms()}]), durable=False)
    return SendJournal(store, run, sending.count)


def interrupted(
    store: JournalStore, sending: Sending, *, restored_ms: int = 0, warn: Callable[[str], None] = lambda _: None
) -> SendJournal | None:
    """The latest send of the same, where it did not come to its end in the last day.

    restored_ms: when the local engine's data last went back to an earlier save; what was answered before is sent again.
    warn: called with the journals that are skipped, because they cannot be read.
    """
    return _interrupted(store, sending, restored_ms, journals.Skipping(warn))


def resume(
    store: JournalStore, sending: Sending, *, restored_ms: int = 0, warn: Callable[[str], None] = lambda _: None
) -> SendJournal:
    """The send to go on with. Raises NotFoundError, or why the journal that may be its own cannot be read."""
    skipping = journals.Skipping(warn)
    journal = _interrupted(store, sending, restored_ms, skipping)
    if journal is None:
        raise skipping.error or NotFoundError(
            f"No send of these events to {sending.stack} in the last day was interrupted.",
            hint="--resume wants the same file, --via and --count. Without it, all events are sent.",
            code="nothing-to-resume",
        )
    return journal


def _interrupted(
    store: JournalStore, sending: Sending, restored_ms: int, skipping: journals.Skipping
) -> SendJournal | None:
    for run in reversed(store.runs()):
        with skipping.journal(store, run):
            journal, head, started, has_ended = _read(store, run, sending.count, restored_ms)
            if {key: head.get(key) for key in _head(sending)} != _head(sending):
                continue
            is_recent = times.now_ms() - started < _RECENT_MS
            return journal if is_recent and not has_ended and journal.left else None
    return None


def _head(sending: Sending) -> dict[str, object]:
    return {name: getattr(sending, name) for name in Sending.__slots__}


def _read(
    store: JournalStore, run: str, total: int, restored_ms: int
) -> tuple[SendJournal, dict[str, object], int, bool]:
    """The journal, its head, when it was begun, and whether the run came to its end."""
    journal = SendJournal(store, run, total)
    head: dict[str, object] = {}
    started, has_ended = 0, False
    with journals.lines_of(store, run) as lines:
        for line in lines:
            step = line.text("step", "")
            if step == "head":
                head, started = line.values, line.integer("started", 0)
            elif step == "id":
                journal.ids[line.integer("n")] = line.text("id")
            elif step == "answered":
                answered = line.texts("ids")
                journal.answered |= set(answered if started > restored_ms else ())
            has_ended = has_ended or step == "ended"
    return journal, head, started, has_ended
