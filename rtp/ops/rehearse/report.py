"""What a rehearsal found: counts, and the first event of each kind. Its size does not grow with the events."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from rtp.ops.rehearse.compare import Outcome

if TYPE_CHECKING:
    from rtp.ops.rehearse.compare import Change, Compared
    from rtp.ops.rehearse.interpreter import Tried

_KINDS = 100  # of each list; further ones are counted in the totals alone
_NAMED = 10  # messages
_TEXT = 60  # characters of a refused address or path that distinguish kinds


@dataclass(frozen=True, slots=True)
class Example:
    """Events of one type that are processed now and were not before.

    count: how many. id, timestamp, result: of the first of them.
    """

    type: str
    count: int
    id: str
    timestamp: int
    result: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """Events of one type whose results differ in the same fields.

    count: how many. id, timestamp, changes: of the first of them, at most 20 changes.
    """

    type: str
    count: int
    id: str
    timestamp: int
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class FailingGroup:
    """Events that fail in the rehearsal of one cause.

    outcome: newly-failing, still-dead or not-rehearsed. group: id of the cause's group. error: type and message of the
    first. at: the line of the project's code. count: events.
    is_known: whether one of their records has a failure of this group.
    id, timestamp, stack: of the first event; stack: the traceback, empty for a rejected one.
    """

    outcome: str
    group: str
    type: str
    error: str
    at: str
    count: int
    is_known: bool
    id: str
    timestamp: int
    stack: str


@dataclass(frozen=True, slots=True)
class Attempted:
    """What processors tried or asked for and did not get.

    kind: network, write, process, secret or variable. what: the address, path, command or name. count: events that
    did. id: the first of them.
    """

    kind: str
    what: str
    count: int
    id: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the code of this folder makes of archived events. Nothing was stored, sent or emitted.

    events: how many were run, the newest first. more: whether the limit left out others. interrupted: whether it was
    ended before the last of them. now_processed, still_dead: of events that are dead, or failed and retried.
    same_result, other_result, newly_failing: of events that are processed. not_rehearsed: events that failed after
    something was refused to them. timed_out: failing events that had no result within the function's time limit. ended:
    failing events that ended the interpreter. skipped: events that were not run or compared, by reason. messages: DLQ
    messages without a record whose events were run; no_events: ids of those whose text is no event, the first ten.
    unseen: DLQ messages that another receiver hides. missing: ids that were asked for, of which neither a record nor a
    message was found. processed: by type. differing: by type and fields. failing: by
    cause, the largest first. tried: what was refused. emitted: how many events of each type would have been emitted.
    network: allowed, refused (by Python's audit hook alone), or none (a network namespace too).
    """

    events: int
    more: bool
    interrupted: bool
    now_processed: int
    same_result: int
    other_result: int
    newly_failing: int
    still_dead: int
    not_rehearsed: int
    timed_out: int
    ended: int
    skipped: dict[str, int]
    messages: int
    no_events: list[str]
    unseen: int
    missing: list[str]
    processed: list[Example]
    differing: list[Difference]
    failing: list[FailingGroup]
    tried: list[Attempted]
    emitted: dict[str, int]
    network: str

    @property
    def is_good(self) -> bool:
        """Whether no event failed or could not be rehearsed."""
        return not (self.newly_failing or self.still_dead or self.not_rehearsed)


