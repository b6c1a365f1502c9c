"""The runs of every operator: redrives, purges and replays, by the journals and marks that all machines see."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rtp.errors import NotFoundError, RefusedError, UsageError
from rtp.ops import run_marks
from rtp.ops.dlq import journal as journals
from rtp.ops.dlq.journal import Continued
from rtp.ops.journal_store import Skipping, first, reading
from rtp.ops.run_marks import Operator
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM
from rtp.text import suggest, times
from rtp.text.given import Given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rtp.ops.dlq.target import Target
    from rtp.ops.journal_store import JournalStore
    from rtp.ops.work.clock import Clock

State = Literal["running", "ended", "stopped", "interrupted", "failed", "killed", "undone"]
KINDS = ("redrive", "purge", "replay")
CONTINUED = ("stopped", "interrupted", "failed", "killed")
"""The states from which a redrive is continued."""
_READERS = 16
POLL_S = 1.0
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the events that a redrive or a replay sent.

    processed: events that are processed. dead_again: dead of the same cause as before.
    dead_of_another_cause: dead of another. unknown: without an outcome, or with that of another event.
    """

    processed: int = 0
    dead_again: int = 0
    dead_of_another_cause: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A redrive, purge or replay of any operator.

    run: its name. what: redrive, purge or replay. state: running, ended, stopped by another operator, interrupted,
    failed, killed (no sign of life for 30 s), or undone. began: when its journal was begun, ISO 8601.
    identity: ARN of the AWS identity. user, host: of the machine that began it. parts: 1, and one more for each time
    that it was continued. done: messages that were redriven, deleted or queued; of a killed run some may be missing.
    failed: messages that were not. stopped_by: who asked it to stop. why: why only the canary was redriven.
    quiet_s: seconds since the last sign of life; null once it ended.
    options: by which it selected messages; null where that is not known.
    result: what became of the events; null where it was not looked up, and of a purge, which runs no event.
    """

    run: str
    what: str
    state: str
    began: str
    identity: str = ""
    user: str = ""
    host: str = ""
    parts: int = 1
    done: int = 0
    failed: int = 0
    stopped_by: str = ""
    why: str = ""
    quiet_s: float | None = None
    options: dict[str, Any] | None = None
    result: Result | None = None

    @property
    def operator(self) -> Operator:
        """Who began it."""
        return Operator(self.identity, self.user, self.host)


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of every operator on a stack.

    runs: the newest first. more: whether older ones exist. unreadable: names of runs whose journal or marks have values
    that rtp does not write.
    """

    runs: list[RunState] = field(default_factory=list)
    more: bool = False
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A request to stop a run.

    run: the run. asked_by: who asked first, as user@host. state: of the run now: `running` where it has not stopped
    yet. done: messages that it redrove, deleted or queued.
    """

    run: str
    asked_by: str
    state: str
    done: int


class Stores(NamedTuple):
    """The journals of a stack: those of redrives and purges, and those of replays."""

    dlq: JournalStore
    replay: JournalStore

    def of(self, run: str) -> JournalStore:
        """Where the journal of a run is."""
        return self.replay if "-replay-" in run else self.dlq


def listed(stores: Stores, owner: tuple[str, str], *, limit: int, skipping: Skipping | None = None) -> Runs:
    """The newest runs of a stack. owner: stack and account. Of a journal no more than its beginning is read.

    skipping: has why a journal cannot be read, where the names of such runs are not enough.
    """
    marks = [store.marks() for store in stores]
    names = sorted(((run, n) for n, store in enumerate(stores) for run in store.runs()), reverse=True)
    skipping = skipping or Skipping(lambda _: None)

    def read(pair: tuple[str, int]) -> RunState | str | None:
        run, n = pair
        with skipping.journal(stores[n], run):
            return _state(stores[n], run, marks[n].get(run, set()), owner)
        return run

    states = list(pool.map(read, names[:limit], threads=_READERS))
    return Runs(
        [state for state in states if isinstance(state, RunState)],
        len(names) > limit,
        [state for state in states if isinstance(state, str)],
    )


def find(
    stores: Stores, owner: tuple[str, str], part: str | None, *, warn: Callable[[str], None] = lambda _: None
) -> RunState:
    """The run of this name, or of a beginning or end of it; None: the newest. Raises NotFoundError, UsageError.

    warn: called with the runs that are skipped where the newest is looked for, because their journals cannot be read.
    """
    names = sorted({run for store in stores for run in store.runs()})
    if part is None:
        return _newest(stores, owner, names, warn)
    matching = [run for run in names if run == part or run.startswith(part) or run.endswith(part)]
    matching = [part] if part in matching else matching
    if len(matching) > 1:
        some = ", ".join(matching[-_NAMED:])
        raise UsageError(
            f"{part} stands for {len(matching)} runs: {some}.", hint="Give more of the name.", code="ambiguous-id"
        )
    state = current(stores, owner, matching[0]) if matching else None
    if state is None:
        raise _no_run(stores, f"There is no run {part}")
    return state


def _newest(stores: Stores, owner: tuple[str, str], names: list[str], warn: Callable[[str], None]) -> RunState:
    """The newest run of the stack whose journal can be read. Raises NotFoundError, or why none can be read."""
    skipping = Skipping(warn)
    for run in reversed(names):
        with skipping.journal(stores.of(run), run):
            if (state := current(stores, owner, run)) is not None:
                return state
    raise skipping.error or _no_run(stores, "There is no run")


def _no_run(stores: Stores, what: str) -> NotFoundError:
    return NotFoundError(f"{what} in {stores.dlq.where()}.", hint="`rtp dlq runs` lists the runs of 30 days.")


def ask_to_stop(
    stores: Stores, target: Target, run: RunState, *, timeout_s: float, clock: Clock = SYSTEM
) -> Iterator[StopRequest]:
    """Ask a run to stop, and yield its state until it has, timeout_s at most. Raises RefusedError where none runs."""
    if run.state != "running":
        again = suggest.command("rtp", "dlq", "redrive", run=run.run)
        raise RefusedError(
            f"{run.run} does not run: it is {run.state}.",
            hint=suggest.sentence("{} continues it.", again, otherwise="")
            if run.what == "redrive" and run.state in CONTINUED
            else "`rtp dlq runs` lists the runs and their states.",
        )
    store = stores.of(run.run)
    asked = run_marks.ask_to_stop(store, run.run, run.parts, target.who)
    deadline = clock.monotonic() + timeout_s
    while True:
        state = current(stores, (target.stack, target.account), run.run) or run
        yield StopRequest(run.run, asked.label, state.state, state.done)
        if state.state != "running" or clock.monotonic() >= deadline:
            return
        clock.sleep(POLL_S)


def resumed(target: Target, run: RunState) -> tuple[Continued, dict[str, Any]]:
    """The next part of a redrive, and the options that select its messages. Raises RefusedError, UsageError."""
    if run.what != "redrive":
        other = "`rtp replay --run` continues it." if run.what == "replay" else "Repeat the purge."
        raise UsageError(f"{run.run} is no redrive.", hint=other)
    if run.state not in (*CONTINUED, "running"):  # the lease decides whether it still runs
        raise RefusedError(
            f"{run.run} is {run.state}; nothing of it is left.", hint="`rtp dlq redrive` begins another."
        )
    journal = journals.load(target.journals, run.run)
    if journal.options is None:
        raise RefusedError(
            f"{run.run} had edited events, which its journal does not have.",
            hint="Begin another redrive: it sends no message again that this run sent.",
        )
    sent = frozenset(message_id for message_id, entry in journal.entries.items() if entry.sent_id)
    return Continued(run.run, run.parts + 1, sent, journal.there_at), dict(journal.options)


def current(stores: Stores, owner: tuple[str, str], run: str) -> RunState | None:
    """The state of a run now; None for another stack's, and for a journal without a head. Raises ConfigError."""
    store = stores.of(run)
    return _state(store, run, store.marks().get(run, set()), owner)


