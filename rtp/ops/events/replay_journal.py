"""Journal of a replay, by which an interrupted one is continued under its name, so that no event is processed twice."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from rtp.errors import NotFoundError, RefusedError
from rtp.ops import journal_store as journals
from rtp.ops.events.planned import Planned
from rtp.runtime import wire
from rtp.text import times
from rtp.text.given import Given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.ops.journal_store import JournalStore

_RECENT_MS = 12 * 3_600_000  # an older replay that did not end is not mentioned any more


class ReplayJournal:
    """One replay. planned: the events that are still to be queued."""

    def __init__(self, store: JournalStore, run: str, planned: list[Planned]) -> None:
        self.run, self.planned = run, planned
        self._store = store

    def queued(self, events: Iterable[Planned]) -> None:
        """Record events after SQS took them. One whose record a kill prevents is sent again, and found processed."""
        batch = journals.encode({"step": "queued", "raw_key": event.raw_key} for event in events)
        self._store.append(self.run, batch, durable=False)

    def ended(self) -> None:
        """Record that nothing is left to be queued."""
        self._store.append(self.run, journals.encode([{"step": "ended"}]), durable=False)


def begin(store: JournalStore, owner: tuple[str, str], planned: list[Planned]) -> ReplayJournal:
    """Begin a replay. owner: stack and account. Raises ConfigError where the journal cannot be written."""
    run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-replay-{secrets.token_hex(3)}"
    head = {"step": "head", "stack": owner[0], "account": owner[1], "started": times.now_ms()}
    lines = [{"step": "planned", "event": [e.id, e.timestamp, e.type, e.status, e.raw_key]} for e in planned]
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
    ran_on, _, planned, _ = _read(store, run, restored_ms)
    if ran_on != owner:
        raise RefusedError(
            f"{run} ran on {ran_on[0]} in account {ran_on[1]}, not on {owner[0]} in {owner[1]}.",
            hint="Name that environment with --env.",
        )
    return ReplayJournal(store, run, planned)


def interrupted(store: JournalStore, owner: tuple[str, str]) -> ReplayJournal | None:
    """The latest replay of the stack, where it did not end by itself in the last hours."""
    for run in store.runs()[-1:]:
        ran_on, started, planned, has_ended = _read(store, run)
        is_recent = times.now_ms() - started < _RECENT_MS
        if ran_on == owner and is_recent and planned and not has_ended:
            return ReplayJournal(store, run, planned)
    return None


def _read(store: JournalStore, run: str, restored_ms: int = 0) -> tuple[tuple[str, str], int, list[Planned], bool]:
    """Stack and account, when it was begun, the events that are not queued, and whether the run ended."""
    owner, started = ("", ""), 0
    planned: dict[str, Planned] = {}
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
                if started > restored_ms:
                    planned.pop(raw_key, None)
            has_ended = has_ended or step == "ended"
    return owner, started, list(planned.values()), has_ended


def _planned(line: Given) -> Planned:
    """Raises MalformedError."""
    members = line.elements("event")
    if len(members) != len(Planned.__slots__):
        raise line.malformed("event does not have its members")
    event = Given(dict(zip(Planned.__slots__, members, strict=True)))
    return Planned(
        event.text("id"),
        event.integer("timestamp", most=wire.MAX_TIMESTAMP),
        event.text("type"),
        event.text("status"),
        event.text("raw_key"),
    )