class Findings:
    """Collects what events ended in. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = RLock()
        self.network = "refused"
        self.unseen = 0
        self.missing: list[str] = []
        self._totals: Counter[Outcome] = Counter()
        self._ends: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._emitted: Counter[str] = Counter()
        self._first: dict[tuple[str, ...], Compared] = {}
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._known: set[tuple[str, ...]] = set()
        self._tried: dict[tuple[str, str], tuple[str, int]] = {}
        self._messages = 0
        self._no_events: list[str] = []

    @property
    def events(self) -> int:
        """How many events were run."""
        with self._lock:
            return self._totals.total() - self._totals[Outcome.SKIPPED]

    @property
    def is_empty(self) -> bool:
        """Whether no event was run or skipped."""
        return not self._totals

    def add(self, event: Compared) -> None:
        """Count an event."""
        with self._lock:
            self._add(event)

    def _add(self, event: Compared) -> None:
        self._totals[event.outcome] += 1
        if event.outcome is Outcome.SKIPPED:
            self._skipped[event.reason] += 1
            self._no_events += [event.message_id] if event.message_id and len(self._no_events) < _NAMED else []
            return
        self._messages += bool(event.message_id)
        if event.ran is not None:
            self._ends[event.ran.outcome] += 1
            self._emitted.update(event.ran.emitted)
            self._note(event.ran.tried, event.id)
        key = _kind(event)
        if key and (key in self._first or len(self._first) < _KINDS):
            self._first.setdefault(key, event)
            self._counts[key] += 1
            if event.is_known:
                self._known.add(key)

    def note_import(self, tried: tuple[Tried, ...]) -> None:
        """Count what the module itself tried when it was imported."""
        with self._lock:
            self._note(tried, "")

    def report(self, *, more: bool = False, interrupted: bool = False) -> Rehearsal:
        """All that was found so far."""
        with self._lock:
            return self._report(more=more, interrupted=interrupted)

    def _report(self, *, more: bool, interrupted: bool) -> Rehearsal:
        total = self._totals
        kinds = sorted(self._first.items(), key=lambda each: -self._counts[each[0]])
        return Rehearsal(
            events=self.events,
            more=more,
            interrupted=interrupted,
            now_processed=total[Outcome.NOW_PROCESSED],
            same_result=total[Outcome.SAME_RESULT],
            other_result=total[Outcome.OTHER_RESULT],
            newly_failing=total[Outcome.NEWLY_FAILING],
            still_dead=total[Outcome.STILL_DEAD],
            not_rehearsed=total[Outcome.NOT_REHEARSED],
            timed_out=self._ends["timed-out"],
            ended=self._ends["ended"],
            skipped=dict(self._skipped),
            messages=self._messages,
            no_events=list(self._no_events),
            unseen=self.unseen,
            missing=list(self.missing),
            processed=[
                Example(e.type, self._counts[key], e.id, e.timestamp, e.ran.result if e.ran else None)
                for key, e in kinds
                if e.outcome is Outcome.NOW_PROCESSED
            ],
            differing=[
                Difference(e.type, self._counts[key], e.id, e.timestamp, list(e.changes))
                for key, e in kinds
                if e.outcome is Outcome.OTHER_RESULT
            ],
            failing=[
                _failing(e, self._counts[key], is_known=key in self._known) for key, e in kinds if e.group is not None
            ],
            tried=[Attempted(*key, count, event_id) for key, (event_id, count) in self._tried.items()],
            emitted=dict(self._emitted),
            network=self.network,
        )

    def _note(self, tried: tuple[Tried, ...], event_id: str) -> None:
        for each in dict.fromkeys((one.kind, one.what[:_TEXT]) for one in tried):
            first, count = self._tried.get(each, (event_id, 0))
            if each in self._tried or len(self._tried) < _KINDS:
                self._tried[each] = (first, count + (1 if event_id else 0))


def _kind(event: Compared) -> tuple[str, ...]:
    """What the first of each is shown of; empty for events of which none is."""
    if event.group is not None:
        return (event.outcome, event.group.id)
    if event.outcome is Outcome.OTHER_RESULT:
        return (event.outcome, *event.kind)
    return (event.outcome, event.type) if event.outcome is Outcome.NOW_PROCESSED else ()


def _failing(event: Compared, count: int, *, is_known: bool) -> FailingGroup:
    cause, ran = event.ran.cause if event.ran else None, event.ran
    return FailingGroup(
        event.outcome.value,
        event.group.id if event.group else "",
        event.type,
        cause.text if cause else "",
        cause.at if cause else "",
        count,
        is_known,
        event.id,
        event.timestamp,
        ran.stack if ran else "",
    )