def _state(store: JournalStore, run: str, marks: Iterable[str], owner: tuple[str, str]) -> RunState | None:
    """The state of a run; None for another stack's, and for a journal without a head. Raises ConfigError."""
    marks = set(marks)
    part = run_marks.last_part(marks)
    with reading(store, run):
        document = store.head(run)
        head = first(document)
        if document is None or head is None or head.text("step", "") != "head":
            return None
        if (head.text("stack"), head.text("account")) != owner:
            return None
        who = run_marks.operator(head.member("who", {}))
        options = head.values.get("options")
        state = RunState(
            run=run,
            what=head.text("what", "replay"),
            state="killed",
            began=times.iso(head.integer("started", 0)),
            identity=who.identity,
            user=who.user,
            host=who.host,
            parts=part,
            options=options if isinstance(options, dict) else None,
        )
        return _with_marks(store, state, marks, document.age_ms)


def _with_marks(store: JournalStore, state: RunState, marks: set[str], age_ms: int) -> RunState:
    """Raises MalformedError."""
    for kind in (run_marks.END, run_marks.FAILED):
        if (mark := run_marks.name(state.parts, kind)) in marks:
            values = run_marks.values_of(store, state.run, mark) or Given({})
            ended = values.text("state", "ended", most=100) if kind == run_marks.END else "failed"
            is_undone = run_marks.name(state.parts, run_marks.UNDONE) in marks
            return replace(
                state,
                state="undone" if is_undone else ended,
                done=values.integer("done", 0),
                failed=values.integer("failed", 0),
                stopped_by=values.text("stopped_by", "", most=300),
                why=values.text("why", "", most=1000),
            )
    document = store.marked(state.run, run_marks.name(state.parts, run_marks.PROGRESS))
    if document is None:  # of a part that has just begun
        document = store.marked(state.run, run_marks.name(state.parts, run_marks.BEGIN))
    done = 0
    if document is not None:
        age_ms, done = document.age_ms, run_marks.values(document).integer("done", 0)
    now = "running" if age_ms < run_marks.SILENT_MS else "killed"
    if run_marks.name(state.parts, run_marks.UNDONE) in marks:
        now = "undone"
    return replace(state, state=now, done=done, quiet_s=round(age_ms / 1000, 1))
