"""Journal of a replay, by which an interrupted one is continued under its name, so that no event is processed twice."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from rtp.errors import NotFoundError, RefusedError
from rtp.ops import journal_store as journals
from rtp.ops import run_marks
from rtp.ops.events.planned import Planned
from rtp.ops.run_marks import Operator, Position
from rtp.runtime import wire
from rtp.text import times
from rtp.text.given import Given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rtp.ops.journal_store import JournalStore

_MEMBERS = ("id", "timestamp", "type", "status", "raw_key")
_RECENT_MS = 12 * 3_600_000  # an older replay that did not end is not mentioned any more


class ReplayJournal:
    """One replay. planned: the events that are still to be queued.

    part: number of this part of it; done: events that the earlier parts queued.
    """

    def __init__(self, store: JournalStore, run: str, planned: list[Planned], *, part: int = 1, done: int = 0) -> None:
        self.run, self.planned, self.store = run, planned, store
        self._store, self._part, self._done = store, part, done
        self._lock = threading.Lock()

    def queued(self, events: Iterable[Planned]) -> None:
        """Record events after SQS took them, from any number of threads.

        One whose record a kill prevents is sent again, and found processed.
        """
        lines = [{"step": "queued", "raw_key": event.raw_key} for event in events]
        self._store.append(self.run, journals.encode(lines), durable=False)
        with self._lock:
            self._done += len(lines)

    def position(self) -> Position:
        """How far the run is."""
        return Position(self.run, self._part, self._done)

    def resume(self, who: Operator) -> None:
        """Mark that the run is continued, where it is. Raises RtpError."""
        if self._part > 1:
            run_marks.begin(self._store, self.run, self._part, who)

    def left(self, state: str, failed: int, stopped_by: str) -> None:
        """Mark how this part ended."""
        values = {"state": state, "done": self._done, "failed": failed, "stopped_by": stopped_by}
        run_marks.end(self._store, self.run, self._part, values)

    def ended(self) -> None:
        """Record that nothing is left to be queued."""
        self._store.append(self.run, journals.encode([{"step": "ended"}]), durable=False)


def begin(
    store: JournalStore, owner: tuple[str, str], planned: list[Planned], who: Operator | None = None
) -> ReplayJournal:
    """Begin a replay. owner: stack and account. Raises ConfigError where the journal cannot be written."""
    run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-replay-{secrets.token_hex(3)}"
    head = {"step": "head", "what": "replay", "stack": owner[0], "account": owner[1], "started": times.now_ms()}
    head["who"] = asdict(who or Operator())
    lines = [
        {"step": "planned", "event": [e.id, e.timestamp, e.type, e.status, e.raw_key], "group": e.group}
        for e in planned
    ]
    store.begin(run, journals.encode([head, *lines]), durable=False)
    return ReplayJournal(store, run, planned)


def load(store: JournalStore, owner: tuple[str, str], run: str, *, restored_ms: int = 0) -> ReplayJournal:
    """The rest of a replay. Raises NotFoundError, or RefusedError for one of another stack.

    restored_ms: when the local engine's data last went back to an earlier save, epoch ms. What a replay queued before
    may not be in the queue, so all of its events are the rest.
    """
    if run not in store.runs():
        raise NotFoundError(
            f"There is no replay {run} in {store.where()}.",
            hint="Journals expire after 30 days; one of a run without rtp's own bucket stays on its machine.",
        )
    found = _read(store, run, restored_ms)
    if found.owner != owner:
        raise RefusedError(
            f"{run} ran on {found.owner[0]} in account {found.owner[1]}, not on {owner[0]} in {owner[1]}.",
            hint="Name that environment with --env.",
        )
    part = 1 + run_marks.last_part(store.marks().get(run, set()))
    return ReplayJournal(store, run, found.rest, part=part, done=len(found.queued))


def queued(store: JournalStore, run: str) -> list[Planned]:
    """The events that a replay has queued, as they were before it. Raises ConfigError."""
    return _read(store, run).queued


def interrupted(
    store: JournalStore, owner: tuple[str, str], *, warn: Callable[[str], None] = lambda _: None
) -> ReplayJournal | None:
    """The latest replay of the stack, where it did not end by itself in the last hours.

    warn: called with the journals that are skipped, because they cannot be read.
    """
    marks, skipping = store.marks(), journals.Skipping(warn)
    for run in reversed(store.runs()):
        if run_marks.has_completed(store, run, marks.get(run, set())):
            return None
        with skipping.journal(store, run):
            found = _read(store, run)
            is_recent = times.now_ms() - found.started < _RECENT_MS
            is_open = found.owner == owner and is_recent and found.rest and not found.has_ended
            return ReplayJournal(store, run, found.rest) if is_open else None
    return None


class _Read(NamedTuple):
    """A journal. owner: stack and account. started: epoch ms. rest: the events that are not queued."""

    owner: tuple[str, str]
    started: int
    rest: list[Planned]
    queued: list[Planned]
    has_ended: bool


def _read(store: JournalStore, run: str, restored_ms: int = 0) -> _Read:
    """Raises ConfigError where rtp did not write it."""
    owner, started = ("", ""), 0
    planned: dict[str, Planned] = {}
    queued: dict[str, Planned] = {}
    has_ended = False
    with journals.lines_of(store, run) as lines:
        for line in lines:
            step = line.text("step", "")
            if step == "head":
                owner, started = (line.text("stack"), line.text("account")), line.integer("started", 0)
            elif step == "planned":
                event = _planned(line)
                planned[event.raw_key] = event
            elif step == "queued":
                raw_key = line.text("raw_key")
                if started > restored_ms and raw_key in planned:
                    queued[raw_key] = planned.pop(raw_key)
            has_ended = has_ended or step == "ended"
    return _Read(owner, started, list(planned.values()), list(queued.values()), has_ended)


def _planned(line: Given) -> Planned:
    """Raises MalformedError."""
    members = line.elements("event")
    if len(members) != len(_MEMBERS):
        raise line.malformed("event does not have its members")
    event = Given(dict(zip(_MEMBERS, members, strict=True)))
    return Planned(
        event.text("id"),
        event.integer("timestamp", most=wire.MAX_TIMESTAMP),
        event.text("type"),
        event.text("status"),
        event.text("raw_key"),
        line.text("group", ""),
    )
